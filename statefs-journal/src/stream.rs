//! Bytes on their way in and out, with long runs of zeros told apart: they are neither read, written nor stored.

use std::io::{self, ErrorKind, Read, Write};

/// What zeros are written and hashed from.
pub(crate) static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The next bytes of a [`Source`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// So many bytes were put at the start of the buffer; at least one.
    Data(usize),
    /// So many zeros come next; at least one.
    Zeros(u64),
    End,
}

/// Bytes of a blob, in order. Every reader is one.
pub trait Source {
    /// What comes next; data goes to the start of `buf`.
    ///
    /// # Errors
    /// What reading says.
    fn next(&mut self, buf: &mut [u8]) -> io::Result<Piece>;

    /// No more than this comes as data, in runs of at least 4 KiB (but the last one); the rest are zeros. `None`:
    /// all of it may.
    fn data_bytes(&self) -> Option<u64> {
        None
    }
}

/// Where the bytes of a blob go, in order. Every writer is one.
pub trait Sink {
    /// # Errors
    /// What writing says.
    fn data(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// # Errors
    /// As [`Self::data`].
    fn zeros(&mut self, len_bytes: u64) -> io::Result<()>;
}

impl<R: Read> Source for R {
    fn next(&mut self, buf: &mut [u8]) -> io::Result<Piece> {
        let mut got = 0;
        while got < buf.len() {
            match self.read(&mut buf[got..]) {
                Ok(0) => break,
                Ok(some) => got += some,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(if got == 0 { Piece::End } else { Piece::Data(got) })
    }
}

impl<W: Write> Sink for W {
    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn zeros(&mut self, len_bytes: u64) -> io::Result<()> {
        each_zeros(len_bytes, &mut |zeros| self.write_all(zeros))
    }
}

/// So many zeros, in pieces.
pub(crate) fn each_zeros(len_bytes: u64, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut left = len_bytes;
    while left > 0 {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(ZEROS.len());
        each(&ZEROS[..take])?;
        left -= take as u64;
    }
    Ok(())
}

/// Hashes so many zeros: BLAKE3 has no shorter way.
pub fn hash_zeros(hasher: &mut blake3::Hasher, len_bytes: u64) {
    let _infallible = each_zeros(len_bytes, &mut |zeros| {
        hasher.update(zeros);
        Ok(())
    });
}
