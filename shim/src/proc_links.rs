//! Links of /proc and /dev that stand for an open file, a program or a working directory: the kernel follows them
//! to the file itself, not to a name. Behind one that is the view's lies a blob, which must not be written, so the
//! path is taken for what the fd is.

use crate::fds::{self, FdKind};
use crate::raw::{self, Errno};
use crate::resolve::{Attr, Inside};
use crate::text::{PathText, Text};
use crate::view;
use core::ffi::c_int;
use vrift_manifest::VnodeNo;

/// The fd of this process that a path names.
fn own_fd(path: &[u8]) -> Option<c_int> {
    let digits = match path {
        b"/dev/stdin" => return Some(0),
        b"/dev/stdout" => return Some(1),
        b"/dev/stderr" => return Some(2),
        _ => [&b"/dev/fd/"[..], b"/proc/self/fd/", b"/proc/thread-self/fd/"]
            .iter()
            .find_map(|prefix| path.strip_prefix(*prefix))?,
    };
    let step = |number: c_int, digit: &u8| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(c_int::from(digit - b'0')),
        _ => None,
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, step) }
}

/// Whether a path has the form of such a link of some process.
fn is_link(path: &[u8]) -> bool {
    let Some(rest) = path.strip_prefix(b"/proc/") else { return false };
    let mut parts = rest.rsplit(|byte| *byte == b'/');
    let (last, before) = (parts.next().unwrap_or(b""), parts.next().unwrap_or(b""));
    matches!(last, b"exe" | b"cwd") || before == b"fd" && last.iter().all(u8::is_ascii_digit)
}

/// The real file behind such a link, without the remark that its name is gone.
fn real_of(path: &[u8], real: &mut PathText) -> Result<(), Errno> {
    let link = PathText::from_parts(&[path]);
    raw::readlink_text(link.as_c_str(), real)?;
    let deleted = real.as_bytes().strip_suffix(b" (deleted)").map(<[u8]>::len);
    real.truncate(deleted.unwrap_or(usize::MAX));
    Ok(())
}

/// The vnode that a link stands for; None: it is no such link, or not the view's.
#[inline(always)]
pub fn vnode(path: &[u8]) -> Option<VnodeNo> {
    if path.starts_with(b"/proc/") || path.starts_with(b"/dev/") { look(path) } else { None }
}

#[inline(never)]
fn look(path: &[u8]) -> Option<VnodeNo> {
    if let Some(fd) = own_fd(path) {
        return match fds::identify(fd) {
            FdKind::View(vnode) => Some(vnode),
            FdKind::Outside => None,
        };
    }
    if is_link(path) { vnode_of_link(path) } else { None }
}

#[inline(never)]
fn vnode_of_link(path: &[u8]) -> Option<VnodeNo> {
    let mut real = PathText::new();
    real_of(path, &mut real).ok()?;
    fds::vnode_of_real_path(real.as_bytes()).ok().flatten()
}

/// What the link leads to, as the end of a path in the view; None: its last name is gone.
pub fn inside(vnode: VnodeNo) -> Result<Option<Inside>, Errno> {
    view::read(|reader| {
        let slot = reader.slot(vnode)?;
        let (mut parent, mut name) = (slot, Text::new());
        if let Some((dir, dentry)) = reader.naming_dentry(slot) {
            let mut bytes = [0u8; 256];
            let len = reader.name(dentry, &mut bytes);
            parent = dir;
            name.push(bytes.get(..len).unwrap_or(&[]));
        }
        Some(Inside {
            parent: Attr::of(reader, parent),
            name,
            target: Some(Attr::of(reader, slot)),
            slash: false,
        })
    })
}

/// Whether a link leads to sealed bytes: what is open of a file whose last name is gone.
pub fn is_sealed(path: &[u8]) -> Result<bool, Errno> {
    if vnode(path).is_none() { Ok(false) } else { leads_to_sealed(path) }
}

#[inline(never)]
fn leads_to_sealed(path: &[u8]) -> Result<bool, Errno> {
    let mut real = PathText::new();
    let known = match own_fd(path) {
        Some(fd) => fds::path_of(fd, &mut real),
        None => real_of(path, &mut real),
    };
    Ok(known.is_ok() && real.as_bytes().starts_with(view::hot_prefix()?.as_bytes()))
}
