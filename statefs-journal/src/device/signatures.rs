//! What a device holds that is not ours: places and bytes by which file systems, volumes and partition tables are known.
//!
//! Each row was written from the definition of its format that is named beside it. All offsets are bytes from the start
//! of the device, but for those that count from its end.

use std::io;

use super::BlockDevice;
use crate::layout::superblock::{Slot, Superblock};
use crate::layout::{BLOCK_LEN, BLOCK_LEN_BYTES, SUPERBLOCK_BLOCKS};
use crate::types::{BlockNo, DevOffset};

/// Looked at from the start and from the end on. Every row but ZFS's lies in it.
const AREA_LEN: u64 = 1 << 20;

/// Something that is not a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// For example "an ext4 file system".
    pub what: &'static str,
    /// Where its mark is.
    pub offset: u64,
}

/// Where a mark is.
#[derive(Clone, Copy)]
enum At {
    Start(u64),
    /// The last sector of so many bytes.
    Last(u64),
    /// The last multiple of 64 KiB that leaves 64 KiB (`md_p.h`, version 0.90).
    LastRaid090,
    /// 8 KiB to 12 KiB before the end, at a multiple of 4 KiB (`md_p.h`, version 1.0).
    LastRaid10,
}

impl At {
    fn offset(self, len_bytes: u64) -> Option<u64> {
        match self {
            At::Start(offset) => Some(offset),
            At::Last(sector) => (len_bytes / sector).checked_sub(1).map(|number| number * sector),
            At::LastRaid090 => (len_bytes & !0xffff).checked_sub(0x1_0000),
            At::LastRaid10 => (len_bytes / 512).checked_sub(16).map(|sector| (sector & !7) * 512),
        }
    }
}

const RAID: [u8; 4] = 0xa92b_4efc_u32.to_le_bytes();
const ZFS: [u8; 8] = 0x00ba_b10c_u64.to_le_bytes();
const BCACHE: [u8; 16] = 0xc685_73f6_4e1a_45ca_8265_f57f_48ba_6d81_u128.to_be_bytes();

