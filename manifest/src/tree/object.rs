//! The bytes of a directory object. All integers little-endian.
//!
//! ```text
//! magic u64 "VRIFTDO1" | entry count u32
//! per entry, by ascending name:
//!   name length u16, name, vnode u64, mode, nlink, uid, gid, rdev u32, size, blocks u64,
//!   atime, mtime, ctime i64 (ns), kind u8 (0 nothing more, 1 file: hash, 2 directory: address, 3 symlink: target)
//!   32 bytes of hash or address | target length u16, target
//!   attribute count u16, per attribute: name length u16, name, value length u32, value
//! ```

use super::Address;
use crate::index::Attr;
use crate::types::{Content, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, VnodeNo};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io;

const MAGIC: u64 = u64::from_le_bytes(*b"VRIFTDO1");
/// Longest name, as NAME_MAX.
const NAME_MAX: usize = 255;
/// Longest symlink target.
const TARGET_MAX: usize = 4095;
/// Most bytes of one extended attribute's value, as XATTR_SIZE_MAX.
const XATTR_VALUE_MAX: usize = 64 * 1024;

mod kind {
    pub const PLAIN: u8 = 0;
    pub const FILE: u8 = 1;
    pub const DIRECTORY: u8 = 2;
    pub const SYMLINK: u8 = 3;
}

/// Extended attributes of a vnode.
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// One name of a directory, with everything that is known of what it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: Vec<u8>,
    /// Never [`Content::Staged`].
    pub attr: Attr,
    /// Of a directory: the address of its own object.
    pub object: Option<Address>,
    /// Of a symlink.
    pub target: Vec<u8>,
    pub xattrs: Xattrs,
}

/// A whole tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeRoot {
    /// The root directory; its name is empty.
    pub entry: Entry,
    /// Slots that vnode numbers of the tree use are below this.
    pub slots: u32,
    /// No vnode of the tree has this generation or a later one.
    pub generation_floor: u32,
}

impl TreeRoot {
    /// Address of the root directory's object.
    pub fn address(&self) -> Address {
        self.entry.object.unwrap_or_default()
    }

    /// An object with the root as its only entry, then slots u32 and generation floor u32.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = encode(std::slice::from_ref(&self.entry));
        bytes.extend_from_slice(&self.slots.to_le_bytes());
        bytes.extend_from_slice(&self.generation_floor.to_le_bytes());
        bytes
    }

    /// # Errors
    /// `InvalidData`.
    pub fn decode(bytes: &[u8]) -> io::Result<TreeRoot> {
        let (object, tail) =
            bytes.split_at_checked(bytes.len().saturating_sub(8)).ok_or_else(|| bad("root"))?;
        let mut entries = parse(object, true)?;
        let mut tail = Fields(tail);
        let (slots, generation_floor) = (u32::from_le_bytes(tail.take()?), u32::from_le_bytes(tail.take()?));
        match (entries.pop(), entries.pop()) {
            (Some(entry), None) if entry.object.is_some() => Ok(TreeRoot { entry, slots, generation_floor }),
            _ => Err(bad("root")),
        }
    }
}

/// The bytes of a directory's object; `entries` by ascending name.
pub fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut to = Vec::with_capacity(12 + entries.len() * 144);
    to.extend_from_slice(&MAGIC.to_le_bytes());
    to.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    for entry in entries {
        encode_entry(&mut to, entry);
    }
    to
}

fn encode_entry(to: &mut Vec<u8>, entry: &Entry) {
    let attr = &entry.attr;
    to.extend_from_slice(&(entry.name.len() as u16).to_le_bytes());
    to.extend_from_slice(&entry.name);
    to.extend_from_slice(&attr.vnode.0.to_le_bytes());
    for value in [attr.mode, attr.nlink, attr.uid, attr.gid, attr.rdev] {
        to.extend_from_slice(&value.to_le_bytes());
    }
    for value in [attr.size, attr.blocks] {
        to.extend_from_slice(&value.to_le_bytes());
    }
    for value in [attr.atime_ns, attr.mtime_ns, attr.ctime_ns] {
        to.extend_from_slice(&value.to_le_bytes());
    }
    match (attr.content, entry.object) {
        (Content::Sealed(hash), _) => {
            to.push(kind::FILE);
            to.extend_from_slice(&hash);
        }
        (_, Some(address)) => {
            to.push(kind::DIRECTORY);
            to.extend_from_slice(&address);
        }
        _ if attr.mode & S_IFMT == S_IFLNK => {
            to.push(kind::SYMLINK);
            to.extend_from_slice(&(entry.target.len() as u16).to_le_bytes());
            to.extend_from_slice(&entry.target);
        }
        _ => to.push(kind::PLAIN),
    }
    to.extend_from_slice(&(entry.xattrs.len() as u16).to_le_bytes());
    for (name, value) in &entry.xattrs {
        to.extend_from_slice(&(name.len() as u16).to_le_bytes());
        to.extend_from_slice(name);
        to.extend_from_slice(&(value.len() as u32).to_le_bytes());
        to.extend_from_slice(value);
    }
}

/// An entry that is still in its object's bytes: whole trees are read without a copy of each name.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    pub name: &'a [u8],
    pub attr: Attr,
    pub object: Option<Address>,
    pub target: &'a [u8],
    xattr_count: u16,
    xattrs: &'a [u8],
}

