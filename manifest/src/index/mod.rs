//! The writer: creates, grows and publishes an index, and owns its mapping.

mod alloc;
mod load;
mod ops;
mod query;
mod rename;
mod restore;

use crate::layout::{
    self, DENTRY_LEN, HEADER_LEN, INODE_LEN, LAYOUT_VERSION, MAGIC, PATH_FIELD_MAX, dentry, header, inode,
};
use crate::reader::Reader;
use crate::steps::Watch;
use crate::sys::{Mapping, Window};
use crate::types::{Content, ROOT, S_IFDIR, VnodeNo};
use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Capacity of a new index. The file is sparse: what is not used takes no memory.
const FIRST_CAPACITY: u32 = 8 * 1024;
/// Most slots an index may have: with [`INODE_LEN`], [`DENTRY_LEN`] and names this stays below 16 GiB.
const CAPACITY_MAX: u32 = 1 << 26;
/// Arena bytes reserved per dentry of capacity: names average 10 to 25 bytes, rounded up to 8.
const ARENA_PER_DENTRY: u64 = 40;

/// Why an operation was not done; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpError {
    /// As the system call would say.
    Errno(i32),
    /// The tables are full: call [`Index::grow`] and try again.
    Full,
}

/// What an index is made for.
#[derive(Clone, Debug)]
pub struct Params<'a> {
    /// Absolute view path, at most [`PATH_FIELD_MAX`] bytes.
    pub view: &'a [u8],
    /// Absolute path of the state folder, at most [`PATH_FIELD_MAX`] bytes.
    pub home: &'a [u8],
    pub workspace: u32,
    pub root_mode: u32,
    pub root_uid: u32,
    pub root_gid: u32,
    /// All three times of the root directory, ns.
    pub root_time_ns: i64,
}

/// All attributes of a vnode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr {
    pub vnode: VnodeNo,
    /// Type and permission bits.
    pub mode: u32,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    pub rdev: u32,
    /// Bytes; for a staged file those of its last sealing.
    pub size: u64,
    /// Blocks of 512 bytes.
    pub blocks: u64,
    pub atime_ns: i64,
    pub mtime_ns: i64,
    pub ctime_ns: i64,
    pub content: Content,
}

/// A vnode about to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewVnode<'a> {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub rdev: u32,
    pub size: u64,
    pub atime_ns: i64,
    pub mtime_ns: i64,
    pub ctime_ns: i64,
    pub content: Content,
    /// Of a symlink.
    pub target: &'a [u8],
}

impl Attr {
    /// What makes a vnode like this one; `target` of a symlink.
    pub(crate) fn as_new<'a>(&self, target: &'a [u8]) -> NewVnode<'a> {
        NewVnode {
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            rdev: self.rdev,
            size: self.size,
            atime_ns: self.atime_ns,
            mtime_ns: self.mtime_ns,
            ctime_ns: self.ctime_ns,
            content: self.content,
            target,
        }
    }
}

/// Attributes to set; None leaves one as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetAttr {
    /// Permission bits; the type stays.
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub size: Option<u64>,
    pub atime_ns: Option<i64>,
    pub mtime_ns: Option<i64>,
    pub ctime_ns: Option<i64>,
}

/// A name that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unlinked {
    pub vnode: VnodeNo,
    /// It was the last name: the vnode is gone too.
    pub last: bool,
    pub content: Content,
    /// What it had until then.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

/// What a rename did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renamed {
    pub moved: VnodeNo,
    /// The file whose name was taken over.
    pub replaced: Option<Unlinked>,
    /// The empty directory whose name was taken over.
    pub replaced_dir: Option<VnodeNo>,
}

#[derive(Clone, Copy)]
struct Capacity {
    inodes: u32,
    dentries: u32,
    arena_len: u64,
}

/// A workspace's namespace, backed by the index file at a path.
pub struct Index {
    path: PathBuf,
    /// The memory behind `reader`.
    mapping: Mapping,
    reader: Reader,
    /// While a dump is taken in steps.
    pub(crate) watch: RefCell<Option<Watch>>,
}

impl Index {
    /// A new index with only the root directory, published at `path`.
    pub fn create(path: &Path, params: &Params<'_>) -> io::Result<Index> {
        let capacity = Capacity {
            inodes: FIRST_CAPACITY,
            dentries: FIRST_CAPACITY,
            arena_len: u64::from(FIRST_CAPACITY) * ARENA_PER_DENTRY,
        };
        let index = Index::with_capacity(path, params, capacity)?;
        index.publish()?;
        Ok(index)
    }

