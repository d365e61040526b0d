//! All namespaces as they are at one moment, copied while they change: what a checkpoint writes.

use crate::checkpoint;
use crate::daemon::Daemon;
use crate::namespace::Namespaces;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};
use vrift_manifest::{Dump, Steps};

/// Vnodes and names that are copied under one hold of the namespace lock: one to three milliseconds.
const COUNT_MAX: usize = 16 << 10;

/// A piece of a checkpoint.
pub enum Part {
    Bytes(Vec<u8>),
    Index(Dump),
}

/// What is copied so far. Dropped before its end it leaves nothing behind.
pub struct Copying<'a> {
    daemon: &'a Daemon,
    under_way: BTreeMap<u32, Steps>,
    /// How long the lock was held at most.
    pub longest: Duration,
}

impl Copying<'_> {
    pub fn new(daemon: &Daemon) -> Copying<'_> {
        Copying { daemon, under_way: BTreeMap::new(), longest: Duration::ZERO }
    }

    /// Copies some more; whether the rest is short enough for [`Copying::finish`] under the same hold of the lock.
    pub fn step(&mut self, spaces: &Namespaces) -> bool {
        for workspace in checkpoint::complete(spaces) {
            // One whose index is another one by now is copied anew.
            if !workspace.index.in_steps() {
                self.under_way.remove(&workspace.id);
            }
            let steps = self.under_way.entry(workspace.id).or_insert_with(|| workspace.index.begin_steps());
            if !steps.step(&workspace.index, COUNT_MAX) {
                return false;
            }
        }
        true
    }

    /// What a checkpoint of this moment consists of.
    pub fn finish(&mut self, spaces: &Namespaces) -> Vec<Part> {
        let mut under_way = std::mem::take(&mut self.under_way);
        checkpoint::parts(spaces, &mut |workspace| {
            let steps = under_way.remove(&workspace.id).filter(|_| workspace.index.in_steps());
            steps.unwrap_or_else(|| workspace.index.begin_steps()).finish(&workspace.index)
        })
    }

    /// The lock was held since then.
    pub fn held(&mut self, since: Instant) {
        self.longest = self.longest.max(since.elapsed());
    }

    /// Lets others have the lock for as long as it is held at a time.
    pub fn pause(&self) {
        const PAUSE_MAX: Duration = Duration::from_millis(20);
        std::thread::sleep(self.longest.min(PAUSE_MAX));
    }
}

impl Drop for Copying<'_> {
    fn drop(&mut self) {
        if !self.under_way.is_empty() {
            self.daemon.spaces().workspaces.values().for_each(|workspace| workspace.index.end_steps());
        }
    }
}

/// Writes the pieces one after the other.
pub fn write(parts: &[Part], to: &mut dyn Write) -> io::Result<()> {
    let mut to = io::BufWriter::with_capacity(256 << 10, to);
    for part in parts {
        match part {
            Part::Bytes(bytes) => to.write_all(bytes)?,
            Part::Index(dump) => dump.write(&mut to)?,
        }
    }
    to.flush()
}