/// What, where, which bytes. A mark of two bytes comes behind the longer ones, which say more.
const MARKS: &[(&str, At, &[u8])] = &[
    // LUKS2 On-Disk Format: first header at 0, second one at one of these.
    ("a LUKS volume", At::Start(0), b"LUKS\xba\xbe"),
    ("a LUKS volume (its second header)", At::Start(0x4000), b"SKUL\xba\xbe"),
    ("a LUKS volume (its second header)", At::Start(0x8000), b"SKUL\xba\xbe"),
    ("a LUKS volume (its second header)", At::Start(0x1_0000), b"SKUL\xba\xbe"),
    // lvm2, lib/format_text/layout.h: a label in one of the first four sectors.
    ("an LVM physical volume", At::Start(0), b"LABELONE"),
    ("an LVM physical volume", At::Start(512), b"LABELONE"),
    ("an LVM physical volume", At::Start(1024), b"LABELONE"),
    ("an LVM physical volume", At::Start(1536), b"LABELONE"),
    // linux/raid/md_p.h.
    ("a RAID member", At::Start(0), &RAID),
    ("a RAID member", At::Start(4096), &RAID),
    ("a RAID member", At::LastRaid10, &RAID),
    ("a RAID member", At::LastRaid090, &RAID),
    // UEFI specification, GPT header: second sector and last one, for both lengths of sectors.
    ("a GPT partition table", At::Start(512), b"EFI PART"),
    ("a GPT partition table", At::Start(4096), b"EFI PART"),
    ("a GPT partition table (its copy at the end)", At::Last(512), b"EFI PART"),
    ("a GPT partition table (its copy at the end)", At::Last(4096), b"EFI PART"),
    // linux/bcache.h, also bcachefs/bcachefs_format.h.
    ("a bcache or bcachefs device", At::Start(4096 + 24), &BCACHE),
    // Documentation/admin-guide/device-mapper: dm-integrity, dm-verity.
    ("a dm-integrity volume", At::Start(0), b"integrt\0"),
    ("a dm-verity hash tree", At::Start(0), b"verity\0\0"),
    // linux/swap.h: the last ten bytes of the first page, whatever a page is on the machine that made it.
    ("swap space", At::Start(4096 - 10), b"SWAPSPACE2"),
    ("swap space", At::Start(8192 - 10), b"SWAPSPACE2"),
    ("swap space", At::Start(16384 - 10), b"SWAPSPACE2"),
    ("swap space", At::Start(65536 - 10), b"SWAPSPACE2"),
    ("swap space", At::Start(4096 - 10), b"SWAP-SPACE"),
    // kernel/power/swap.c: an image to wake up from, in place of swap's mark.
    ("a hibernation image", At::Start(4096 - 10), b"S1SUSPEND"),
    // linux: fs/xfs/libxfs/xfs_format.h, fs/btrfs, fs/f2fs, fs/erofs, fs/squashfs, fs/cramfs, fs/jfs, fs/reiserfs,
    // fs/nilfs2, fs/gfs2, fs/ocfs2, fs/romfs.
    ("an XFS file system", At::Start(0), b"XFSB"),
    ("a btrfs file system", At::Start(0x1_0000 + 64), b"_BHRfS_M"),
    ("an F2FS file system", At::Start(1024), &0xf2f5_2010_u32.to_le_bytes()),
    ("an EROFS file system", At::Start(1024), &0xe0f5_e1e2_u32.to_le_bytes()),
    ("a squashfs image", At::Start(0), b"hsqs"),
    ("a cramfs image", At::Start(0), &0x28cd_3d45_u32.to_le_bytes()),
    ("a romfs image", At::Start(0), b"-rom1fs-"),
    ("a JFS file system", At::Start(0x8000), b"JFS1"),
    ("a ReiserFS file system", At::Start(0x1_0000 + 52), b"ReIsEr"),
    ("a GFS2 file system", At::Start(0x1_0000), &0x0116_1970_u32.to_be_bytes()),
    ("an OCFS2 file system", At::Start(1024), b"OCFSV2"),
    ("an OCFS2 file system", At::Start(4096), b"OCFSV2"),
    // OpenZFS on-disk format: the ring of uberblocks of the first label.
    ("a ZFS pool", At::Start(128 << 10), &ZFS),
    ("a ZFS pool", At::Start(132 << 10), &ZFS),
    // ECMA-119 and ECMA-167: volume descriptors from sector 16 on.
    ("an ISO 9660 image", At::Start(32769), b"CD001"),
    ("a UDF file system", At::Start(32769), b"BEA01"),
    ("a UDF file system", At::Start(32769), b"NSR0"),
    // Boot sectors: Microsoft's exFAT and FAT specifications, [MS-FVE].
    ("an NTFS file system", At::Start(3), b"NTFS    "),
    ("an exFAT file system", At::Start(3), b"EXFAT   "),
    ("a BitLocker volume", At::Start(3), b"-FVE-FS-"),
    ("a FAT file system", At::Start(54), b"FAT1"),
    ("a FAT file system", At::Start(82), b"FAT32   "),
    // Apple File System Reference; Technical Note TN1150.
    ("an APFS container", At::Start(32), b"NXSB"),
    ("an HFS+ file system", At::Start(1024), b"H+\0\x04"),
    ("an HFS+ file system", At::Start(1024), b"HX\0\x05"),
    // ceph, src/os/bluestore.
    ("a Ceph BlueStore device", At::Start(0), b"bluestore block device"),
    // fs/ext4/ext4.h, s_magic; also ext2 and ext3.
    ("an ext2, ext3 or ext4 file system", At::Start(1080), b"\x53\xef"),
    ("an NILFS2 file system", At::Start(1030), b"\x34\x34"),
    // UEFI specification, legacy master boot record.
    ("a partition table or boot sector", At::Start(510), b"\x55\xaa"),
];

/// What `dev` holds, as far as the table tells, and "data of an unknown kind" where the first or last MiB is neither
/// zeros nor ones. Traces of a store are not foreign.
///
/// # Errors
/// What the device says.
pub fn find(dev: &dyn BlockDevice) -> io::Result<Option<Foreign>> {
    let head = Area::read(dev, 0)?;
    let tail = Area::read(dev, dev.len_bytes().saturating_sub(AREA_LEN) / BLOCK_LEN_BYTES * BLOCK_LEN_BYTES)?;
    let len_bytes = dev.len_bytes();
    let has_store = SUPERBLOCK_BLOCKS.iter().any(|slot| {
        let block = head.get(BlockNo(*slot).offset().0, BLOCK_LEN);
        block.is_some_and(|block| Superblock::decode(block) != Slot::Foreign)
    });
    // Behind the superblocks a store has whatever it was given to keep.
    let counts = |offset| !has_store || offset < SUPERBLOCK_BLOCKS[1] * BLOCK_LEN_BYTES;
    let marked = MARKS.iter().find_map(|(what, at, bytes)| {
        let offset = at.offset(len_bytes).filter(|offset| counts(*offset))?;
        let held = head.get(offset, bytes.len()).or_else(|| tail.get(offset, bytes.len()))?;
        (held == *bytes).then_some(Foreign { what, offset })
    });
    if marked.is_some() || has_store {
        return Ok(marked);
    }
    let unknown = [&head, &tail].into_iter().find_map(Area::first_of_meaning);
    Ok(unknown.map(|offset| Foreign { what: "data of an unknown kind", offset }))
}

