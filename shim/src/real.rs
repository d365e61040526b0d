//! The functions behind the hooks: where each name is defined after this library in the search order.
//!
//! A function is looked up when it is first called, in the GNU hash tables of the objects that the program
//! started with: they stay loaded and nothing about them changes, so that the look-up takes no lock, allocates
//! nothing and may run in a signal handler. (A process calls some fifteen of these functions: finding all of them
//! at its start cost more than the rest of the start-up together, by dlsym several times as much.) The default
//! version of a symbol is taken, as dlsym(RTLD_NEXT) would.

use core::ffi::{CStr, c_char, c_int};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

macro_rules! symbols {
    ($($name:ident)*) => {
        /// Every function that the shim calls in the libraries behind it.
        #[derive(Clone, Copy)]
        #[repr(usize)]
        #[expect(non_camel_case_types, reason = "the names are C's")]
        pub enum Symbol { $($name),* }
        /// The names in order, each ended by a NUL: one string, so that it needs no relocations.
        const NAMES: &str = concat!($(stringify!($name), "\0"),*);
        const COUNT: usize = [$(stringify!($name)),*].len();
    };
}

symbols! {
    open open64 __open_2 __open64_2 openat openat64 __openat_2 __openat64_2 creat creat64
    fopen fopen64 freopen freopen64 fdopen fclose fileno tmpfile tmpfile64
    mkstemp mkstemp64 mkostemp mkostemp64 mkstemps mkstemps64 mkostemps mkostemps64 mkdtemp mktemp
    tempnam tmpnam tmpnam_r
    close close_range closefrom dup dup2 dup3 fcntl fcntl64
    stat stat64 lstat lstat64 fstat fstat64 fstatat fstatat64 statx
    __xstat __xstat64 __lxstat __lxstat64 __fxstat __fxstat64 __fxstatat __fxstatat64
    access faccessat euidaccess eaccess
    statfs statfs64 statvfs statvfs64 pathconf
    opendir fdopendir readdir readdir64 readdir_r readdir64_r closedir rewinddir seekdir telldir dirfd
    getdents64
    scandir scandir64 scandirat scandirat64 glob glob64 ftw ftw64 nftw nftw64
    fts_open fts_read fts_children fts_set fts_close
    fts64_open fts64_read fts64_children fts64_set fts64_close
    readlink readlinkat __readlink_chk __readlinkat_chk
    realpath __realpath_chk canonicalize_file_name
    getcwd __getcwd_chk getwd __getwd_chk get_current_dir_name chdir fchdir
    symlink symlinkat link linkat unlink unlinkat remove rename renameat renameat2 rmdir
    mkdir mkdirat mknod mknodat __xmknod __xmknodat mkfifo mkfifoat
    utime utimes lutimes futimes futimesat utimensat futimens
    chmod fchmod lchmod fchmodat chown lchown fchown fchownat
    fsync fdatasync sync syncfs
    truncate truncate64
    getxattr lgetxattr fgetxattr setxattr lsetxattr fsetxattr listxattr llistxattr flistxattr
    removexattr lremovexattr fremovexattr
    execve execveat fexecve execv execvp execvpe posix_spawn posix_spawnp
    posix_spawn_file_actions_addopen posix_spawn_file_actions_addchdir_np
    posix_spawn_file_actions_addfchdir_np posix_spawn_file_actions_destroy setenv
    system popen pclose wordexp wordfree dlopen dlmopen dladdr dladdr1 dl_iterate_phdr chroot
    bind connect sendto sendmsg sendmmsg getsockname getpeername accept accept4
    recvfrom __recvfrom_chk recvmsg recvmmsg inotify_add_watch syscall
    fork setuid seteuid setreuid setresuid
    sigaction __sigaction signal bsd_signal ssignal sigprocmask pthread_sigmask getauxval
    qsort _exit _Exit quick_exit __curbrk
}

/// A name in [`NAMES`] and its hash, found at compile time.
#[derive(Clone, Copy)]
struct Key {
    start: u16,
    len: u16,
    hash: u32,
}

