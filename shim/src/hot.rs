//! What a process changes all the time of what this library remembers, in one place that crosses no page: each copy of
//! the process by fork(2) copies the pages that it writes, and this is one. Each part belongs to the module of its name.

use crate::{cwd, fds, line, outside, umask, user_memory};

const LEN: usize = 1024;

#[repr(C, align(1024))]
pub struct Hot {
    pub readable: user_memory::Readable,
    pub fds: fds::Few,
    pub folders: outside::Few,
    pub cwd: cwd::Cache,
    pub umask: umask::Cache,
    pub line: line::Known,
}

const _: () = assert!(size_of::<Hot>() == LEN);

/// Part of the file, as what does not fit the last page of it costs each process start one more mmap(2).
#[unsafe(link_section = ".data")]
pub static HOT: Hot = Hot {
    readable: user_memory::Readable::new(),
    fds: fds::Few::new(),
    folders: outside::Few::new(),
    cwd: cwd::Cache::new(),
    umask: umask::Cache::new(),
    line: line::Known::new(),
};
