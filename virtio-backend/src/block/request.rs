//! A request (5.2.6): a header for the device, data either way, a byte of status back.

use std::io;

/// What the device counts in, whatever the length of its blocks.
pub(crate) const SECTOR_LEN: u64 = 512;
/// Longest data of one request.
pub const MAX_DATA_LEN: u32 = 1 << 20;
/// What the status is before the device writes it: none of its values.
pub(crate) const STATUS_NONE: u8 = 0xff;
const STATUS_OK: u8 = 0;
const STATUS_IOERR: u8 = 1;
const STATUS_UNSUPP: u8 = 2;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Read,
    Write,
    Flush,
    Discard,
    WriteZeroes,
}

impl Kind {
    fn code(self) -> u32 {
        match self {
            Kind::Read => 0,
            Kind::Write => 1,
            Kind::Flush => 4,
            Kind::Discard => 11,
            Kind::WriteZeroes => 13,
        }
    }

    /// Header, 16 bytes: type, reserved, sector.
    pub(crate) fn header(self, sector: u64) -> [u8; 16] {
        let mut header = [0; 16];
        header[..4].copy_from_slice(&self.code().to_le_bytes());
        header[8..].copy_from_slice(&sector.to_le_bytes());
        header
    }
}

/// The one range of a discard or of a writing of zeros, 16 bytes: sector, sectors, flags.
pub(crate) fn range(sector: u64, sectors: u32) -> [u8; 16] {
    let mut range = [0; 16];
    range[..8].copy_from_slice(&sector.to_le_bytes());
    range[8..12].copy_from_slice(&sectors.to_le_bytes());
    range
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// errno(3).
    Failed(i32),
}

impl Outcome {
    pub(crate) fn result(self) -> io::Result<()> {
        match self {
            Outcome::Done => Ok(()),
            Outcome::Failed(errno) => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

/// Judges an answer to a request that offered `data_len` bytes of data.
///
/// # Errors
/// It contradicts itself: what the device did cannot be told.
pub(crate) fn judge(kind: Kind, data_len: u32, written_bytes: u32, status: u8) -> Result<Outcome, String> {
    let writable = if kind == Kind::Read { data_len + 1 } else { 1 };
    if !(1..=writable).contains(&written_bytes) {
        return Err(format!("it wrote {written_bytes} bytes where it had {writable}"));
    }
    match status {
        // A byte that was not written is whatever was in the buffer before.
        STATUS_OK if written_bytes != writable => {
            Err(format!("it wrote {written_bytes} of {writable} bytes and says that all is well"))
        }
        STATUS_OK => Ok(Outcome::Done),
        STATUS_IOERR => Ok(Outcome::Failed(libc::EIO)),
        STATUS_UNSUPP => Ok(Outcome::Failed(libc::EOPNOTSUPP)),
        _ => Err(format!("its status is {status:#x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_that_fits_is_believed() {
        assert_eq!(judge(Kind::Read, 4096, 4097, 0), Ok(Outcome::Done));
        assert_eq!(judge(Kind::Write, 4096, 1, 0), Ok(Outcome::Done));
        assert_eq!(judge(Kind::Read, 4096, 1, 1), Ok(Outcome::Failed(libc::EIO)));
        assert_eq!(judge(Kind::Discard, 16, 1, 2), Ok(Outcome::Failed(libc::EOPNOTSUPP)));
        for (kind, written, status) in [
            (Kind::Read, 0, 0),
            (Kind::Read, 4096, 0),
            (Kind::Read, 4098, 0),
            (Kind::Read, u32::MAX, 0),
            (Kind::Write, 4097, 0),
            (Kind::Flush, 0, 1),
            (Kind::Read, 4097, 3),
            (Kind::Write, 1, STATUS_NONE),
        ] {
            assert!(judge(kind, 4096, written, status).is_err(), "{kind:?} {written} {status}");
        }
    }

    #[test]
    fn requests_are_laid_out_as_the_standard_has_them() {
        let header = Kind::Discard.header(0x0102_0304_0506_0708);
        assert_eq!(header, [11, 0, 0, 0, 0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(range(1, 0x0203), [1, 0, 0, 0, 0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 0, 0]);
    }
}