static KEYS: [Key; COUNT] = keys();

const fn keys() -> [Key; COUNT] {
    const GNU_HASH_SEED: u32 = 5381;
    let mut keys = [Key { start: 0, len: 0, hash: GNU_HASH_SEED }; COUNT];
    let names = NAMES.as_bytes();
    let (mut which, mut at) = (0, 0);
    while at < names.len() {
        if names[at] == 0 {
            which += 1;
            if which < COUNT {
                keys[which].start = at as u16 + 1;
            }
        } else {
            keys[which].len += 1;
            keys[which].hash = keys[which].hash.wrapping_mul(33).wrapping_add(names[at] as u32);
        }
        at += 1;
    }
    keys
}

/// Part of the file: in zeroed memory behind it, they would cost each process start one more mmap(2).
#[unsafe(link_section = ".data")]
static ADDRESSES: [AtomicUsize; COUNT] = [const { AtomicUsize::new(0) }; COUNT];

/// What [`ADDRESSES`] holds for a function that no library has.
const ABSENT: usize = 1;

/// The address of a function; None when no library behind the shim has it.
#[inline(always)]
pub fn address(symbol: Symbol) -> Option<usize> {
    match ADDRESSES[symbol as usize].load(Ordering::Relaxed) {
        0 => find(symbol),
        ABSENT => None,
        address => Some(address),
    }
}

#[cold]
#[inline(never)]
fn find(symbol: Symbol) -> Option<usize> {
    crate::init::ensure();
    let key = &KEYS[symbol as usize];
    let last = LAST.load(Ordering::Relaxed);
    let mut at = OWN.load(Ordering::Relaxed);
    let mut found = None;
    while found.is_none() && !at.is_null() && at != last {
        // SAFETY: from this library to the last one of the program's start all entries stay as they are; what
        // they describe is loaded.
        unsafe {
            at = (*at).next;
            if let Some(map) = at.as_ref()
                && let Some(object) = object_at(map.base, map.dynamic)
            {
                found = lookup(&object, key);
            }
        }
    }
    ADDRESSES[symbol as usize].store(found.unwrap_or(ABSENT), Ordering::Relaxed);
    found
}

/// Where the heap ends, by the C library's variable for brk(3); 0: it has none, or no heap yet.
pub fn heap_end() -> usize {
    match address(Symbol::__curbrk) {
        // SAFETY: a pointer-sized variable of the C library, which stays loaded.
        Some(variable) => unsafe { (*(variable as *const AtomicUsize)).load(Ordering::Relaxed) },
        None => 0,
    }
}

/// Calls the function behind the hook: `real!(close(fd: c_int) -> c_int)`. Where it does not exist: ENOSYS.
macro_rules! real {
    ($name:ident($($arg:ident: $type:ty),* $(,)?) -> $result:ty) => {
        match $crate::real::address($crate::real::Symbol::$name) {
            Some(address) => {
                type Function = unsafe extern "C" fn($($type),*) -> $result;
                #[allow(unused_unsafe, reason = "used inside and outside of unsafe blocks")]
                // SAFETY: the address is that of the C function of this name, whose prototype this is; the
                // arguments are the caller's own, passed on.
                let result = unsafe { core::mem::transmute::<usize, Function>(address)($($arg),*) };
                result
            }
            None => $crate::real::missing(),
        }
    };
}
pub(crate) use real;

/// What a call to a function that this C library lacks returns.
pub trait Missing {
    fn missing() -> Self;
}
impl Missing for c_int {
    fn missing() -> Self {
        -1
    }
}
impl Missing for i64 {
    fn missing() -> Self {
        -1
    }
}
impl Missing for isize {
    fn missing() -> Self {
        -1
    }
}
impl<T> Missing for *mut T {
    fn missing() -> Self {
        core::ptr::null_mut()
    }
}
/// SIG_ERR of signal(2).
impl Missing for usize {
    fn missing() -> Self {
        usize::MAX
    }
}
impl Missing for () {
    fn missing() -> Self {}
}

