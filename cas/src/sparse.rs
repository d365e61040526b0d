//! Files with holes: read without reading the holes, written without writing them.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use nix::errno::Errno;
use nix::fcntl::copy_file_range;
use nix::unistd::{Whence, lseek};
use statefs_journal::{BlobHash, Piece, Sink, Source, hash_zeros};

use crate::ingest::READ_LEN;

/// Runs of data and of holes begin and end at multiples of this, as the blocks of file systems do.
const UNIT: u64 = 4096;

/// Reads a file from a place to its end, wherever the descriptor's own offset is (asking for holes moves it).
pub struct SparseReader<'a> {
    file: &'a File,
    at: u64,
    /// Up to here it is data, as far as the file system says.
    data_end: u64,
    /// Of the data, if there are holes.
    data_bytes: Option<u64>,
}

impl<'a> SparseReader<'a> {
    /// From `start` on.
    ///
    /// # Errors
    /// What fstat(2) and lseek(2) say.
    pub fn new(file: &'a File, start: u64) -> io::Result<Self> {
        let meta = file.metadata()?;
        // A file whose blocks cover its length has no holes: the usual case, and no further calls.
        let data_bytes =
            if meta.blocks() * 512 < meta.len() { data_bytes(file, start, meta.len())? } else { None };
        let data_end = if data_bytes.is_some() { start } else { u64::MAX };
        Ok(Self { file, at: start, data_end, data_bytes })
    }
}

/// Bytes in runs of data, `None` where there is no hole.
fn data_bytes(file: &File, start: u64, len: u64) -> io::Result<Option<u64>> {
    let (mut at, mut sum) = (start, 0);
    while let Some((from, to)) = next_data(file, at)? {
        sum += to - from;
        at = to;
        if at >= len {
            break;
        }
    }
    Ok((sum < len.saturating_sub(start)).then_some(sum))
}

/// The next run of data at or behind `at`; `None`: there are only holes up to the end.
fn next_data(file: &File, at: u64) -> io::Result<Option<(u64, u64)>> {
    let seek = |at: u64, whence| lseek(file, at.cast_signed(), whence).map(i64::cast_unsigned);
    let from = match seek(at, Whence::SeekData) {
        Err(Errno::ENXIO) => return Ok(None),
        // A file system that knows nothing of holes.
        Err(Errno::EINVAL) => return Ok(Some((at, u64::MAX))),
        other => other?,
    };
    let to = seek(from, Whence::SeekHole)?;
    let unit_start = from - from % UNIT;
    Ok(Some((unit_start.max(at), to.next_multiple_of(UNIT))))
}

impl Source for SparseReader<'_> {
    fn next(&mut self, buf: &mut [u8]) -> io::Result<Piece> {
        if self.at >= self.data_end {
            let zeros_end = match next_data(self.file, self.at)? {
                Some((from, to)) => {
                    self.data_end = to;
                    from
                }
                None => self.file.metadata()?.len(),
            };
            if zeros_end > self.at {
                let len_bytes = zeros_end - self.at;
                self.at = zeros_end;
                return Ok(Piece::Zeros(len_bytes));
            }
            if self.at >= self.data_end {
                return Ok(Piece::End);
            }
        }
        let want = usize::try_from(self.data_end - self.at).unwrap_or(usize::MAX).min(buf.len());
        let mut got = 0;
        while got < want {
            match self.file.read_at(&mut buf[got..want], self.at + got as u64) {
                Ok(0) => break,
                Ok(some) => got += some,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.at += got as u64;
        Ok(if got == 0 { Piece::End } else { Piece::Data(got) })
    }

    fn data_bytes(&self) -> Option<u64> {
        self.data_bytes
    }
}

/// Writes a new, empty file from its start; zeros become holes.
pub struct SparseWriter<'a> {
    file: &'a File,
    at: u64,
}

impl<'a> SparseWriter<'a> {
    pub fn new(file: &'a File) -> Self {
        Self { file, at: 0 }
    }

    /// Gives the file its length: it may end with a hole.
    ///
    /// # Errors
    /// What ftruncate(2) says.
    pub fn finish(self) -> io::Result<()> {
        self.file.set_len(self.at)
    }
}

impl Sink for SparseWriter<'_> {
    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn zeros(&mut self, len_bytes: u64) -> io::Result<()> {
        self.at += len_bytes;
        Ok(())
    }
}

/// Name and length of a file's bytes from `start` to its end. Holes are hashed without being read.
///
/// # Errors
/// What reading says.
pub fn hash_file(file: &File, start: u64) -> io::Result<(BlobHash, u64)> {
    let mut hasher = blake3::Hasher::new();
    let mut source = SparseReader::new(file, start)?;
    let mut buf = vec![0; READ_LEN];
    let mut len_bytes = 0;
    loop {
        match source.next(&mut buf)? {
            Piece::End => return Ok((hasher.finalize().into(), len_bytes)),
            Piece::Data(got) => {
                hasher.update(&buf[..got]);
                len_bytes += got as u64;
            }
            Piece::Zeros(len) => {
                hash_zeros(&mut hasher, len);
                len_bytes += len;
            }
        }
    }
}

/// Copies a file's bytes to a new, empty one, in the kernel where it can; holes stay holes.
///
/// # Errors
/// What reading and writing say.
pub fn copy_sparse(from: &File, to: &File) -> io::Result<()> {
    let (mut at, mut in_kernel) = (0, true);
    let len = from.metadata()?.len();
    while at < len {
        let Some((start, end)) = next_data(from, at)? else { break };
        at = start;
        while at < end {
            let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(COPY_LEN);
            let got = match in_kernel.then(|| copy_range(from, to, at, want)) {
                Some(Ok(got)) => got,
                Some(Err(error)) if !IN_USER_SPACE.contains(&error) => return Err(error.into()),
                _ => {
                    in_kernel = false;
                    copy_by_hand(from, to, at, want)?
                }
            };
            if got == 0 {
                break;
            }
            at += got as u64;
        }
        if at < end {
            break;
        }
    }
    to.set_len(at.max(len))
}

/// One call's worth.
const COPY_LEN: usize = 64 << 20;
/// What copy_file_range(2) says where the two files' file systems do not go together.
const IN_USER_SPACE: [Errno; 5] =
    [Errno::EXDEV, Errno::EINVAL, Errno::ENOSYS, Errno::EOPNOTSUPP, Errno::EPERM];

fn copy_range(from: &File, to: &File, at: u64, len: usize) -> nix::Result<usize> {
    let (mut from_at, mut to_at) = (at.cast_signed(), at.cast_signed());
    loop {
        match copy_file_range(from, Some(&mut from_at), to, Some(&mut to_at), len) {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

fn copy_by_hand(from: &File, to: &File, at: u64, len: usize) -> io::Result<usize> {
    let mut buf = vec![0; len.min(READ_LEN)];
    let got = loop {
        match from.read_at(&mut buf, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    to.write_all_at(&buf[..got], at)?;
    Ok(got)
}