    /// As [`Index::create`] but not yet visible to readers.
    pub(crate) fn with_capacity_for(path: &Path, params: &Params<'_>, vnodes: u32) -> io::Result<Index> {
        let count = vnodes.max(FIRST_CAPACITY / 2).saturating_mul(2).min(CAPACITY_MAX);
        let capacity =
            Capacity { inodes: count, dentries: count, arena_len: u64::from(count) * ARENA_PER_DENTRY };
        Index::with_capacity(path, params, capacity)
    }

    fn with_capacity(path: &Path, params: &Params<'_>, capacity: Capacity) -> io::Result<Index> {
        if params.view.len() > PATH_FIELD_MAX || params.home.len() > PATH_FIELD_MAX {
            return Err(io::Error::from_raw_os_error(libc_errno::ENAMETOOLONG));
        }
        let mapping = allocate(path, capacity)?;
        let window = mapping.window();
        window.set_u32(header::WORKSPACE, params.workspace);
        window.set_u64(header::GENERATION, 1);
        for (at, len_at, bytes) in
            [(header::VIEW, header::VIEW_LEN, params.view), (header::HOME, header::HOME_LEN, params.home)]
        {
            window.copy_in(at, bytes);
            window.set_u32(len_at, bytes.len() as u32);
        }
        let index = Index {
            path: path.to_path_buf(),
            reader: reader_of(&mapping)?,
            mapping,
            watch: RefCell::default(),
        };
        let root = ROOT.slot();
        window.set_u32(header::INODE_HIGH, root + 1);
        window.set_u32(header::DENTRY_HIGH, 1);
        window.set_u32(header::VNODE_COUNT, 1);
        let new = NewVnode {
            mode: S_IFDIR | params.root_mode & 0o7777,
            uid: params.root_uid,
            gid: params.root_gid,
            rdev: 0,
            size: 0,
            atime_ns: params.root_time_ns,
            mtime_ns: params.root_time_ns,
            ctime_ns: params.root_time_ns,
            content: Content::None,
            target: &[],
        };
        index.fill_inode(ROOT, &new, 0);
        Ok(index)
    }

    /// Makes this index the one that readers find at its path.
    pub(crate) fn publish(&self) -> io::Result<()> {
        fs::rename(beside(&self.path), &self.path)
    }

    /// Moves a published index to another path, where it is published from then on: for one that was filled
    /// out of the readers' sight.
    pub fn move_to(&mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.path = path.to_path_buf();
        Ok(())
    }

    /// Tells readers that this index is not up to date any more.
    pub fn retire_self(&self) {
        self.window().set_u32(header::RETIRED, 1);
    }

    /// Publishes a generation with room for more, then marks the present one retired. Vnode numbers stay.
    pub fn grow(&mut self) -> io::Result<()> {
        let grown = self.grown()?;
        self.replace(grown)
    }

    /// The same, until there are so many slots, and room for so many more names with so much text.
    pub(crate) fn grow_for(&mut self, slots: u32, names: usize, text_len: usize) -> io::Result<()> {
        let window = self.window();
        let full = || io::Error::from_raw_os_error(libc_errno::ENOSPC);
        let names = u32::try_from(names).map_err(|_| full())?;
        let dentries = window.u32(header::DENTRY_HIGH).checked_add(names).ok_or_else(full)?;
        let arena_len = window.u64(header::ARENA_HIGH) + text_len as u64 + 16;
        let has = [header::INODE_CAPACITY, header::DENTRY_CAPACITY].map(|field| window.u32(field));
        if slots <= has[0] && dentries <= has[1] && arena_len <= window.u64(header::ARENA_CAPACITY) {
            return Ok(());
        }
        let grown = self.grown_to(Capacity { inodes: slots, dentries, arena_len })?;
        self.replace(grown)
    }

    fn replace(&mut self, grown: Index) -> io::Result<()> {
        let old = self.window();
        grown.publish()?;
        old.set_u32(header::RETIRED, 1);
        let grown = Index { watch: self.watch.take().into(), ..grown };
        *self = grown;
        Ok(())
    }

