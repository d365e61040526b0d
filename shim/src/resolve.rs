//! Path resolution by the kernel's rules (path_resolution(7)) over the index: search permission on every
//! directory, symlinks up to 40, `..` out of the view and back in, trailing slashes, NAME_MAX and PATH_MAX.

use crate::creds::{Creds, SEARCH};
use crate::elsewhere::Elsewhere;
use crate::fds;
use crate::init;
use crate::outside::{self, Leads};
use crate::proc_links;
use crate::raw::Errno;
use crate::start::{Start, joined_start, plain_start, reaches_view};
use crate::text::{PATH_MAX, PathText, Text, below, bytes_of};
use crate::view;
use core::ffi::{c_char, c_int};
use vrift_manifest::types::{S_IFDIR, S_IFLNK, S_IFMT};
use vrift_manifest::{Content, ROOT, Reader, VnodeNo};

/// As the kernel's MAXSYMLINKS.
const SYMLINKS_MAX: u32 = 40;
const NAME_MAX: usize = 255;

/// One vnode's attributes, read together with the walk that found it.
#[derive(Clone, Copy)]
pub struct Attr {
    pub vnode: VnodeNo,
    pub mode: u32,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    pub rdev: u32,
    pub size: u64,
    pub blocks: u64,
    /// atime, mtime, ctime
    pub times_ns: [i64; 3],
    pub content: Content,
}

impl Attr {
    pub fn of(reader: &Reader, slot: u32) -> Attr {
        let mode = reader.mode(slot);
        Attr {
            vnode: reader.vnode(slot),
            mode,
            nlink: reader.nlink(slot),
            uid: reader.uid(slot),
            gid: reader.gid(slot),
            rdev: if matches!(mode & S_IFMT, libc::S_IFCHR | libc::S_IFBLK) { reader.rdev(slot) } else { 0 },
            size: reader.size(slot),
            blocks: reader.blocks(slot),
            times_ns: reader.times_ns(slot),
            content: reader.content(slot),
        }
    }

    pub fn kind(&self) -> u32 {
        self.mode & S_IFMT
    }

    pub fn is_dir(&self) -> bool {
        self.kind() == S_IFDIR
    }

    pub fn is_symlink(&self) -> bool {
        self.kind() == S_IFLNK
    }

    pub fn may(&self, creds: &Creds, want: u32) -> bool {
        creds.may(self.mode, self.uid, self.gid, want)
    }
}

/// A path that ends inside the view.
pub struct Inside {
    /// The directory of the last component (the vnode itself for the root).
    pub parent: Attr,
    /// The last component; `.`, `..` or empty (the root) when [`Inside::is_plain`] is false.
    pub name: Text<256>,
    /// What the name stands for, if it exists.
    pub target: Option<Attr>,
    /// The path ended with a slash: only a directory will do.
    pub slash: bool,
}

impl Inside {
    /// Whether the last component is an ordinary name, so that it can be created, removed or renamed.
    pub fn is_plain(&self) -> bool {
        !matches!(self.name.as_bytes(), b"" | b"." | b"..")
    }

    /// The target, or ENOENT; ENOTDIR when a slash asks for a directory.
    pub fn existing(&self) -> Result<&Attr, Errno> {
        let attr = self.target.as_ref().ok_or(libc::ENOENT)?;
        if self.slash && !attr.is_dir() { Err(libc::ENOTDIR) } else { Ok(attr) }
    }
}

/// Where a path leads.
#[expect(clippy::large_enum_variant, reason = "there is no heap to put it on")]
pub enum Place {
    /// Out of the view (or this process is in none): the call goes on as it is.
    Outside,
    /// Out of the view, by way of the view: the call goes on with the absolute path in `elsewhere`.
    Elsewhere,
    Inside(Inside),
}

/// Resolves `path` as openat(2) and its kin would. `follow`: a symlink as the last component is followed.
/// `elsewhere` is written for [`Place::Elsewhere`].
///
/// # Safety
/// `path` is null or a C string.
pub unsafe fn resolve(
    dirfd: c_int,
    path: *const c_char,
    follow: bool,
    elsewhere: &mut Elsewhere,
) -> Result<Place, Errno> {
    if !init::in_view() {
        return Ok(Place::Outside);
    }
    // SAFETY: by contract.
    match unsafe { bytes_of(path) } {
        Some(path) => resolve_bytes(dirfd, path, follow, &Creds::effective(), elsewhere),
        None => Ok(Place::Outside),
    }
}

