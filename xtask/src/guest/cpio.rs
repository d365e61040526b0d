//! Writing a cpio archive of the "newc" form, which the kernel unpacks as its first root file system
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

/// An archive that grows. Every file belongs to root, whoever makes it.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    files: u32,
}

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;
/// Sets the format and ends the archive, by convention.
const TRAILER: &str = "TRAILER!!!";

impl Archive {
    pub fn directory(&mut self, name: &str) {
        self.entry(name, DIRECTORY | 0o755, (0, 0), &[]);
    }

    /// `mode`: permissions alone.
    pub fn file(&mut self, name: &str, mode: u32, bytes: &[u8]) {
        self.entry(name, REGULAR | (mode & 0o7777), (0, 0), bytes);
    }

    pub fn symlink(&mut self, name: &str, target: &str) {
        self.entry(name, SYMLINK | 0o777, (0, 0), target.as_bytes());
    }

    pub fn character_device(&mut self, name: &str, major: u32, minor: u32) {
        self.entry(name, CHARACTER_DEVICE | 0o600, (major, minor), &[]);
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.entry(TRAILER, 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), bytes: &[u8]) {
        self.files += 1;
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let name_len = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
        let links = if mode & DIRECTORY == DIRECTORY { 2 } else { 1 };
        // inode, mode, uid, gid, nlink, mtime, size, the device it is on (2), the device it is (2), name, checksum
        let fields = [self.files, mode, 0, 0, links, 0, len, 0, 0, device.0, device.1, name_len, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(bytes);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// busybox's cpio reads what we write: the machine has it for other tests.
    #[test]
    fn cpio_of_others_reads_it() {
        let mut archive = Archive::default();
        archive.directory("a");
        archive.file("a/odd", 0o754, b"12345");
        archive.file("a/empty", 0o600, b"");
        archive.symlink("a/link", "odd");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("made.cpio"), archive.finish()).unwrap();
        let shell = "busybox cpio -i -d <made.cpio && busybox stat -c '%n %a %s' a/odd a/empty && readlink a/link && cat a/odd";
        let output =
            std::process::Command::new("sh").args(["-c", shell]).current_dir(dir.path()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "a/odd 754 5\na/empty 600 0\nodd\n12345");
    }
}