pub fn missing<T: Missing>() -> T {
    crate::errno::set(libc::ENOSYS);
    T::missing()
}

/// One loaded object's tables.
struct Object {
    base: usize,
    gnu_hash: *const u32,
    symbols: *const libc::Elf64_Sym,
    strings: *const u8,
    versions: *const u16,
}

/// The public part of `struct link_map` (link.h): one loaded object, in the order of search.
#[repr(C)]
struct LinkMap {
    base: usize,
    name: *const c_char,
    dynamic: *const [u64; 2],
    next: *mut LinkMap,
    previous: *mut LinkMap,
}

/// `struct r_debug` (link.h): what the loader shows to debuggers.
#[repr(C)]
struct LoaderState {
    version: c_int,
    first: *mut LinkMap,
}

unsafe extern "C" {
    static _r_debug: LoaderState;
    static _DYNAMIC: [u64; 2];
}

/// This library's entry, and the last one of those that were there at the program's start: what is loaded later
/// comes and goes.
static OWN: AtomicPtr<LinkMap> = AtomicPtr::new(core::ptr::null_mut());
static LAST: AtomicPtr<LinkMap> = AtomicPtr::new(core::ptr::null_mut());

/// Remembers which libraries come after this one. Called by [`crate::init`] while the program starts; again is the same.
pub fn find_libraries() {
    // SAFETY: while constructors run nothing is unloaded, and the list ends with a null pointer.
    unsafe {
        let mut at = _r_debug.first;
        while let Some(map) = at.as_ref() {
            if core::ptr::eq(map.dynamic, &raw const _DYNAMIC) {
                OWN.store(at, Ordering::Relaxed);
            }
            LAST.store(at, Ordering::Relaxed);
            at = map.next;
        }
    }
}

/// Whether the program started with a library whose file name begins so.
pub fn has_library(beginning: &[u8]) -> bool {
    let mut at = OWN.load(Ordering::Relaxed);
    // SAFETY: the list from this library to the last that was there at the start stays as it is.
    unsafe {
        while let Some(map) = at.as_ref() {
            if !map.name.is_null()
                && let Some(file) = CStr::from_ptr(map.name).to_bytes().rsplit(|byte| *byte == b'/').next()
                && file.starts_with(beginning)
            {
                return true;
            }
            at = if at == LAST.load(Ordering::Relaxed) { core::ptr::null_mut() } else { map.next };
        }
    }
    false
}

/// Whether an address is in the loader, or in the part of an older C library that has the threads.
pub fn is_of_loader(address: usize) -> bool {
    // SAFETY: the list up to what was there at the start stays as it is.
    unsafe {
        let (mut at, mut nearest) = (_r_debug.first, None::<&LinkMap>);
        while let Some(map) = at.as_ref() {
            if map.base <= address && nearest.is_none_or(|nearest| nearest.base < map.base) {
                nearest = Some(map);
            }
            if at == LAST.load(Ordering::Relaxed) {
                break;
            }
            at = map.next;
        }
        let name = nearest.filter(|map| !map.name.is_null()).map(|map| CStr::from_ptr(map.name).to_bytes());
        name.and_then(|name| name.rsplit(|byte| *byte == b'/').next())
            .is_some_and(|file| file.starts_with(b"ld-linux") || file.starts_with(b"libpthread"))
    }
}