/// As [`resolve`] for the calls that make, remove and move names: the last component is what the call is about,
/// so a symlink there is not followed, not even where slashes come behind it (LOOKUP_PARENT in fs/namei.c).
///
/// # Safety
/// `path` is null or a C string.
pub unsafe fn resolve_name(
    dirfd: c_int,
    path: *const c_char,
    elsewhere: &mut Elsewhere,
) -> Result<Place, Errno> {
    if !init::in_view() {
        return Ok(Place::Outside);
    }
    // SAFETY: by contract.
    let given = unsafe { bytes_of(path) }.unwrap_or(b"");
    let len = given.iter().rposition(|byte| *byte != b'/').map_or(given.len(), |at| at + 1);
    match resolve_bytes(dirfd, &given[..len], false, &Creds::effective(), elsewhere)? {
        Place::Outside => Ok(Place::Outside),
        _ if given.len() >= PATH_MAX => Err(libc::ENAMETOOLONG),
        Place::Elsewhere => {
            elsewhere.text()?.push(&given[len..]);
            Ok(Place::Elsewhere)
        }
        Place::Inside(mut inside) => {
            inside.slash |= len < given.len();
            Ok(Place::Inside(inside))
        }
    }
}

/// As [`resolve`], for a path that is not null, judged by `creds`.
pub fn resolve_bytes(
    dirfd: c_int,
    path: &[u8],
    follow: bool,
    creds: &Creds,
    elsewhere: &mut Elsewhere,
) -> Result<Place, Errno> {
    if follow
        && let Some(vnode) = proc_links::vnode(path)
        && let Some(inside) = proc_links::inside(vnode)?
    {
        return Ok(Place::Inside(inside));
    }
    let start = match plain_start(dirfd, path)? {
        Some(start) if init::settings().worktree.is_empty() => start,
        start => return resolve_joined(start, dirfd, path, follow, creds, elsewhere),
    };
    let (rest, vnode) = match start {
        Start::At(vnode) => (path, vnode),
        Start::View { skip } => (&path[skip..], ROOT),
        _ => return Ok(Place::Outside),
    };
    if path.len() >= PATH_MAX {
        return Err(libc::ENAMETOOLONG);
    }
    walk_from(vnode, rest, follow, creds, elsewhere).map_err(|errno| match start {
        // A file that has no name (any more) is still no directory.
        Start::At(_) if errno == libc::ENOENT && dirfd != libc::AT_FDCWD && !fds::is_dir(dirfd) => {
            libc::ENOTDIR
        }
        _ => errno,
    })
}

/// As [`resolve_bytes`], for paths that have to be joined, normalised or looked at outside first.
#[inline(never)]
fn resolve_joined(
    start: Option<Start>,
    dirfd: c_int,
    path: &[u8],
    follow: bool,
    creds: &Creds,
    elsewhere: &mut Elsewhere,
) -> Result<Place, Errno> {
    let mut joined = PathText::new();
    let start = match start {
        Some(start) => start,
        None => joined_start(dirfd, path, &mut joined)?,
    };
    if !init::settings().worktree.is_empty() {
        return in_worktree(start, path, &joined, elsewhere);
    }
    let view = init::settings().view.as_bytes();
    let (rest, vnode) = match start {
        Start::AtJoined(vnode) => (joined.as_bytes(), vnode),
        Start::Joined => (below(joined.as_bytes(), view).unwrap_or(b""), ROOT),
        _ => return Ok(Place::Outside),
    };
    if path.len() >= PATH_MAX {
        return Err(libc::ENAMETOOLONG);
    }
    walk_from(vnode, rest, follow, creds, elsewhere)
}

fn walk_from(
    start: VnodeNo,
    path: &[u8],
    follow: bool,
    creds: &Creds,
    elsewhere: &mut Elsewhere,
) -> Result<Place, Errno> {
    view::count(vrift_protocol::counters::LOOKUPS);
    match view::read(|reader| walk(reader, start, path, follow, creds, None, elsewhere))? {
        Ok(Walked::Inside(inside)) => Ok(Place::Inside(inside)),
        Ok(Walked::NeedsBuffers) => walk_long(start, path, follow, creds, elsewhere),
        Ok(Walked::Left { links }) => after_leaving(follow, creds, links, elsewhere),
        Err(errno) => Err(errno),
    }
}

