//! Which file a command name means, and whether it can be started from here.
//!
//! A program outside the view that the loader will give the preload library is started directly. Everything
//! else (a path, a PATH entry in the view, a script, a program without a loader or with other rights) is left
//! to a process that already is in the view: there the library decides, as it does for every later exec.

use nix::unistd::{AccessFlags, access};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What execvp(3) searches when PATH is not set.
const DEFAULT_PATH: &str = "/bin:/usr/bin";
const ELF64_HEADER_LEN: usize = 64;
const ELF64_LITTLE_ENDIAN: &[u8] = b"\x7fELF\x02\x01";
const ELF64_PROGRAM_HEADER_LEN: usize = 56;
/// More program headers than any linker writes: such a file is left to the library.
const PROGRAM_HEADERS_MAX: usize = 64;
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
/// Type and name of the note in Go's programs, which make their own system calls, and how far it is looked for.
const GO_NOTE: &[u8] = b"\x04\0\0\0Go\0\0";
const NOTES_LEN: usize = 512;
const SET_ID_BITS: u32 = 0o6000;
const ANY_EXECUTE: u32 = 0o111;
const ELF: &[u8] = b"\x7fELF";
/// capabilities(7): a file's own.
const CAPABILITIES: &str = "security.capability";

/// The file to start directly, or None: the view must decide.
pub fn direct(command: &OsStr, view: &Path) -> Option<PathBuf> {
    if command.is_empty() || command.as_bytes().contains(&b'/') {
        return None;
    }
    let search = env::var_os("PATH").unwrap_or_else(|| OsString::from(DEFAULT_PATH));
    for dir in env::split_paths(&search) {
        if !dir.is_absolute() || inside(&dir, view) {
            return None;
        }
        let file = dir.join(command);
        if file.is_file() && access(&file, AccessFlags::X_OK).is_ok() {
            let plain = !inside(&file, view) && has_loader(&file).unwrap_or(false);
            return plain.then_some(file);
        }
    }
    None
}

/// Whether `path` or what it leads to is in the view.
fn inside(path: &Path, view: &Path) -> bool {
    path.starts_with(view) || path.canonicalize().is_ok_and(|path| path.starts_with(view))
}

/// How a file can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// ld.so(8) starts it and obeys LD_PRELOAD for it.
    Loader,
    /// It gets other rights than its parent's, and ld.so ignores LD_PRELOAD.
    OtherRights,
    /// A program without ld.so, or one of Go, which makes its own system calls.
    NoLoader,
    /// A script, or no program at all.
    NoProgram,
}

fn has_loader(path: &Path) -> io::Result<bool> {
    reach(path).map(|reach| reach == Reach::Loader)
}

/// What the file at a path is.
///
/// # Errors
/// It cannot be read, or is shorter than it says.
pub fn reach(path: &Path) -> io::Result<Reach> {
    let file = File::open(path)?;
    let stat = file.metadata()?;
    let is_program = stat.is_file() && stat.mode() & ANY_EXECUTE != 0;
    if is_program && (stat.mode() & SET_ID_BITS != 0 || xattr::get(path, CAPABILITIES)?.is_some()) {
        return Ok(Reach::OtherRights);
    }
    let mut header = [0; ELF64_HEADER_LEN];
    if !is_program || file.read_at(&mut header, 0)? < ELF64_HEADER_LEN || !header.starts_with(ELF) {
        return Ok(Reach::NoProgram);
    }
    let half = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let (entry_len, count) = (usize::from(half(54)), usize::from(half(56)));
    let offset = header[32..40].try_into().map(u64::from_le_bytes).unwrap_or_default();
    if !header.starts_with(ELF64_LITTLE_ENDIAN)
        || entry_len != ELF64_PROGRAM_HEADER_LEN
        || count > PROGRAM_HEADERS_MAX
    {
        return Ok(Reach::NoLoader);
    }
    let mut table = vec![0; count * ELF64_PROGRAM_HEADER_LEN];
    file.read_exact_at(&mut table, offset)?;
    let of_kind = |kind: u32| {
        let entries = table.chunks_exact(ELF64_PROGRAM_HEADER_LEN);
        entries.filter(move |entry| entry.starts_with(&kind.to_le_bytes()))
    };
    for note in of_kind(PT_NOTE) {
        let mut bytes = [0; NOTES_LEN];
        let len =
            file.read_at(&mut bytes, note[8..16].try_into().map(u64::from_le_bytes).unwrap_or_default())?;
        if bytes[..len].windows(GO_NOTE.len()).any(|part| part == GO_NOTE) {
            return Ok(Reach::NoLoader);
        }
    }
    Ok(if of_kind(PT_INTERP).next().is_some() { Reach::Loader } else { Reach::NoLoader })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn programs_with_a_loader_are_told_from_others() {
        assert!(has_loader(&env::current_exe().unwrap()).unwrap());
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("script");
        std::fs::write(&script, "#!/bin/sh\n".repeat(20)).unwrap();
        assert!(!has_loader(&script).unwrap());
        let set_id = dir.path().join("set_id");
        std::fs::copy(env::current_exe().unwrap(), &set_id).unwrap();
        std::fs::set_permissions(&set_id, std::fs::Permissions::from_mode(0o4755)).unwrap();
        assert!(!has_loader(&set_id).unwrap());
    }

    #[test]
    fn a_path_is_left_to_the_view() {
        assert_eq!(direct(OsStr::new("/bin/sh"), Path::new("/v")), None);
        assert_eq!(direct(OsStr::new("./sh"), Path::new("/v")), None);
        assert_eq!(direct(OsStr::new(""), Path::new("/v")), None);
    }
}
