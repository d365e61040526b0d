//! A drive with a cache that forgets: what was written since the last flush is there for readers, and lost, in part
//! and in any order, when the power is cut.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FallocateFlags, fallocate};

use crate::random::Random;

/// What a drive writes at once or not at all.
const SECTOR_BYTES: u64 = 512;

enum Content {
    Bytes(Vec<u8>),
    /// Discarded, or zeros that were not sent: so many bytes.
    Zeros(u64),
}

struct Write {
    offset: u64,
    content: Content,
}

impl Write {
    fn len(&self) -> u64 {
        match &self.content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Zeros(len) => *len,
        }
    }
}

/// What became of the writes since the last flush.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    pub flushes: u64,
    pub unflushed: usize,
    /// Not a sector of them reached the medium.
    pub dropped: usize,
    /// Some of their sectors did.
    pub torn: usize,
}

pub struct Volatile {
    file: File,
    len_bytes: u64,
    unflushed: Vec<Write>,
    /// While it is set a flush is acknowledged and not carried out: a planted flaw, which the tests must notice.
    lies: Arc<AtomicBool>,
    flushes: u64,
}

impl Volatile {
    pub fn open(path: &Path, lies: Arc<AtomicBool>) -> io::Result<Volatile> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let len_bytes = file.metadata()?.len();
        Ok(Volatile { file, len_bytes, unflushed: Vec::new(), lies, flushes: 0 })
    }

    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// The newest bytes, flushed or not.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)?;
        let end = offset + bytes.len() as u64;
        for write in &self.unflushed {
            let (from, to) = (write.offset.max(offset), (write.offset + write.len()).min(end));
            if from >= to {
                continue;
            }
            let target = &mut bytes[index(from - offset)..index(to - offset)];
            match &write.content {
                Content::Zeros(_) => target.fill(0),
                Content::Bytes(source) => {
                    target.copy_from_slice(&source[index(from - write.offset)..index(to - write.offset)]);
                }
            }
        }
        Ok(())
    }

    pub fn write(&mut self, offset: u64, bytes: Vec<u8>) {
        self.unflushed.push(Write { offset, content: Content::Bytes(bytes) });
    }

    pub fn zeros(&mut self, offset: u64, len: u64) {
        self.unflushed.push(Write { offset, content: Content::Zeros(len) });
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.flushes += 1;
        if self.lies.load(Ordering::SeqCst) {
            return Ok(());
        }
        for write in std::mem::take(&mut self.unflushed) {
            self.store(&write, 0, write.len())?;
        }
        Ok(())
    }

    /// The power is cut: of the unflushed writes some reach the medium, in another order than they came in, some by a
    /// part of their sectors, others not at all.
    pub fn cut(&mut self, random: &mut Random) -> io::Result<Lost> {
        let mut lost = Lost { flushes: self.flushes, unflushed: self.unflushed.len(), ..Lost::default() };
        // In some cuts nothing is written any more, in others nearly everything.
        let kept_percent = [0, 10, 50, 90][index(random.below(4))];
        let mut writes = std::mem::take(&mut self.unflushed);
        for at in (1..writes.len()).rev() {
            writes.swap(at, index(random.below(at as u64 + 1)));
        }
        for write in writes {
            if random.below(100) >= kept_percent {
                lost.dropped += 1;
            } else if write.len() > SECTOR_BYTES && random.below(3) == 0 {
                lost.torn += 1;
                self.tear(&write, random)?;
            } else {
                self.store(&write, 0, write.len())?;
            }
        }
        Ok(lost)
    }

    /// Some of the sectors, or where there are very many, some of the pieces.
    fn tear(&self, write: &Write, random: &mut Random) -> io::Result<()> {
        let sectors = write.len().div_ceil(SECTOR_BYTES);
        let piece = sectors.div_ceil(64) * SECTOR_BYTES;
        let mut from = 0;
        while from < write.len() {
            let to = write.len().min(from + piece);
            if random.below(2) == 0 {
                self.store(write, from, to)?;
            }
            from = to;
        }
        Ok(())
    }

    /// The part of the write from byte `from` to byte `to` of it reaches the medium.
    fn store(&self, write: &Write, from: u64, to: u64) -> io::Result<()> {
        let offset = write.offset + from;
        match &write.content {
            Content::Bytes(bytes) => self.file.write_all_at(&bytes[index(from)..index(to)], offset),
            Content::Zeros(_) => {
                let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
                Ok(fallocate(&self.file, flags, offset.cast_signed(), (to - from).cast_signed())?)
            }
        }
    }
}

/// Lengths of requests are bounded far below what a `usize` holds.
fn index(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn drive(lies: bool) -> (tempfile::NamedTempFile, Volatile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 20).unwrap();
        let drive = Volatile::open(file.path(), Arc::new(AtomicBool::new(lies))).unwrap();
        (file, drive)
    }

    fn byte(drive: &Volatile, offset: u64) -> u8 {
        let mut byte = [0];
        drive.read(offset, &mut byte).unwrap();
        byte[0]
    }

    #[test]
    fn readers_see_the_newest_and_cuts_take_what_was_not_flushed() {
        let (_file, mut drive) = drive(false);
        drive.write(0, vec![1; 4096]);
        drive.flush().unwrap();
        drive.write(512, vec![2; 1024]);
        drive.write(1024, vec![3; 512]);
        drive.zeros(2048, 512);
        assert_eq!([0, 512, 1024, 1536, 2048, 2560].map(|at| byte(&drive, at)), [1, 2, 3, 1, 0, 1]);
        let mut dropped = 0;
        for seed in 0..50 {
            drive.write(8192, vec![9; 4096]);
            dropped += drive.cut(&mut Random::new(seed)).unwrap().dropped;
            assert_eq!(byte(&drive, 0), 1, "what was flushed stays");
        }
        assert!(dropped > 10, "{dropped}");
    }

    #[test]
    fn an_older_write_may_win_and_a_write_may_be_half_there() {
        let (mut seen, mut halves) = (BTreeSet::new(), 0);
        for seed in 0..300 {
            let (_file, mut drive) = drive(false);
            drive.write(0, vec![1; 512]);
            drive.write(0, vec![2; 512]);
            drive.write(4096, vec![3; 1024]);
            drive.cut(&mut Random::new(seed)).unwrap();
            seen.insert(byte(&drive, 0));
            halves += u32::from(byte(&drive, 4096) != byte(&drive, 4096 + 512));
        }
        assert_eq!(seen.into_iter().collect::<Vec<u8>>(), [0, 1, 2]);
        assert!(halves > 10, "{halves}");
    }

    #[test]
    fn one_that_lies_loses_what_was_flushed() {
        let lost = (0..20).filter(|seed| {
            let (_file, mut drive) = drive(true);
            drive.write(0, vec![1; 512]);
            drive.flush().unwrap();
            drive.cut(&mut Random::new(*seed)).unwrap();
            byte(&drive, 0) == 0
        });
        assert!(lost.count() > 5);
    }
}
