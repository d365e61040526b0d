//! What the kernel tells of a directory, as names to be looked at.

use super::eye::{Eye, Sight};
use crate::ignored;
use crate::walk::join;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InotifyEvent};
use std::os::unix::ffi::OsStrExt;

impl Eye {
    /// Reads all that there is.
    pub fn read(&self) {
        // Held over the reading: events are taken in the order in which they happened.
        let mut sight = self.sight();
        loop {
            match self.inotify().read_events() {
                Ok(events) => events.iter().for_each(|event| self.event(&mut sight, event)),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                Err(errno) => return sight.doubt(&format!("what changed cannot be read: {}", errno.desc())),
            }
        }
    }

    fn event(&self, sight: &mut Sight, event: &InotifyEvent) {
        let is = |flags| event.mask.intersects(flags);
        if is(AddWatchFlags::IN_Q_OVERFLOW) {
            return sight.doubt("more changed at once than the kernel remembers");
        }
        if is(AddWatchFlags::IN_UNMOUNT) {
            return sight.doubt("a file system was unmounted");
        }
        if is(AddWatchFlags::IN_IGNORED) {
            return self.ended(sight, event.wd);
        }
        let Some(dir) = sight.by_watch.get(&event.wd).cloned() else { return };
        if is(AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF) {
            if dir.is_empty() {
                return sight.doubt("the directory itself was replaced");
            }
            self.forget(sight, &dir);
            return sight.note(dir.to_vec());
        }
        let Some(name) = event.name.as_ref().map(|name| name.as_bytes()) else {
            return sight.note(dir.to_vec());
        };
        let comes_or_goes = is(AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_MOVED_TO);
        if comes_or_goes {
            // The directory's own time.
            sight.note(dir.to_vec());
        }
        if name.starts_with(crate::real_tree::BESIDE.as_bytes()) {
            return;
        }
        let path = join(&dir, name);
        if name == ignored::OWN_FILE
            || name == ignored::GIT_FILE
            || (name == ignored::GIT_DIR && comes_or_goes)
        {
            return sight.doubt("the rules of what is ignored changed");
        }
        if comes_or_goes {
            self.forget(sight, &path);
        }
        sight.note(path);
    }
}