/// In a process that has an ordinary directory in the view's place: only absolute paths need to be turned.
#[inline(never)]
fn in_worktree(
    start: Start,
    path: &[u8],
    joined: &PathText,
    elsewhere: &mut Elsewhere,
) -> Result<Place, Errno> {
    let rest = match start {
        Start::View { skip } => path.get(skip..),
        Start::Joined => below(joined.as_bytes(), init::settings().view.as_bytes()),
        Start::Outside | Start::At(_) | Start::AtJoined(_) => None,
    };
    let Some(rest) = rest else { return Ok(Place::Outside) };
    let to = elsewhere.text()?;
    to.clear();
    to.push(init::settings().worktree.as_bytes());
    if !rest.is_empty() && rest.first() != Some(&b'/') {
        to.push(b"/");
    }
    to.push(rest);
    if to.overflowed() { Err(libc::ENAMETOOLONG) } else { Ok(Place::Elsewhere) }
}

/// The walk again, with room for symlink targets.
#[inline(never)]
fn walk_long(
    start: VnodeNo,
    path: &[u8],
    follow: bool,
    creds: &Creds,
    elsewhere: &mut Elsewhere,
) -> Result<Place, Errno> {
    let mut buffers = Buffers { texts: [PathText::new(), PathText::new()], links: 0 };
    match view::read(|reader| walk(reader, start, path, follow, creds, Some(&mut buffers), elsewhere))?? {
        Walked::Inside(inside) => Ok(Place::Inside(inside)),
        Walked::Left { links } => after_leaving(follow, creds, links, elsewhere),
        Walked::NeedsBuffers => Err(libc::ELOOP),
    }
}

/// A walk that left the view may come back into it: `..` past the root and down again, or an absolute symlink.
#[inline(never)]
fn after_leaving(
    follow: bool,
    creds: &Creds,
    mut links: u32,
    elsewhere: &mut Elsewhere,
) -> Result<Place, Errno> {
    let mut buffers = Buffers { texts: [PathText::new(), PathText::new()], links: 0 };
    loop {
        let mut normal = PathText::new();
        let view = init::settings().view.as_bytes();
        let mut start = ROOT;
        if !reaches_view(elsewhere.as_bytes(), 0, &mut normal) {
            match outside::look(elsewhere.as_bytes(), &mut normal) {
                Leads::Outside => return Ok(Place::Elsewhere),
                Leads::At(vnode) => start = vnode,
                Leads::View => {}
            }
        }
        let rest = below(normal.as_bytes(), view).unwrap_or(normal.as_bytes());
        let again = view::read(|reader| {
            buffers.links = links;
            walk(reader, start, rest, follow, creds, Some(&mut buffers), elsewhere)
        })??;
        match again {
            Walked::Inside(inside) => return Ok(Place::Inside(inside)),
            Walked::Left { links: used } if used <= SYMLINKS_MAX => links = used.max(links + 1),
            _ => return Err(libc::ELOOP),
        }
    }
}

#[expect(clippy::large_enum_variant, reason = "there is no heap to put it on")]
enum Walked {
    Inside(Inside),
    /// The walk went out of the view, to the absolute path in `elsewhere`.
    Left {
        links: u32,
    },
    /// A symlink has to be followed and there was nowhere to put its target.
    NeedsBuffers,
}

/// Room for symlink targets: while one text is walked, the next is composed in the other.
struct Buffers {
    texts: [PathText; 2],
    /// Symlinks followed before this walk.
    links: u32,
}