/// Where the C library's code is. None: it has another name, or several segments of code.
pub fn libc_code() -> Option<core::ops::Range<usize>> {
    const PF_X: u32 = 1;
    let mut at = OWN.load(Ordering::Relaxed);
    // SAFETY: the loader's list up to what was there at the start, which stays; the C library's first segment has
    // its ELF header and program headers.
    unsafe {
        loop {
            let map = at.as_ref()?;
            if !map.name.is_null() && CStr::from_ptr(map.name).to_bytes().ends_with(b"/libc.so.6") {
                let header = &*(map.base as *const libc::Elf64_Ehdr);
                let first = (map.base + header.e_phoff as usize) as *const libc::Elf64_Phdr;
                let segments = core::slice::from_raw_parts(first, header.e_phnum.into());
                let mut code = segments
                    .iter()
                    .filter(|segment| segment.p_type == libc::PT_LOAD && segment.p_flags & PF_X != 0);
                let only = code.next().filter(|_| code.next().is_none())?;
                let start = map.base + only.p_vaddr as usize;
                return Some(start..start + only.p_memsz as usize);
            }
            at = map.next;
        }
    }
}

/// # Safety
/// `dynamic` points to the DT_NULL-terminated dynamic section of the object loaded at `base`.
unsafe fn object_at(base: usize, mut dynamic: *const [u64; 2]) -> Option<Object> {
    const DT_STRTAB: u64 = 5;
    const DT_SYMTAB: u64 = 6;
    const DT_GNU_HASH: u64 = 0x6fff_fef5;
    const DT_VERSYM: u64 = 0x6fff_fff0;
    let (mut gnu_hash, mut symbols, mut strings, mut versions) = (0, 0, 0, 0);
    loop {
        // SAFETY: read up to the terminator, by contract.
        let [tag, value] = unsafe { *dynamic };
        if tag == 0 {
            break;
        }
        // The loader relocates these entries, but not those of the vDSO.
        let address = if (value as usize) < base { base + value as usize } else { value as usize };
        match tag {
            DT_STRTAB => strings = address,
            DT_SYMTAB => symbols = address,
            DT_GNU_HASH => gnu_hash = address,
            DT_VERSYM => versions = address,
            _ => {}
        }
        // SAFETY: not yet at the terminator.
        dynamic = unsafe { dynamic.add(1) };
    }
    (gnu_hash != 0 && symbols != 0 && strings != 0).then_some(Object {
        base,
        gnu_hash: gnu_hash as *const u32,
        symbols: symbols as *const libc::Elf64_Sym,
        strings: strings as *const u8,
        versions: versions as *const u16,
    })
}

/// Looks a name up in the GNU hash table: header {buckets, first symbol, bloom words, bloom shift}, 64-bit
/// bloom words, buckets, chain of hashes whose lowest bit ends a bucket.
///
/// # Safety
/// The object's tables are valid.
unsafe fn lookup(object: &Object, key: &Key) -> Option<usize> {
    let hash = key.hash;
    // SAFETY: the layout above, for a table that the loader has accepted.
    unsafe {
        let header = object.gnu_hash;
        let (buckets, first, bloom_words, shift) = (*header, *header.add(1), *header.add(2), *header.add(3));
        let bloom = header.add(4).cast::<u64>();
        let word = bloom.add((hash / 64 % bloom_words) as usize).read_unaligned();
        if word >> (hash % 64) & 1 == 0 || word >> ((hash >> shift) % 64) & 1 == 0 {
            return None;
        }
        let bucket_table = bloom.add(bloom_words as usize).cast::<u32>();
        let chain = bucket_table.add(buckets as usize);
        let mut index = *bucket_table.add((hash % buckets) as usize);
        if index < first {
            return None;
        }
        loop {
            let entry = *chain.add((index - first) as usize);
            if entry | 1 == hash | 1 {
                let symbol = &*object.symbols.add(index as usize);
                let found = CStr::from_ptr(object.strings.add(symbol.st_name as usize).cast());
                let name = NAMES.as_bytes().get(key.start.into()..(key.start + key.len).into());
                let hidden = !object.versions.is_null() && *object.versions.add(index as usize) & 0x8000 != 0;
                if Some(found.to_bytes()) == name && !hidden && symbol.st_shndx != 0 && symbol.st_value != 0 {
                    return Some(object.base + symbol.st_value as usize);
                }
            }
            if entry & 1 == 1 {
                return None;
            }
            index += 1;
        }
    }
}