/// Overwrites with zeros where [`find`] looks, so that nobody takes the device for what it was.
///
/// # Errors
/// What the device says.
pub fn wipe(dev: &dyn BlockDevice) -> io::Result<()> {
    let zeros = vec![0; BLOCK_LEN * 16];
    let len_bytes = dev.len_bytes();
    let tail = len_bytes.saturating_sub(AREA_LEN) / BLOCK_LEN_BYTES * BLOCK_LEN_BYTES;
    for start in [0, tail] {
        let mut at = start;
        while at < len_bytes.min(start + AREA_LEN + BLOCK_LEN_BYTES) {
            let left = usize::try_from(len_bytes - at).unwrap_or(zeros.len());
            let take = left.min(zeros.len());
            dev.write_at(DevOffset(at), &zeros[..take])?;
            at += take as u64;
        }
    }
    dev.flush()
}

/// A part of the device in memory.
struct Area {
    start: u64,
    bytes: Vec<u8>,
}

impl Area {
    fn read(dev: &dyn BlockDevice, start: u64) -> io::Result<Self> {
        let len = (dev.len_bytes() - start).min(AREA_LEN + BLOCK_LEN_BYTES);
        let len = usize::try_from(len - len % BLOCK_LEN_BYTES).unwrap_or(0);
        let mut bytes = vec![0; len];
        dev.read_at(DevOffset(start), &mut bytes)?;
        Ok(Self { start, bytes })
    }

    fn get(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..from.checked_add(len)?)
    }

    /// The first byte that neither a device that was never written nor one that was erased has.
    fn first_of_meaning(&self) -> Option<u64> {
        let blank = self.bytes.first().filter(|byte| [0, 0xff].contains(*byte)).copied();
        let at = self.bytes.iter().position(|byte| Some(*byte) != blank)?;
        Some(self.start + at as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::MemDevice;
    use crate::store::{FormatOptions, Store};

    const LEN: u64 = 64 << 20;

    fn blank() -> MemDevice {
        MemDevice::new(LEN, LEN)
    }

    fn put(dev: &MemDevice, offset: u64, bytes: &[u8]) {
        let start = offset / BLOCK_LEN_BYTES * BLOCK_LEN_BYTES;
        let mut blocks = vec![0; BLOCK_LEN * 2];
        let len = usize::try_from((LEN - start).min(2 * BLOCK_LEN_BYTES)).unwrap();
        dev.read_at(DevOffset(start), &mut blocks[..len]).unwrap();
        let at = usize::try_from(offset - start).unwrap();
        blocks[at..at + bytes.len()].copy_from_slice(bytes);
        dev.write_at(DevOffset(start), &blocks[..len]).unwrap();
    }

    #[test]
    fn each_mark_is_found_where_it_lies_and_wiped() {
        for (what, at, bytes) in MARKS {
            let dev = blank();
            let offset = at.offset(LEN).unwrap();
            put(&dev, offset, bytes);
            let found = find(&dev).unwrap().unwrap_or_else(|| panic!("{what} at {offset}"));
            assert_eq!((found.what, found.offset), (*what, offset));
            wipe(&dev).unwrap();
            assert_eq!(find(&dev).unwrap(), None, "{what} at {offset}");
        }
    }

    #[test]
    fn a_blank_device_and_a_store_are_not_foreign() {
        let dev = blank();
        assert_eq!(find(&dev).unwrap(), None);
        put(&dev, 300, b"x");
        put(&dev, LEN - 1, b"x");
        let unknown = "data of an unknown kind";
        assert_eq!(find(&dev).unwrap(), Some(Foreign { what: unknown, offset: 300 }));
        put(&dev, 300, b"\0");
        assert_eq!(find(&dev).unwrap(), Some(Foreign { what: unknown, offset: LEN - 1 }));
        wipe(&dev).unwrap();
        Store::format(&dev, &FormatOptions::default()).unwrap();
        assert_eq!(find(&dev).unwrap(), None);
        // In a store's data anything may lie, the image of a pool for example.
        put(&dev, 128 << 10, &ZFS);
        put(&dev, LEN - 512, b"EFI PART");
        assert_eq!(find(&dev).unwrap(), None);
        // Who made a file system over a store left its second superblock.
        put(&dev, 1080, b"\x53\xef");
        assert_eq!(find(&dev).unwrap().map(|found| found.offset), Some(1080));
    }

    #[test]
    fn a_device_shorter_than_what_is_looked_at_is_no_trouble() {
        for len_bytes in [0, 4096, 65536, (1 << 20) + 4096] {
            let dev = MemDevice::new(len_bytes, len_bytes);
            assert_eq!(find(&dev).unwrap(), None);
            wipe(&dev).unwrap();
        }
    }
}
