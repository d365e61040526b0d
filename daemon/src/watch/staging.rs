//! What is written: the kernel's messages about staging files, done to the puppets of their vnodes.

use super::{State, Watched, Watches, puppets};
use crate::daemon::Daemon;
use crate::sealing::vnode_of_name;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

impl Watches {
    pub fn new() -> Watches {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK);
        if let Err(errno) = &inotify {
            tracing::warn!(%errno, "no inotify: watches in the view do not see what is written");
        }
        Watches { inotify: inotify.ok(), state: Mutex::new(HashMap::new()), active: AtomicBool::new(false) }
    }

    pub fn inotify(&self) -> Option<&Inotify> {
        self.inotify.as_ref()
    }

    /// Listens to a workspace's staging folder.
    pub(super) fn listen(&self, daemon: &Daemon, id: u32, watched: &mut Watched) -> Result<(), Errno> {
        if watched.descriptor.is_none()
            && let Some(inotify) = &self.inotify
        {
            let flags = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_ONLYDIR;
            watched.descriptor = Some(inotify.add_watch(&daemon.folders.staging_dir(id), flags)?);
        }
        Ok(())
    }

    /// Hands on what the kernel has reported so far.
    pub(super) fn drain(&self, state: &mut State<'_>) {
        let Some(inotify) = &self.inotify else { return };
        while let Ok(events) = inotify.read_events() {
            for event in events {
                let vnode = event.name.as_ref().and_then(|name| vnode_of_name(name.as_bytes()));
                let watched = state.values_mut().find(|watched| watched.descriptor == Some(event.wd));
                if let (Some(vnode), Some(watched)) = (vnode, watched) {
                    watched.written(vnode, event.mask.contains(AddWatchFlags::IN_CLOSE_WRITE));
                }
            }
        }
    }

    /// As the queue fills without anybody asking.
    pub fn drain_now(&self) {
        drop(self.current());
    }
}

impl Watched {
    fn written(&mut self, vnode: u64, closed: bool) {
        let places = self.places(vnode);
        if places.is_empty() {
            return;
        }
        if !closed {
            return places.iter().for_each(|path| puppets::modify(path));
        }
        let files = self.held.get_mut(&vnode).and_then(std::collections::VecDeque::pop_front);
        match files {
            Some(files) => {
                self.held_count -= files.len();
                if self.held.get(&vnode).is_some_and(std::collections::VecDeque::is_empty) {
                    self.held.remove(&vnode);
                }
            }
            // Opened before anybody watched, or too many are.
            None => places.iter().for_each(|path| drop(puppets::open_for_writing(path))),
        }
    }
}
