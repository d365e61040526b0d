//! What the shim remembers in a posix_spawn_file_actions_t: where the child will be when it executes, and fds
//! that must stay open until the actions are destroyed. The C library clears the whole object when it is made
//! and leaves its reserved tail alone.

use crate::cwd;
use crate::fds;
use crate::init::settings;
use crate::raw::{self, Errno};
use crate::text::{PathText, below};
use crate::view;
use core::ffi::{c_int, c_void};
use vrift_manifest::VnodeNo;

/// Fds that one object can hold.
const HELD_MAX: usize = 7;

const INHERITED: u32 = 0;
const IN_VIEW: u32 = 1;
const ABOVE_VIEW: u32 = 2;
const OUTSIDE: u32 = 3;

/// posix_spawn_file_actions_t of glibc; the reserved part, `__pad`, is ours.
#[repr(C)]
pub struct Actions {
    allocated: c_int,
    used: c_int,
    actions: *mut c_void,
    reserved: [u32; 5],
    /// fd + 1; 0: free.
    held: [u32; HELD_MAX],
    /// Which [`Folder`], and its value.
    kind: u32,
    reserved2: u32,
    value: [u32; 2],
}

const _: () = assert!(size_of::<Actions>() == size_of::<libc::posix_spawn_file_actions_t>());

/// The child's working directory after the actions added so far.
#[derive(Clone, Copy)]
pub enum Folder {
    /// That of the parent.
    Inherited,
    View(VnodeNo),
    /// An ancestor of the view: the first so many bytes of the view path.
    Above(usize),
    /// From there no plain relative path leads into the view.
    Outside,
}

impl Folder {
    /// The folder that a real absolute path names.
    pub fn of_real(path: &[u8]) -> Folder {
        match below(settings().view.as_bytes(), path) {
            Some(rest) => Folder::Above(settings().view.as_bytes().len() - rest.len()),
            None => Folder::Outside,
        }
    }

    /// The folder of an fd.
    pub fn of_fd(fd: c_int) -> Folder {
        let mut path = PathText::new();
        match fds::identify(fd) {
            fds::FdKind::View(vnode) => Folder::View(vnode),
            fds::FdKind::Outside => match fds::path_of(fd, &mut path) {
                Ok(()) => Folder::of_real(path.as_bytes()),
                Err(_) => Folder::Outside,
            },
        }
    }

    /// The folder that `path`, which is not in the view, leads to from here.
    pub fn then(self, path: &[u8]) -> Folder {
        if path.first() == Some(&b'/') {
            return Folder::of_real(path);
        }
        let mut base = PathText::new();
        if matches!(self, Folder::Inherited) && cwd::kernel(&mut base).is_ok() {
            base.push(b"/");
            base.push(path);
            return Folder::of_real(base.as_bytes());
        }
        Folder::Outside
    }

    /// Makes a relative path absolute as the child would see it. False: the path stands as it is.
    pub fn absolute(self, path: &[u8], to: &mut PathText) -> Result<bool, Errno> {
        if path.is_empty() || path.first() == Some(&b'/') {
            return Ok(false);
        }
        match self {
            Folder::Inherited | Folder::Outside => return Ok(false),
            Folder::View(vnode) => view::path_of(vnode, to)?,
            Folder::Above(len) => {
                to.clear();
                to.push(settings().view.as_bytes().get(..len).unwrap_or(b""));
            }
        }
        to.push(b"/");
        to.push(path);
        if to.overflowed() { Err(libc::ENAMETOOLONG) } else { Ok(true) }
    }
}

impl Actions {
    pub fn folder(&self) -> Folder {
        let value = u64::from(self.value[1]) << 32 | u64::from(self.value[0]);
        match self.kind {
            INHERITED => Folder::Inherited,
            IN_VIEW => Folder::View(VnodeNo(value)),
            ABOVE_VIEW => Folder::Above(value as usize),
            _ => Folder::Outside,
        }
    }

    pub fn set_folder(&mut self, folder: Folder) {
        let (kind, value) = match folder {
            Folder::Inherited => (INHERITED, 0),
            Folder::View(vnode) => (IN_VIEW, vnode.0),
            Folder::Above(len) => (ABOVE_VIEW, len as u64),
            Folder::Outside => (OUTSIDE, 0),
        };
        self.kind = kind;
        self.value = [value as u32, (value >> 32) as u32];
    }

    /// Keeps an fd until the object is destroyed. False: there is no room.
    pub fn hold(&mut self, fd: c_int) -> bool {
        match self.held.iter_mut().find(|held| **held == 0) {
            Some(free) => {
                *free = fd as u32 + 1;
                true
            }
            None => false,
        }
    }

    /// Closes what was held.
    pub fn release(&mut self) {
        for held in &mut self.held {
            let fd = core::mem::take(held) as c_int - 1;
            if fd >= 0 {
                fds::forget(fd);
                raw::close(fd);
            }
        }
    }
}