    /// A copy of this index with room for more, not yet published.
    pub(crate) fn grown(&self) -> io::Result<Index> {
        self.grown_to(Capacity { inodes: 0, dentries: 0, arena_len: 0 })
    }

    fn grown_to(&self, least: Capacity) -> io::Result<Index> {
        let old = self.window();
        let capacity = self.next_capacity(old, least)?;
        let mapping = allocate(&self.path, capacity)?;
        let new = mapping.window();
        for at in (header::VIEW..HEADER_LEN).step_by(8) {
            new.set_u64(at, old.u64(at));
        }
        for at in [
            header::WORKSPACE,
            header::INODE_HIGH,
            header::DENTRY_HIGH,
            header::INODE_FREE,
            header::DENTRY_FREE,
            header::VNODE_COUNT,
            header::GENERATION_FLOOR,
            header::VIEW_LEN,
            header::HOME_LEN,
        ] {
            new.set_u32(at, old.u32(at));
        }
        new.set_u64(header::GENERATION, old.u64(header::GENERATION) + 1);
        let grown = Index {
            path: self.path.clone(),
            reader: reader_of(&mapping)?,
            mapping,
            watch: RefCell::default(),
        };
        self.copy_tables(&grown);
        Ok(grown)
    }

    /// Doubles whatever is more than half full, at least to twice `least`; an arena full of dead names only needs the
    /// copy.
    fn next_capacity(&self, window: Window, least: Capacity) -> io::Result<Capacity> {
        let double = |high: u32, capacity: u32| {
            if high > capacity / 2 { capacity.saturating_mul(2) } else { capacity }
        };
        let inodes = double(window.u32(header::INODE_HIGH), window.u32(header::INODE_CAPACITY));
        let dentries = double(window.u32(header::DENTRY_HIGH), window.u32(header::DENTRY_CAPACITY));
        let live = window.u64(header::ARENA_HIGH) - window.u64(header::ARENA_DEAD);
        let arena = window.u64(header::ARENA_CAPACITY);
        let arena_len = if live > arena / 2 { arena * 2 } else { arena };
        let inodes = inodes.max(least.inodes.saturating_mul(2));
        let dentries = dentries.max(least.dentries.saturating_mul(2));
        let arena_len = arena_len.max(least.arena_len * 2).next_multiple_of(8);
        if inodes > CAPACITY_MAX || dentries > CAPACITY_MAX {
            return Err(io::Error::from_raw_os_error(libc_errno::ENOSPC));
        }
        Ok(Capacity { inodes, dentries, arena_len })
    }

    /// Copies inodes and dentries with their numbers; names and targets move together in the new arena, and
    /// buckets are made anew.
    fn copy_tables(&self, to: &Index) {
        let (from, into) = (&self.reader, &to.reader);
        let (old, new) = (self.window(), to.window());
        for slot in 1..old.u32(header::INODE_HIGH) {
            for field in (0..INODE_LEN).step_by(8) {
                new.set_u64(into.inode_field(slot, field), old.u64(from.inode_field(slot, field)));
            }
            if from.vnode(slot).0 != 0 && from.mode(slot) & crate::types::S_IFMT == crate::types::S_IFLNK {
                let mut target = vec![0; from.target_len(slot)];
                from.target(slot, &mut target);
                let offset = to.arena_append(&target);
                new.set_u64(into.inode_field(slot, inode::TARGET_OFFSET), offset);
            }
        }
        let mut name = [0u8; 256];
        for number in 1..old.u32(header::DENTRY_HIGH) {
            for field in (0..DENTRY_LEN).step_by(4) {
                new.set_u32(into.dentry_field(number, field), old.u32(from.dentry_field(number, field)));
            }
            if old.u32(from.dentry_field(number, dentry::PARENT)) != 0 {
                let len = from.name(number, &mut name);
                let offset = to.arena_append(&name[..len]);
                new.set_u32(into.dentry_field(number, dentry::NAME_OFFSET), (offset / 8) as u32);
                to.bucket_insert(number);
            }
        }
    }

    /// Marks the index at `path` as retired, if there is one that this build understands. For what a
    /// daemon that died left behind: open it with [`Index::open_left_behind`] before the new one takes its path.
    pub fn retire(left_behind: &LeftBehind) {
        if let Some(window) = left_behind.mapping.as_ref().map(Mapping::window) {
            window.set_u32(header::RETIRED, 1);
        }
    }

