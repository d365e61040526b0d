//! Records that a crash left behind, and records that arrive while a flush is running.

mod common;

use std::io;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use common::{DEVICE_MAX_BYTES, open};
use statefs_journal::device::{FaultDevice, Op};
use statefs_journal::layout::record::{self, HEADER_LEN, RecordHeader, Seed};
use statefs_journal::{
    BlockDevice, DevOffset, Epoch, FormatOptions, MemDevice, Seq, Store, StoreError, StoreId,
};

const BLOCK_LEN: usize = 4096;

#[test]
fn a_record_belongs_to_one_store_one_epoch_and_one_place() {
    let seed = Seed { store_id: StoreId([1; 16]), epoch: Epoch(5) };
    let header = RecordHeader { payload_len: 3, seq: Seq(9), synced_seq: Seq(8), session: 2, kind: 7 };
    let at = DevOffset(1 << 20);
    let mut bytes = Vec::new();
    record::encode(&mut bytes, &seed, at, &header, b"abc");
    assert_eq!(record::decode(&seed, at, &bytes), Some((header, b"abc".as_slice())));
    assert_eq!(record::decode(&Seed { epoch: Epoch(6), ..seed }, at, &bytes), None);
    assert_eq!(record::decode(&Seed { store_id: StoreId([2; 16]), ..seed }, at, &bytes), None);
    assert_eq!(record::decode(&seed, DevOffset((1 << 20) + 8), &bytes), None);
    for byte in 0..HEADER_LEN + 3 {
        let mut damaged = bytes.clone();
        damaged[byte] ^= 0x10;
        assert_eq!(record::decode(&seed, at, &damaged), None, "byte {byte}");
    }
}

/// Records of exactly one block, so that each one starts where a later session could look for its next.
#[test]
fn what_an_earlier_session_left_behind_a_cut_is_never_replayed() {
    let payload = |i: u8| vec![i; BLOCK_LEN - HEADER_LEN];
    let dev = Arc::new(FaultDevice::new(DEVICE_MAX_BYTES));
    Store::format(&*dev, &FormatOptions::default()).unwrap();
    let (store, _) = open(dev.clone()).unwrap();
    store.append(7, b"synced").unwrap();
    store.sync().unwrap();
    // Shares its block with the record that the sync left; from here on one record is one block.
    store.append(7, &vec![0; BLOCK_LEN - 2 * HEADER_LEN]).unwrap();
    (1..8).for_each(|i| assert!(store.append(7, &payload(i)).is_ok()));
    let units = dev.unflushed(dev.log_len()).len();
    for lost in 0..units {
        let image = Arc::new(dev.crash_image(dev.log_len(), &|at| at != lost));
        let mut before = None;
        for opening in 0..6 {
            let (store, mut records) = open(image.clone()).unwrap();
            assert_eq!(records[0], b"synced");
            if let Some(before) = before {
                assert_eq!(records, before, "block {lost} lost, opening {opening}");
            }
            if opening % 2 == 1 {
                store.append(7, b"x").unwrap();
                records.push(b"x".to_vec());
            }
            before = Some(records);
        }
    }
}

type Hook = Box<dyn Fn() + Send>;

/// Calls a hook in the middle of a flush.
struct SlowFlush {
    inner: FaultDevice,
    hook: Mutex<Option<Hook>>,
}

impl BlockDevice for SlowFlush {
    fn len_bytes(&self) -> u64 {
        self.inner.len_bytes()
    }
    fn read_at(&self, offset: DevOffset, buf: &mut [u8]) -> io::Result<()> {
        self.inner.read_at(offset, buf)
    }
    fn write_at(&self, offset: DevOffset, buf: &[u8]) -> io::Result<()> {
        self.inner.write_at(offset, buf)
    }
    fn flush(&self) -> io::Result<()> {
        // What is written meanwhile may or may not become durable; what came before does.
        self.inner.flush()?;
        if let Some(hook) = self.hook.lock().unwrap().take() {
            hook();
        }
        Ok(())
    }
    fn discard(&self, offset: DevOffset, len_bytes: u64) -> io::Result<()> {
        self.inner.discard(offset, len_bytes)
    }
    fn reserve(&self, offset: DevOffset, len_bytes: u64) -> io::Result<()> {
        self.inner.reserve(offset, len_bytes)
    }
    fn grow(&self, len_bytes: u64) -> io::Result<()> {
        self.inner.grow(len_bytes)
    }
}

#[test]
fn a_record_appended_during_a_flush_neither_rewrites_a_synced_block_nor_hides_the_claim() {
    let dev = Arc::new(SlowFlush { inner: FaultDevice::new(DEVICE_MAX_BYTES), hook: Mutex::new(None) });
    Store::format(&*dev, &FormatOptions::default()).unwrap();
    let slot: Arc<OnceLock<Weak<Store>>> = Arc::default();
    let store = Arc::new(open(dev.clone()).unwrap().0);
    slot.set(Arc::downgrade(&store)).unwrap();
    store.append(7, b"to be synced").unwrap();
    let from = dev.inner.log_len();
    *dev.hook.lock().unwrap() = Some(Box::new(move || {
        let store = slot.get().and_then(Weak::upgrade).unwrap();
        store.append(7, b"meanwhile").unwrap();
    }));
    store.sync().unwrap();
    drop(store);
    let synced = block_of(&dev.inner.log(), b"to be synced");
    for op in &dev.inner.log()[from..] {
        if let Op::Write { offset, .. } = op {
            assert_ne!(offset.0, synced, "the synced block was written again");
        }
    }
    let image = dev.inner.killed_image();
    assert_eq!(open(Arc::new(image.fork())).unwrap().1, common::strings(&["to be synced", "meanwhile"]));
    damage(&image, synced);
    assert!(matches!(open(Arc::new(image)), Err(StoreError::JournalDamaged { .. })));
}

/// Offset of the block whose last write holds `needle`.
fn block_of(log: &[Op], needle: &[u8]) -> u64 {
    log.iter()
        .find_map(|op| match op {
            Op::Write { offset, bytes } if bytes.windows(needle.len()).any(|w| w == needle) => Some(offset.0),
            _ => None,
        })
        .unwrap()
}

/// Destroys the header of the record at the start of the block.
fn damage(image: &MemDevice, offset: u64) {
    let mut block = [0; BLOCK_LEN];
    image.read_at(DevOffset(offset), &mut block).unwrap();
    block[0] ^= 1;
    image.write_at(DevOffset(offset), &block).unwrap();
}
