//! The device's configuration (5.2.4), as far as it is negotiated and within bounds.

use super::features::{BLK_SIZE, DISCARD, MQ, SIZE_MAX, WRITE_ZEROES};
use super::request::{MAX_DATA_LEN, SECTOR_LEN};

/// Bytes of the structure that are used.
pub(crate) const CONFIG_LEN: usize = 60;

const CAPACITY_AT: usize = 0;
const SIZE_MAX_AT: usize = 8;
const BLK_SIZE_AT: usize = 20;
const NUM_QUEUES_AT: usize = 34;
const MAX_DISCARD_SECTORS_AT: usize = 36;
const DISCARD_SECTOR_ALIGNMENT_AT: usize = 44;
const MAX_WRITE_ZEROES_SECTORS_AT: usize = 48;

/// Logical blocks that the store's blocks are made of.
const BLK_SIZE_MAX: u32 = 4096;
/// A shorter bound on a piece of data than a block of the store is of no use.
const PIECE_LEN_MIN: u32 = 4096;

/// What the rest of the crate goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) len_bytes: u64,
    pub(crate) block_len: u32,
    /// Longest data of one request.
    pub(crate) max_data_len: u32,
    pub(crate) queues: u16,
    /// Longest discard in bytes; 0: it cannot.
    pub(crate) max_discard_bytes: u64,
    pub(crate) discard_align_bytes: u64,
    /// Longest writing of zeros in bytes; 0: it cannot.
    pub(crate) max_zeroes_bytes: u64,
}

impl Config {
    /// Judges what the device says.
    pub(crate) fn decode(bytes: &[u8; CONFIG_LEN], features: u64) -> Result<Self, String> {
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let has = |feature| features & feature != 0;

        let sectors = u64_at(CAPACITY_AT);
        let len_bytes = sectors.checked_mul(SECTOR_LEN);
        let len_bytes = len_bytes.ok_or_else(|| format!("its capacity is {sectors} sectors"))?;
        let block_len = if has(BLK_SIZE) { u32_at(BLK_SIZE_AT) } else { 512 };
        if !block_len.is_power_of_two() || !(512..=BLK_SIZE_MAX).contains(&block_len) {
            return Err(format!("its blocks have {block_len} bytes: 512 to {BLK_SIZE_MAX} are supported"));
        }
        let size_max = if has(SIZE_MAX) { u32_at(SIZE_MAX_AT) } else { u32::MAX };
        if size_max < PIECE_LEN_MIN {
            return Err(format!("it takes {size_max} bytes at a time: {PIECE_LEN_MIN} are needed"));
        }
        let sectors_at = |feature, at| if has(feature) { u64::from(u32_at(at)) * SECTOR_LEN } else { 0 };
        let align = sectors_at(DISCARD, DISCARD_SECTOR_ALIGNMENT_AT).max(SECTOR_LEN);
        Ok(Self {
            len_bytes: len_bytes - len_bytes % 4096,
            block_len,
            max_data_len: size_max.min(MAX_DATA_LEN) / PIECE_LEN_MIN * PIECE_LEN_MIN,
            queues: if has(MQ) { u16_at(NUM_QUEUES_AT).max(1) } else { 1 },
            max_discard_bytes: sectors_at(DISCARD, MAX_DISCARD_SECTORS_AT),
            discard_align_bytes: align,
            max_zeroes_bytes: sectors_at(WRITE_ZEROES, MAX_WRITE_ZEROES_SECTORS_AT),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(fields: &[(usize, &[u8])]) -> [u8; CONFIG_LEN] {
        let mut bytes = [0xff; CONFIG_LEN];
        bytes[..8].copy_from_slice(&100_u64.to_le_bytes());
        for (at, field) in fields {
            bytes[*at..at + field.len()].copy_from_slice(field);
        }
        bytes
    }

    #[test]
    fn what_was_not_negotiated_is_not_read() {
        let config = Config::decode(&bytes(&[]), 0).unwrap();
        let expected = Config {
            len_bytes: 49152,
            block_len: 512,
            max_data_len: MAX_DATA_LEN,
            queues: 1,
            max_discard_bytes: 0,
            discard_align_bytes: 512,
            max_zeroes_bytes: 0,
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (features, at, field) in [
            (0, CAPACITY_AT, &u64::MAX.to_le_bytes()[..]),
            (BLK_SIZE, BLK_SIZE_AT, &0_u32.to_le_bytes()),
            (BLK_SIZE, BLK_SIZE_AT, &520_u32.to_le_bytes()),
            (BLK_SIZE, BLK_SIZE_AT, &256_u32.to_le_bytes()),
            (BLK_SIZE, BLK_SIZE_AT, &8192_u32.to_le_bytes()),
            (SIZE_MAX, SIZE_MAX_AT, &4095_u32.to_le_bytes()),
        ] {
            assert!(Config::decode(&bytes(&[(at, field)]), features).is_err(), "{at} {field:?}");
        }
        let odd = bytes(&[(SIZE_MAX_AT, &10_000_u32.to_le_bytes()), (NUM_QUEUES_AT, &[0, 0])]);
        let config = Config::decode(&odd, SIZE_MAX | MQ).unwrap();
        assert_eq!((config.max_data_len, config.queues), (8192, 1));
    }
}