    /// Maps the index that is at `path` now, so that it can be retired after its successor was published.
    pub fn open_left_behind(path: &Path) -> LeftBehind {
        let map = || -> Option<Mapping> {
            let file = OpenOptions::new().read(true).write(true).open(path).ok()?;
            let len = usize::try_from(file.metadata().ok()?.len()).ok()?;
            let mapping = Mapping::new(&file, len.max(HEADER_LEN)).ok().filter(|_| len >= HEADER_LEN)?;
            Reader::new(mapping.window()).is_ok().then_some(mapping)
        };
        LeftBehind { mapping: map() }
    }

    pub(crate) fn window(&self) -> Window {
        // The reader's window is the mapping's; both live in self.
        self.reader.window()
    }

    /// Length of the index file's mapping in bytes; mostly sparse.
    pub fn mapped_len(&self) -> usize {
        self.mapping.window().len()
    }
}

/// A published index, mapped for reading beside its writer.
pub struct MappedReader {
    reader: Reader,
    /// The memory behind `reader`.
    _mapping: Mapping,
}

impl MappedReader {
    /// Maps the generation that is at `path` now.
    pub fn open(path: &Path) -> io::Result<MappedReader> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let mapping = Mapping::new(&file, len)?;
        Ok(MappedReader { reader: reader_of(&mapping)?, _mapping: mapping })
    }
}

impl std::ops::Deref for MappedReader {
    type Target = Reader;
    fn deref(&self) -> &Reader {
        &self.reader
    }
}

/// An index that a daemon before this one published.
pub struct LeftBehind {
    mapping: Option<Mapping>,
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("new")
}

fn reader_of(mapping: &Mapping) -> io::Result<Reader> {
    Reader::new(mapping.window()).map_err(|error| io::Error::other(format!("index header: {error:?}")))
}

/// A sparse file beside `path` with an empty header and tables.
fn allocate(path: &Path, capacity: Capacity) -> io::Result<Mapping> {
    let buckets = capacity.dentries.next_power_of_two();
    let inode_offset = HEADER_LEN as u64;
    let dentry_offset = inode_offset + u64::from(capacity.inodes) * INODE_LEN as u64;
    let bucket_offset = dentry_offset + u64::from(capacity.dentries) * DENTRY_LEN as u64;
    let arena_offset = (bucket_offset + u64::from(buckets) * 4).next_multiple_of(8);
    let total_len = (arena_offset + capacity.arena_len).next_multiple_of(4096);
    let new_path = beside(path);
    let _ = fs::remove_file(&new_path);
    let file: File =
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&new_path)?;
    file.set_len(total_len)?;
    let len = usize::try_from(total_len).map_err(io::Error::other)?;
    let mapping = Mapping::new(&file, len)?;
    let window = mapping.window();
    window.set_u32(header::VERSION, LAYOUT_VERSION);
    window.set_u64(header::TOTAL_LEN, total_len);
    window.set_u32(header::INODE_CAPACITY, capacity.inodes);
    window.set_u32(header::DENTRY_CAPACITY, capacity.dentries);
    window.set_u32(header::BUCKET_COUNT, buckets);
    window.set_u64(header::INODE_OFFSET, inode_offset);
    window.set_u64(header::DENTRY_OFFSET, dentry_offset);
    window.set_u64(header::BUCKET_OFFSET, bucket_offset);
    window.set_u64(header::ARENA_OFFSET, arena_offset);
    window.set_u64(header::ARENA_CAPACITY, total_len - arena_offset);
    window.set_u64(header::MAGIC, MAGIC);
    Ok(mapping)
}

/// The errno values that the namespace answers with (Linux, all architectures alike).
pub(crate) mod libc_errno {
    pub const EPERM: i32 = 1;
    pub const ENOENT: i32 = 2;
    pub const EEXIST: i32 = 17;
    pub const ENOTDIR: i32 = 20;
    pub const EISDIR: i32 = 21;
    pub const EINVAL: i32 = 22;
    pub const ENOSPC: i32 = 28;
    pub const EMLINK: i32 = 31;
    pub const ENAMETOOLONG: i32 = 36;
    pub const ENOTEMPTY: i32 = 39;
}

const _: () = assert!(layout::PATH_FIELD_MAX < 4096);
