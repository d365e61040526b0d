//! How calls, results and files are spelled in sequences and transcripts.

use libc::{c_int, stat};

/// Times before this are those that a sequence has set itself; later ones are "now".
pub const SET_TIMES_END_S: i64 = 1_000_000;

const ERRNOS: [(c_int, &str); 33] = [
    (libc::EPERM, "EPERM"),
    (libc::ENOENT, "ENOENT"),
    (libc::EIO, "EIO"),
    (libc::ENXIO, "ENXIO"),
    (libc::EBADF, "EBADF"),
    (libc::EAGAIN, "EAGAIN"),
    (libc::ENOMEM, "ENOMEM"),
    (libc::EACCES, "EACCES"),
    (libc::EFAULT, "EFAULT"),
    (libc::EBUSY, "EBUSY"),
    (libc::EEXIST, "EEXIST"),
    (libc::EXDEV, "EXDEV"),
    (libc::ENODEV, "ENODEV"),
    (libc::ENOTDIR, "ENOTDIR"),
    (libc::EISDIR, "EISDIR"),
    (libc::EINVAL, "EINVAL"),
    (libc::EMFILE, "EMFILE"),
    (libc::ETXTBSY, "ETXTBSY"),
    (libc::EFBIG, "EFBIG"),
    (libc::ENOSPC, "ENOSPC"),
    (libc::ESPIPE, "ESPIPE"),
    (libc::EROFS, "EROFS"),
    (libc::EMLINK, "EMLINK"),
    (libc::EPIPE, "EPIPE"),
    (libc::ERANGE, "ERANGE"),
    (libc::ENAMETOOLONG, "ENAMETOOLONG"),
    (libc::ENOSYS, "ENOSYS"),
    (libc::ENOTEMPTY, "ENOTEMPTY"),
    (libc::ELOOP, "ELOOP"),
    (libc::ENODATA, "ENODATA"),
    (libc::EOVERFLOW, "EOVERFLOW"),
    (libc::EOPNOTSUPP, "EOPNOTSUPP"),
    (libc::ESTALE, "ESTALE"),
];

/// The name of an error, its number where it has none here.
pub fn errno(errno: c_int) -> String {
    let known = ERRNOS.iter().find(|(number, _)| *number == errno);
    known.map_or_else(|| format!("errno {errno}"), |(_, name)| (*name).to_owned())
}

const FLAGS: [(&str, c_int); 16] = [
    ("r", libc::O_RDONLY),
    ("w", libc::O_WRONLY),
    ("rw", libc::O_RDWR),
    ("creat", libc::O_CREAT),
    ("excl", libc::O_EXCL),
    ("trunc", libc::O_TRUNC),
    ("append", libc::O_APPEND),
    ("directory", libc::O_DIRECTORY),
    ("nofollow", libc::O_NOFOLLOW),
    ("path", libc::O_PATH),
    ("tmpfile", libc::O_TMPFILE),
    ("nonblock", libc::O_NONBLOCK),
    ("cloexec", libc::O_CLOEXEC),
    ("sync", libc::O_SYNC),
    ("noatime", libc::O_NOATIME),
    ("3", 3),
];

/// `rw+creat+excl` as open(2) takes it. Unknown words mean nothing.
pub fn flags(words: &str) -> c_int {
    words
        .split('+')
        .filter_map(|word| FLAGS.iter().find(|(name, _)| *name == word))
        .fold(0, |all, (_, flag)| all | flag)
}

/// A path as the call gets it.
pub fn path(word: &str, root: &str) -> String {
    match word {
        "%empty" => String::new(),
        "%long" => "x".repeat(256),
        "%max" => "x".repeat(255),
        word => word.replace("%root", root),
    }
}

/// A path as the system gave it, the same wherever the sequence ran.
pub fn without_root(path: &str, root: &str) -> String {
    // One level above, which `..` reaches.
    let above = root.rsplit_once('/').map_or(root, |(above, _)| above);
    path.replace(root, "%root").replace(above, "%above")
}

/// Bytes that no other sequence, and no other fill of this one, has.
pub fn bytes(sequence: u64, fill: u64, len: usize) -> Vec<u8> {
    let mut state = sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ fill.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// FNV-1a (Fowler, Noll, Vo) with the length: what a transcript says of bytes.
pub fn digest(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{} bytes {hash:016x}", bytes.len())
}

/// The letter of a file's type.
pub fn kind(stat: &stat) -> char {
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG => 'f',
        libc::S_IFDIR => 'd',
        libc::S_IFLNK => 'l',
        libc::S_IFIFO => 'p',
        _ => '?',
    }
}

/// What must be the same natively and in the view. A directory's size is the file system's affair.
pub fn attributes(stat: &stat) -> String {
    let time = |seconds: i64| if seconds < SET_TIMES_END_S { seconds.to_string() } else { "now".to_owned() };
    let kind = kind(stat);
    let size = if kind == 'd' { "-".to_owned() } else { stat.st_size.to_string() };
    format!(
        "{kind} {:o} links {} size {size} owner {}:{} mtime {} atime {}",
        stat.st_mode & 0o7777,
        stat.st_nlink,
        stat.st_uid,
        stat.st_gid,
        time(stat.st_mtime),
        time(stat.st_atime),
    )
}
