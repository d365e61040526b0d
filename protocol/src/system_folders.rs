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

/// [`FOLDERS`] one behind the other, and where each begins: pointers would cost each process that loads them a relocation.
static TEXT: [u8; text_len()] = text();
static STARTS: [u16; FOLDERS.len() + 1] = starts();

const fn starts() -> [u16; FOLDERS.len() + 1] {
    let mut starts = [0; FOLDERS.len() + 1];
    let mut which = 0;
    while which < FOLDERS.len() {
        starts[which + 1] = starts[which] + FOLDERS[which].len() as u16;
        which += 1;
    }
    starts
}

const fn text_len() -> usize {
    starts()[FOLDERS.len()] as usize
}

const fn text() -> [u8; text_len()] {
    let mut text = [0; text_len()];
    let (mut which, mut at, mut from) = (0, 0, 0);
    while at < text.len() {
        if from == FOLDERS[which].len() {
            (which, from) = (which + 1, 0);
            continue;
        }
        text[at] = FOLDERS[which].as_bytes()[from];
        (at, from) = (at + 1, from + 1);
    }
    text
}

/// The bits of the folders whose names have so many bytes.
static OF_LEN: [u64; LEN_MAX + 1] = of_len();
const LEN_MAX: usize = 48;

const fn of_len() -> [u64; LEN_MAX + 1] {
    let mut of_len = [0; LEN_MAX + 1];
    let mut which = 0;
    while which < FOLDERS.len() {
        of_len[FOLDERS[which].len()] |= 1 << which;
        which += 1;
    }
    of_len
}

/// Whether a folder is one of those whose bit is set.
pub fn is_outside(bits: u64, folder: &[u8]) -> bool {
    let mut left = OF_LEN.get(folder.len()).map_or(0, |of_len| bits & of_len);
    while left != 0 {
        let which = left.trailing_zeros() as usize;
        let start = STARTS.get(which).map_or(0, |start| usize::from(*start));
        if TEXT.get(start..start + folder.len()) == Some(folder) {
            return true;
        }
        left &= left - 1;
    }
    false
}

/// Whether files in the folder are what their names say: `/dev` has links to open files.
pub fn has_plain_files(folder: &[u8]) -> bool {
    folder != b"/dev"
}

/// The bits as text, and back; 0 for what is none.
pub fn parse(text: &[u8]) -> u64 {
    core::str::from_utf8(text).ok().and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or(0)
}

/// Folders whose place only root could change, with their bits: they and all folders on the way to them belong to root, and
/// nobody else writes them. Where each of them leads.
#[cfg(feature = "std")]
pub struct Survey(Vec<(usize, std::path::PathBuf)>);

#[cfg(feature = "std")]
impl Survey {
    /// Looks at all of them.
    pub fn new() -> Survey {
        use std::path::Path;
        let look = |folder: &Path| std::fs::symlink_metadata(folder).ok();
        // Those that are no symlink, have none on the way to them, and are root's: below them one look is enough.
        let mut plain: Vec<&Path> =
            Vec::from_iter(look(Path::new("/")).filter(is_roots).map(|_| Path::new("/")));
        let mut found = Vec::new();
        let mut others = Vec::new();
        for (bit, folder) in FOLDERS.iter().map(Path::new).enumerate() {
            let Some(is) = look(folder) else { continue };
            let is_known = is_roots(&is) && folder.parent().is_some_and(|parent| plain.contains(&parent));
            if is.is_dir() && is_known {
                plain.push(folder);
                found.push((bit, folder.to_path_buf()));
            } else {
                others.push((bit, folder, is_known));
            }
        }
        for (bit, folder, is_known) in others {
            // Mostly a symlink to one of the others, which is known by now.
            let target = is_known.then(|| std::fs::read_link(folder).ok()).flatten();
            let target = target.and_then(|target| Some(folder.parent()?.join(target)));
            let known = |target: &std::path::PathBuf| {
                plain.iter().any(|known| known.as_os_str() == target.as_os_str())
            };
            let leads_to = target.filter(known).or_else(|| place(folder));
            found.extend(leads_to.map(|place| (bit, place)));
        }
        Survey(found)
    }

    /// The bits of those that lead outside `view`.
    pub fn outside(&self, view: &std::path::Path) -> u64 {
        let outside = self.0.iter().filter(|(_, place)| !place.starts_with(view));
        outside.fold(0, |bits, (bit, _)| bits | 1 << bit)
    }
}

#[cfg(feature = "std")]
impl Default for Survey {
    fn default() -> Survey {
        Survey::new()
    }
}

/// Root's, and a symlink or written by nobody else.
#[cfg(feature = "std")]
fn is_roots(is: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    is.uid() == 0 && (is.file_type().is_symlink() || is.mode() & 0o022 == 0)
}

/// Where one folder leads, of which and of those above it nothing is known; None: somebody else could change that.
#[cfg(feature = "std")]
fn place(folder: &std::path::Path) -> Option<std::path::PathBuf> {
    let all_roots = |path: &std::path::Path| {
        path.ancestors().all(|folder| std::fs::symlink_metadata(folder).is_ok_and(|is| is_roots(&is)))
    };
    let real = std::fs::canonicalize(folder).ok()?;
    (real.is_dir() && all_roots(folder) && all_roots(&real)).then_some(real)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn folders_of_the_system_are_outside_unless_the_view_has_them() {
        let survey = |view| Survey::new().outside(view);
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
            let bits = Survey::new().outside(view);
            let found = |(bit, _): &(usize, &&str)| bits >> bit & 1 != 0;
            let short: Vec<_> = FOLDERS.iter().enumerate().filter(found).map(|(_, folder)| *folder).collect();
            let leads_outside =
                |folder: &&str| place(Path::new(folder)).is_some_and(|at| !at.starts_with(view));
            let long: Vec<_> = FOLDERS.into_iter().filter(leads_outside).collect();
            assert_eq!(short, long, "{}", view.display());
        }
    }

    #[test]
    fn bits_are_text_and_back() {
        assert_eq!(parse(format!("{:x}", 0x8000_0000_0001_u64).as_bytes()), 0x8000_0000_0001);
        assert_eq!((parse(b""), parse(b"none"), parse(b"\xff")), (0, 0, 0));
    }
}