impl EntryRef<'_> {
    pub fn has_xattrs(&self) -> bool {
        self.xattr_count != 0
    }

    pub fn xattrs(&self) -> Xattrs {
        let mut from = Fields(self.xattrs);
        let mut xattrs = Xattrs::new();
        // Their form was checked when the entry was read.
        while let Ok((name, value)) = from.xattr() {
            xattrs.insert(name.to_vec(), value.to_vec());
        }
        xattrs
    }

    pub fn to_entry(&self) -> Entry {
        Entry {
            name: self.name.to_vec(),
            attr: self.attr,
            object: self.object,
            target: self.target.to_vec(),
            xattrs: self.xattrs(),
        }
    }
}

/// The entries of a directory's object.
///
/// # Errors
/// `InvalidData`: not what [`encode`] writes.
pub fn decode(bytes: &[u8]) -> io::Result<Vec<Entry>> {
    parse(bytes, false)
}

/// Calls `each` with the entries of a directory's object.
///
/// # Errors
/// As [`decode`], and those of `each`.
pub fn visit<'a>(bytes: &'a [u8], each: &mut dyn FnMut(&EntryRef<'a>) -> io::Result<()>) -> io::Result<()> {
    walk(bytes, false, each)
}

fn parse(bytes: &[u8], is_root: bool) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    walk(bytes, is_root, &mut |entry| {
        entries.push(entry.to_entry());
        Ok(())
    })?;
    Ok(entries)
}

fn walk<'a>(
    bytes: &'a [u8],
    is_root: bool,
    each: &mut dyn FnMut(&EntryRef<'a>) -> io::Result<()>,
) -> io::Result<()> {
    let mut from = Fields(bytes);
    if u64::from_le_bytes(from.take()?) != MAGIC {
        return Err(bad("magic"));
    }
    let mut last: &[u8] = &[];
    for _ in 0..u32::from_le_bytes(from.take()?) {
        let entry = from.entry()?;
        let is_name = entry.name > last
            && entry.name.len() <= NAME_MAX
            && !entry.name.iter().any(|byte| matches!(byte, b'/' | 0))
            && !matches!(entry.name, b"." | b"..");
        if is_name == is_root || (is_root && !entry.name.is_empty()) {
            return Err(bad("name"));
        }
        last = entry.name;
        each(&entry)?;
    }
    if from.0.is_empty() { Ok(()) } else { Err(bad("length")) }
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn raw(&mut self, len: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or_else(|| bad("length"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        self.raw(N)?.try_into().map_err(|_| bad("length"))
    }

    fn short(&mut self) -> io::Result<usize> {
        Ok(usize::from(u16::from_le_bytes(self.take()?)))
    }

    fn entry(&mut self) -> io::Result<EntryRef<'a>> {
        let len = self.short()?;
        let name = self.raw(len)?;
        let vnode = VnodeNo(u64::from_le_bytes(self.take()?));
        let mut words = [0u32; 5];
        for word in &mut words {
            *word = u32::from_le_bytes(self.take()?);
        }
        let [mode, nlink, uid, gid, rdev] = words;
        let (size, blocks) = (u64::from_le_bytes(self.take()?), u64::from_le_bytes(self.take()?));
        let mut times = [0i64; 3];
        for time in &mut times {
            *time = i64::from_le_bytes(self.take()?);
        }
        let [atime_ns, mtime_ns, ctime_ns] = times;
        let (mut content, mut object, mut target) = (Content::None, None, &[][..]);
        let kind: [u8; 1] = self.take()?;
        match kind[0] {
            kind::FILE => content = Content::Sealed(self.take()?),
            kind::DIRECTORY => object = Some(self.take()?),
            kind::SYMLINK => {
                let len = self.short()?;
                target = self.raw(len)?;
            }
            kind::PLAIN => {}
            _ => return Err(bad("kind")),
        }
        let expected = match mode & S_IFMT {
            S_IFREG => kind::FILE,
            S_IFDIR => kind::DIRECTORY,
            S_IFLNK => kind::SYMLINK,
            _ => kind::PLAIN,
        };
        if kind[0] != expected || vnode.slot() == 0 || target.len() > TARGET_MAX {
            return Err(bad("vnode"));
        }
        let attr =
            Attr { vnode, mode, nlink, uid, gid, rdev, size, blocks, atime_ns, mtime_ns, ctime_ns, content };
        let xattr_count = u16::from_le_bytes(self.take()?);
        let before = self.0;
        for _ in 0..xattr_count {
            self.xattr()?;
        }
        let xattrs = &before[..before.len() - self.0.len()];
        Ok(EntryRef { name, attr, object, target, xattr_count, xattrs })
    }

    fn xattr(&mut self) -> io::Result<(&'a [u8], &'a [u8])> {
        let len = self.short()?;
        let name = self.raw(len)?;
        let len = u32::from_le_bytes(self.take()?) as usize;
        if name.len() > NAME_MAX || len > XATTR_VALUE_MAX {
            return Err(bad("attribute"));
        }
        Ok((name, self.raw(len)?))
    }
}

/// The entries of two directories by name: those of one name together.
pub(super) fn side_by_side(
    old: Vec<Entry>,
    new: Vec<Entry>,
) -> impl Iterator<Item = (Option<Entry>, Option<Entry>)> {
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    std::iter::from_fn(move || {
        let order = match (old.peek(), new.peek()) {
            (Some(old), Some(new)) => old.name.cmp(&new.name),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        let one = if order == Ordering::Greater { None } else { old.next() };
        let two = if order == Ordering::Less { None } else { new.next() };
        Some((one, two))
    })
}

pub(super) fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("directory object: bad {what}"))
}
