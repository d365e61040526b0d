//! Folders of the system that every program looks into. Where each of them leads is found out once, before a run, and
//! handed to its processes as bits ([`crate::names::ENV_SYSTEM`]): a process that opens `/etc/hostname` need not ask
//! the kernel whether `/etc` is a symlink into the view.

/// What bits stand for, the lowest first. `/tmp` and the like are none of them: anybody makes names there.
pub const FOLDERS: [&str; 51] = [
    "/bin",
    "/dev",
    "/etc",
    "/etc/selinux",
    "/lib",
    "/lib64",
    "/opt",
    "/run",
    "/sbin",
    "/sys",
    "/sys/fs",
    "/usr",
    "/usr/bin",
    "/usr/include",
    "/usr/include/asm-generic",
    "/usr/include/linux",
    "/usr/include/x86_64-linux-gnu",
    "/usr/include/x86_64-linux-gnu/asm",
    "/usr/include/x86_64-linux-gnu/bits",
    "/usr/include/x86_64-linux-gnu/bits/types",
    "/usr/include/x86_64-linux-gnu/gnu",
    "/usr/include/x86_64-linux-gnu/sys",
    "/usr/lib",
    "/usr/lib/gcc",
    "/usr/lib/gcc/x86_64-linux-gnu",
    "/usr/lib/gcc/x86_64-linux-gnu/10",
    "/usr/lib/gcc/x86_64-linux-gnu/10/include",
    "/usr/lib/gcc/x86_64-linux-gnu/11",
    "/usr/lib/gcc/x86_64-linux-gnu/11/include",
    "/usr/lib/gcc/x86_64-linux-gnu/12",
    "/usr/lib/gcc/x86_64-linux-gnu/12/include",
    "/usr/lib/gcc/x86_64-linux-gnu/13",
    "/usr/lib/gcc/x86_64-linux-gnu/13/include",
    "/usr/lib/gcc/x86_64-linux-gnu/14",
    "/usr/lib/gcc/x86_64-linux-gnu/14/include",
    "/usr/lib/locale",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu/gconv",
    "/usr/lib64",
    "/usr/local",
    "/usr/local/bin",
    "/usr/local/etc",
    "/usr/local/include",
    "/usr/local/lib",
    "/usr/local/sbin",
    "/usr/local/share",
    "/usr/sbin",
    "/usr/share",
    "/usr/share/locale",
    "/usr/x86_64-linux-gnu",
    "/var",
];

/// Whether a folder is one of those whose bit is set.
pub fn is_outside(bits: u64, folder: &[u8]) -> bool {
    bits != 0
        && FOLDERS.iter().enumerate().any(|(bit, known)| bits >> bit & 1 != 0 && known.as_bytes() == folder)
}

/// Whether files in the folder are what their names say: `/dev` has links to open files.
pub fn has_plain_files(folder: &[u8]) -> bool {
    folder != b"/dev"
}

/// The bits as text, and back; 0 for what is none.
pub fn parse(text: &[u8]) -> u64 {
    core::str::from_utf8(text).ok().and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or(0)
}

/// The folders that lead outside `view`, as only root could change: they and all folders on the way to them belong to root,
/// and nobody else writes them.
#[cfg(feature = "std")]
pub fn survey(view: &std::path::Path) -> u64 {
    use std::path::Path;
    let look = |folder: &Path| std::fs::symlink_metadata(folder).ok();
    // Those that are no symlink, have none on the way to them, and are root's: below them one look is enough.
    let mut plain: Vec<&Path> = Vec::from_iter(look(Path::new("/")).filter(is_roots).map(|_| Path::new("/")));
    let mut bits = 0;
    let mut others = Vec::new();
    for (bit, folder) in FOLDERS.iter().map(Path::new).enumerate() {
        let Some(is) = look(folder) else { continue };
        let is_known = is_roots(&is) && folder.parent().is_some_and(|parent| plain.contains(&parent));
        if is.is_dir() && is_known {
            plain.push(folder);
            bits |= u64::from(!folder.starts_with(view)) << bit;
        } else {
            others.push((bit, folder, is_known));
        }
    }
    for (bit, folder, is_known) in others {
        // Mostly a symlink to one of the others, which is known by now.
        let target = is_known.then(|| std::fs::read_link(folder).ok()).flatten();
        let target = target.and_then(|target| Some(folder.parent()?.join(target)));
        let leads_outside = match target {
            Some(target) if plain.iter().any(|known| known.as_os_str() == target.as_os_str()) => {
                !target.starts_with(view)
            }
            _ => all_leads_outside(folder, view),
        };
        bits |= u64::from(leads_outside) << bit;
    }
    bits
}

/// Root's, and a symlink or written by nobody else.
#[cfg(feature = "std")]
fn is_roots(is: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    is.uid() == 0 && (is.file_type().is_symlink() || is.mode() & 0o022 == 0)
}

/// As [`survey`], of one folder, of which and of those above it nothing is known.
#[cfg(feature = "std")]
fn all_leads_outside(folder: &std::path::Path, view: &std::path::Path) -> bool {
    let all_roots = |path: &std::path::Path| {
        path.ancestors().all(|folder| std::fs::symlink_metadata(folder).is_ok_and(|is| is_roots(&is)))
    };
    std::fs::canonicalize(folder)
        .is_ok_and(|real| real.is_dir() && !real.starts_with(view) && all_roots(folder) && all_roots(&real))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn folders_of_the_system_are_outside_unless_the_view_has_them() {
        let bits = survey(Path::new("/home/somebody/project"));
        assert!(is_outside(bits, b"/usr") && is_outside(bits, b"/etc"));
        assert!(!is_outside(bits, b"/home") && !is_outside(bits, b"/usr/no such folder"));
        let bits = survey(Path::new("/usr"));
        assert!(!is_outside(bits, b"/usr") && !is_outside(bits, b"/usr/bin") && is_outside(bits, b"/etc"));
        // Where /bin is a symlink, it leads to /usr/bin.
        let is_link = std::fs::symlink_metadata("/bin").unwrap().is_symlink();
        assert_eq!(is_outside(bits, b"/bin"), !is_link);
        assert_eq!(survey(Path::new("/")), 0);
    }

    #[test]
    fn the_short_way_finds_what_the_long_one_does() {
        for view in ["/home/somebody/project", "/usr", "/usr/lib", "/usr/lib/gcc/x86_64-linux-gnu", "/"] {
            let view = Path::new(view);
            let found = |(bit, _): &(usize, &&str)| survey(view) >> bit & 1 != 0;
            let short: Vec<_> = FOLDERS.iter().enumerate().filter(found).map(|(_, folder)| *folder).collect();
            let long: Vec<_> =
                FOLDERS.into_iter().filter(|folder| all_leads_outside(Path::new(folder), view)).collect();
            assert_eq!(short, long, "{}", view.display());
        }
    }

    #[test]
    fn bits_are_text_and_back() {
        assert_eq!(parse(format!("{:x}", 0x8000_0000_0001_u64).as_bytes()), 0x8000_0000_0001);
        assert_eq!((parse(b""), parse(b"none"), parse(b"\xff")), (0, 0, 0));
    }
}
