//! The two forms in which a blob's bytes lie in the store: as they are, or as frames (zero runs that take no space,
//! pieces as they are, pieces that zstd made shorter). Layout: `docs/spec/store.md`. No I/O.

use std::cell::RefCell;

use crate::layout::{BLOCK_LEN, get_u32, get_u64};
use crate::stream::ZEROS;

/// Most bytes of content in one frame that is not a zero run: bounds memory for reading and writing.
pub(crate) const FRAME_CONTENT_MAX: usize = 1 << 20;
pub(crate) const FRAME_HEADER_LEN: usize = 16;

const TAG_ZEROS: u8 = 0;
const TAG_PLAIN: u8 = 1;
const TAG_ZSTD: u8 = 2;

/// Zero runs are found in whole blocks of the content.
const ZERO_RUN_UNIT: usize = BLOCK_LEN;
/// Shorter pieces are not handed to zstd: its frame costs more than it saves.
const COMPRESSED_LEN_MIN: usize = 128;

/// Whether frames are worth it: they must save an eighth, since what lies as it is can be shared by reflink.
pub(crate) fn pays(stored_bytes: u64, len_bytes: u64) -> bool {
    stored_bytes < len_bytes - len_bytes / 8
}

/// Upper bound of the frames of so many bytes of data (in runs of at least a block) between zero runs.
pub(crate) fn stored_bytes_max(data_bytes: u64) -> u64 {
    // At worst every block of data has a header of its own and one for the zeros before it.
    data_bytes + (data_bytes / BLOCK_LEN as u64 + 2) * 2 * FRAME_HEADER_LEN as u64
}

/// Makes frames.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    /// zstd's level; `None`: only zero runs are left out.
    level: Option<i32>,
    /// Zeros that are not in a frame yet.
    zeros: u64,
    /// Frames that nobody has taken yet.
    pub(crate) out: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new(level: Option<i32>) -> Self {
        Self { level, ..Self::default() }
    }

    pub(crate) fn zeros(&mut self, len_bytes: u64) {
        self.zeros += len_bytes;
    }

    pub(crate) fn data(&mut self, bytes: &[u8]) {
        let mut from = 0;
        let mut at = 0;
        while at < bytes.len() {
            let unit = &bytes[at..bytes.len().min(at + ZERO_RUN_UNIT)];
            if unit.len() == ZERO_RUN_UNIT && unit == &ZEROS[..ZERO_RUN_UNIT] {
                self.run(&bytes[from..at]);
                self.zeros += unit.len() as u64;
                from = at + unit.len();
            }
            at += unit.len();
        }
        self.run(&bytes[from..]);
    }

    /// The last zeros; nothing may follow.
    pub(crate) fn finish(&mut self) {
        let zeros = std::mem::take(&mut self.zeros);
        if zeros > 0 {
            self.header(TAG_ZEROS, 0, zeros);
        }
    }

    fn run(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.finish();
        for piece in bytes.chunks(FRAME_CONTENT_MAX) {
            let at = self.out.len();
            self.header(TAG_PLAIN, piece.len(), piece.len() as u64);
            if let Some(stored) = self.level.and_then(|level| compress(piece, level, &mut self.out)) {
                let len = stored as u32;
                self.out[at] = TAG_ZSTD;
                self.out[at + 4..at + 8].copy_from_slice(&len.to_le_bytes());
            } else {
                self.out.extend_from_slice(piece);
            }
        }
    }

    fn header(&mut self, tag: u8, stored: usize, len_bytes: u64) {
        self.out.extend_from_slice(&[tag, 0, 0, 0]);
        // At most `FRAME_CONTENT_MAX`.
        self.out.extend_from_slice(&(stored as u32).to_le_bytes());
        self.out.extend_from_slice(&len_bytes.to_le_bytes());
    }
}

/// Appends the compressed piece; `None`, and nothing is appended: it does not become shorter.
fn compress(piece: &[u8], level: i32, out: &mut Vec<u8>) -> Option<usize> {
    thread_local! {
        static COMPRESSOR: RefCell<Option<(i32, zstd::bulk::Compressor<'static>)>> = const { RefCell::new(None) };
    }
    if piece.len() < COMPRESSED_LEN_MIN {
        return None;
    }
    let at = out.len();
    // Where it would not be shorter, zstd runs out of room and says so.
    out.resize(at + piece.len() - 1, 0);
    let stored = COMPRESSOR.with_borrow_mut(|slot| {
        if slot.as_ref().is_none_or(|(known, _)| *known != level) {
            *slot = zstd::bulk::Compressor::new(level).ok().map(|made| (level, made));
        }
        let (_, compressor) = slot.as_mut()?;
        compressor.compress_to_buffer(piece, &mut out[at..]).ok()
    });
    out.truncate(at + stored.unwrap_or(0));
    stored
}

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// So many zeros, and nothing stored.
    Zeros(u64),
    /// So many bytes stored as they are.
    Plain(usize),
    /// So many bytes stored, of which zstd makes so many.
    Zstd { stored: usize, len: usize },
}

impl Frame {
    /// `None`: no encoder makes such a header.
    pub(crate) fn decode(header: &[u8; FRAME_HEADER_LEN]) -> Option<Self> {
        let (stored, len_bytes) = (get_u32(header, 4) as usize, get_u64(header, 8));
        let len = usize::try_from(len_bytes).ok()?;
        let bounded = (1..=FRAME_CONTENT_MAX).contains(&len) && (1..=len).contains(&stored);
        match header[0] {
            TAG_ZEROS if stored == 0 && len > 0 => Some(Self::Zeros(len_bytes)),
            TAG_PLAIN if bounded && stored == len => Some(Self::Plain(len)),
            TAG_ZSTD if bounded => Some(Self::Zstd { stored, len }),
            _ => None,
        }
    }

    pub(crate) fn stored(&self) -> usize {
        match self {
            Self::Zeros(_) => 0,
            Self::Plain(len) => *len,
            Self::Zstd { stored, .. } => *stored,
        }
    }
}

/// Takes a piece apart into `out`, which is as long as the frame says. False: it is not that.
pub(crate) fn decompress(stored: &[u8], out: &mut [u8]) -> bool {
    thread_local! {
        static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
    }
    DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = zstd::bulk::Decompressor::new().ok();
        }
        let Some(decompressor) = slot.as_mut() else { return false };
        decompressor.decompress_to_buffer(stored, out).is_ok_and(|len| len == out.len())
    })
}
