//! Paths outside the view that lead into it by a symlink or by /proc: the kernel would go to the real tree.
//!
//! Which real directory a path's folder is, is asked of the kernel once for each folder and process; folders that
//! do not lead into the view, and those that do not exist, are remembered. The last component is not looked at:
//! a symlink outside whose own target is a file of the view is the kernel's (`docs/limits.md`).

use crate::fds;
use crate::init;
use crate::memory;
use crate::raw;
use crate::text::{PathText, below};
use core::sync::atomic::{AtomicU64, Ordering};
use vrift_manifest::VnodeNo;

/// Folders remembered; a compiler looks into some twenty.
const REMEMBERED: usize = 512;
pub struct CleanFolders([AtomicU64; REMEMBERED]);

/// Where an absolute path outside really leads.
pub enum Leads {
    Outside,
    /// Into the view: `rest` from this directory.
    At(VnodeNo),
    /// Into the view: the absolute path `rest`.
    View,
}

/// Looks at the folders of an absolute path; `rest` is written when it leads into the view.
#[inline(never)]
pub fn look(path: &[u8], rest: &mut PathText) -> Leads {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    let mut cut = path[..end].iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    let is_proc = path.starts_with(b"/proc/");
    let folder = &path[..cut];
    while cut > 0 {
        let dir = &path[..cut];
        if !is_proc && is_clean(dir) {
            remember(folder);
            return Leads::Outside;
        }
        let mut name = PathText::from_parts(&[dir]);
        match raw::open(name.as_c_str(), libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) {
            Ok(fd) => {
                let known = fds::path_of(fd, &mut name);
                raw::close(fd);
                if known.is_err() {
                    return Leads::Outside;
                }
                let leads = judge(&name, &path[cut..], rest);
                if !is_proc && matches!(leads, Leads::Outside) {
                    remember(dir);
                    remember(folder);
                }
                return leads;
            }
            // It may be there in the view though not in the real tree: as what a symlink means, or further up.
            Err(libc::ENOENT | libc::ENOTDIR) => {
                if dangles_into_view(dir, &path[cut..], rest) {
                    return Leads::View;
                }
                cut = dir.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            }
            Err(_) => return Leads::Outside,
        }
    }
    Leads::Outside
}

/// Whether `dir` is a symlink whose target is in the view by its text; then `rest` is where the path leads.
fn dangles_into_view(dir: &[u8], after: &[u8], rest: &mut PathText) -> bool {
    let name = PathText::from_parts(&[dir]);
    let mut target = PathText::new();
    if target.fill(|to| raw::readlink(name.as_c_str(), to)).is_err() {
        return false;
    }
    let parent = dir.iter().rposition(|byte| *byte == b'/').map_or(dir, |slash| &dir[..slash + 1]);
    let base: &[u8] = if target.as_bytes().starts_with(b"/") { b"" } else { parent };
    *rest = crate::resolve::normalised(PathText::from_parts(&[base, target.as_bytes(), after]).as_bytes());
    below(rest.as_bytes(), init::settings().view.as_bytes()).is_some()
}

fn judge(real: &PathText, after: &[u8], rest: &mut PathText) -> Leads {
    let real = real.as_bytes();
    rest.clear();
    if below(real, init::settings().view.as_bytes()).is_some() {
        rest.push(real);
        rest.push(after);
        return if rest.overflowed() { Leads::Outside } else { Leads::View };
    }
    if let Ok(Some(vnode)) = fds::mirror_vnode(real) {
        rest.push(after);
        return Leads::At(vnode);
    }
    Leads::Outside
}

/// FNV-1a, never 0.
fn hash(dir: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    dir.iter().fold(0xcbf2_9ce4_8422_2325, step) | 1
}

fn place(hash: u64) -> Option<&'static AtomicU64> {
    memory::get().ok()?.clean.0.get((hash >> 32) as usize % REMEMBERED)
}

fn is_clean(dir: &[u8]) -> bool {
    let hash = hash(dir);
    place(hash).is_some_and(|place| place.load(Ordering::Relaxed) == hash)
}

fn remember(dir: &[u8]) {
    let hash = hash(dir);
    if let Some(place) = place(hash) {
        place.store(hash, Ordering::Relaxed);
    }
}