/// One walk over one consistent state of the index.
#[inline(never)]
fn walk(
    reader: &Reader,
    start: VnodeNo,
    path: &[u8],
    follow: bool,
    creds: &Creds,
    mut buffers: Option<&mut Buffers>,
    elsewhere: &mut Elsewhere,
) -> Result<Walked, Errno> {
    let mut links = buffers.as_ref().map_or(0, |buffers| buffers.links);
    let mut dir = reader.slot(start).ok_or(libc::ENOENT)?;
    if !reader.is_dir(dir) {
        return Err(libc::ENOTDIR);
    }
    // Which text is walked: None is `path`; `at` is how far.
    let mut text: Option<usize> = None;
    let mut at = 0;
    let mut last: (u32, Text<256>) = (dir, Text::new());
    loop {
        let whole = match (text, &buffers) {
            (Some(which), Some(buffers)) => buffers.texts[which].as_bytes(),
            _ => path,
        };
        let rest = &whole[at..];
        let slashes = rest.iter().take_while(|byte| **byte == b'/').count();
        let rest = &rest[slashes..];
        at += slashes;
        if rest.is_empty() {
            let (parent, name) = &last;
            return Ok(Walked::Inside(inside_of(reader, *parent, name.as_bytes(), Some(dir), slashes != 0)));
        }
        let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let is_last = after.iter().all(|byte| *byte == b'/');
        if !creds.may(reader.mode(dir), reader.uid(dir), reader.gid(dir), SEARCH) {
            return Err(libc::EACCES);
        }
        if name == b".." {
            if dir == ROOT.slot() {
                above_view(after, elsewhere.text()?)?;
                return Ok(Walked::Left { links });
            }
            dir = reader.naming_dentry(dir).map(|(parent, _)| parent).ok_or(libc::ENOENT)?;
        }
        if matches!(name, b"." | b"..") {
            last = (dir, Text::from_parts(&[name]));
            at += end;
            continue;
        }
        if name.len() > NAME_MAX {
            return Err(libc::ENAMETOOLONG);
        }
        let child = reader.lookup(dir, name);
        let kind = child.map_or(0, |child| reader.mode(child) & S_IFMT);
        if kind == S_IFLNK && (follow || !after.is_empty()) {
            links += 1;
            if links > SYMLINKS_MAX {
                return Err(libc::ELOOP);
            }
            let Some(buffers) = buffers.as_deref_mut() else { return Ok(Walked::NeedsBuffers) };
            let next = text.map_or(0, |which| 1 - which);
            let start_of_after = at + end;
            let [zero, one] = &mut buffers.texts;
            let (from, to) = match text {
                None => (path, zero),
                Some(0) => (zero.as_bytes(), one),
                Some(_) => (one.as_bytes(), zero),
            };
            expand(reader, child.unwrap_or(0), &from[start_of_after.min(from.len())..], to)?;
            if to.as_bytes().first() == Some(&b'/') {
                let onward = elsewhere.text()?;
                onward.clear();
                onward.push(to.as_bytes());
                return Ok(Walked::Left { links });
            }
            (text, at) = (Some(next), 0);
            continue;
        }
        if is_last {
            return Ok(Walked::Inside(inside_of(reader, dir, name, child, !after.is_empty())));
        }
        let child = child.ok_or(libc::ENOENT)?;
        if kind != S_IFDIR {
            return Err(libc::ENOTDIR);
        }
        last = (dir, Text::from_parts(&[name]));
        dir = child;
        at += end;
    }
}

fn inside_of(reader: &Reader, parent: u32, name: &[u8], child: Option<u32>, slash: bool) -> Inside {
    Inside {
        parent: Attr::of(reader, parent),
        name: Text::from_parts(&[name]),
        target: child.map(|child| Attr::of(reader, child)),
        slash,
    }
}

/// The target of a symlink followed by what is left of the path.
fn expand(reader: &Reader, slot: u32, after: &[u8], to: &mut PathText) -> Result<(), Errno> {
    let len = reader.target_len(slot);
    if len == 0 || !to.fill_len(len, |bytes| reader.target(slot, bytes) == len) {
        return Err(libc::ENOENT);
    }
    to.push(after);
    if to.overflowed() { Err(libc::ENAMETOOLONG) } else { Ok(()) }
}

/// The directory above the view, and what is left of the path.
fn above_view(after: &[u8], to: &mut PathText) -> Result<(), Errno> {
    let view = init::settings().view.as_bytes();
    let end = view.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    to.clear();
    to.push(&view[..end]);
    to.push(if after.is_empty() { b"/" } else { after });
    if to.overflowed() { Err(libc::ENAMETOOLONG) } else { Ok(()) }
}
