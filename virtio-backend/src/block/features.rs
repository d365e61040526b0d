//! Feature bits (5.2.3, 6) and what is made of an offer.

/// `size_max` bounds a piece of data.
pub(crate) const SIZE_MAX: u64 = 1 << 1;
/// It takes no writes.
pub(crate) const RO: u64 = 1 << 5;
/// `blk_size` is the length of a logical block.
pub(crate) const BLK_SIZE: u64 = 1 << 6;
/// It can flush, and need not write through.
pub(crate) const FLUSH: u64 = 1 << 9;
/// More than one queue.
pub(crate) const MQ: u64 = 1 << 12;
pub(crate) const DISCARD: u64 = 1 << 13;
pub(crate) const WRITE_ZEROES: u64 = 1 << 14;
/// Each side says from when on it wants to be told.
pub(crate) const EVENT_IDX: u64 = 1 << 29;
/// The device keeps to the standard, not to what was before it.
pub(crate) const VERSION_1: u64 = 1 << 32;
/// It goes through the IOMMU.
pub(crate) const ACCESS_PLATFORM: u64 = 1 << 33;

/// Taken when offered.
const WANTED: u64 =
    SIZE_MAX | BLK_SIZE | FLUSH | MQ | DISCARD | WRITE_ZEROES | EVENT_IDX | VERSION_1 | ACCESS_PLATFORM;

/// What to accept of an offer, or why the device is refused.
pub(crate) fn choose(offered: u64, behind_iommu: bool) -> Result<u64, &'static str> {
    if offered & VERSION_1 == 0 {
        return Err("it is a legacy device (VERSION_1 is not offered)");
    }
    if behind_iommu && offered & ACCESS_PLATFORM == 0 {
        return Err("it goes past the IOMMU (ACCESS_PLATFORM is not offered; QEMU: iommu_platform=on)");
    }
    if offered & FLUSH == 0 {
        return Err("it cannot flush: nothing would tell what survives a power cut (FLUSH is not offered)");
    }
    if offered & RO != 0 {
        return Err("it is read-only");
    }
    Ok(offered & WANTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_needed_and_what_is_not_known_is_left_out() {
        let good = VERSION_1 | FLUSH | ACCESS_PLATFORM;
        assert_eq!(choose(!RO, true), Ok(WANTED));
        assert_eq!(choose(good, true), Ok(good));
        assert_eq!(choose(good & !ACCESS_PLATFORM, false), Ok(VERSION_1 | FLUSH));
        for missing in [VERSION_1, FLUSH, ACCESS_PLATFORM] {
            assert!(choose(good & !missing, true).is_err(), "{missing:#x}");
        }
        assert!(choose(good | RO, true).is_err());
    }
}
