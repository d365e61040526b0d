//! The store: bytes of a device, with checksums that are right, so that what is behind them is reached.

use std::sync::{Arc, OnceLock};

use statefs_journal::device::OverlayDevice;
use statefs_journal::layout::chunk::{self, CHUNK_LEN, ChunkHeader, PAYLOAD_AT, PAYLOAD_LEN_MAX};
use statefs_journal::layout::record::{self, RecordHeader, Seed};
use statefs_journal::layout::superblock::{CRC_AT, Slot, Superblock};
use statefs_journal::layout::{BLOCK_LEN, segment};
use statefs_journal::{
    BlobHash, BlockDevice, BlockNo, DevOffset, FormatOptions, Key, MemDevice, Replay, Seq, Store, StoreError,
};

const DEVICE_MAX_BYTES: u64 = 256 << 20;
/// Both places of the superblock.
const SLOTS: [u64; 2] = [0, 16];
/// Kinds of records that the engine knows, and one of the client's.
const KINDS: [u8; 6] = [0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 7];

/// A small store with something of everything.
fn base() -> &'static MemDevice {
    static BASE: OnceLock<MemDevice> = OnceLock::new();
    BASE.get_or_init(|| {
        let dev = Arc::new(MemDevice::new(0, DEVICE_MAX_BYTES));
        let made = (|| -> Result<(), Box<dyn std::error::Error>> {
            Store::format(&*dev, &FormatOptions::default())?;
            let store = opened(dev.clone())?;
            store.put_blob(&BlobHash::of(b"packed"), b"packed")?;
            store.state_put(&Key::new(b"/state/a")?, b"value")?;
            store.append(7, b"before")?;
            store.checkpoint(&mut |to| to.write_all(b"the client's"))?;
            store.append(7, b"after")?;
            store.sync()?;
            Ok(())
        })();
        assert!(made.is_ok(), "{made:?}");
        dev.fork()
    })
}

fn opened(dev: Arc<dyn BlockDevice>) -> Result<Store, StoreError> {
    Store::open(dev, &mut |replay| {
        if let Replay::Checkpoint { bytes, .. } = replay {
            std::io::copy(bytes, &mut std::io::sink())
                .map_err(|error| StoreError::Client(error.to_string()))?;
        }
        Ok(())
    })
}

/// Opens it, reads all there is, and goes on with it.
fn use_it(dev: MemDevice) {
    let Ok(store) = opened(Arc::new(dev)) else { return };
    let mut hashes = Vec::new();
    store.for_each_blob(&mut |hash, _| hashes.push(*hash));
    for hash in hashes {
        if let Ok(bytes) = store.read_blob_vec(&hash) {
            assert_eq!(BlobHash::of(&bytes), hash, "wrong bytes were returned");
        }
    }
    for row in store.state_list(b"/state/", None, 100, &|_| true).rows {
        let _ = store.state_get(&row.key);
    }
    let _ = store.append(7, b"goes on");
    let _ = store.sync();
}

fn block(dev: &MemDevice, block: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    assert!(dev.read_at(BlockNo(block).offset(), &mut bytes).is_ok(), "block {block}");
    bytes
}

fn current() -> Superblock {
    match Superblock::decode(&block(base(), SLOTS[0], BLOCK_LEN)) {
        Slot::Valid(superblock) => superblock,
        other => panic!("the store that was just made has {other:?}"),
    }
}

fn with_superblocks(dev: &MemDevice, bytes: &[u8]) {
    for slot in SLOTS {
        assert!(dev.write_at(BlockNo(slot).offset(), bytes).is_ok());
    }
}

/// Both superblocks: the bytes in place of the first ones, and a checksum that is right.
pub fn superblock(bytes: &[u8]) {
    let mut whole = block(base(), SLOTS[0], BLOCK_LEN);
    let len = bytes.len().min(CRC_AT);
    whole[..len].copy_from_slice(&bytes[..len]);
    let crc = crc32(&whole[..CRC_AT]);
    whole[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
    let dev = base().fork();
    with_superblocks(&dev, &whole);
    use_it(dev);
}

type End = (Seed, RecordHeader, DevOffset);

/// What the records of the store share, its last one, and the block behind it.
static END: OnceLock<End> = OnceLock::new();

fn end() -> End {
    let current = current();
    let seed = Seed { store_id: current.store_id, epoch: current.epoch };
    let start = current.journal_block.offset();
    let segment = block(base(), current.journal_block.0, segment::SEGMENT_LEN);
    let mut last = None;
    for at in (segment::RECORDS_AT..segment.len()).step_by(record::RECORD_ALIGN) {
        if let Some((header, _)) = record::decode(&seed, DevOffset(start.0 + at as u64), &segment[at..]) {
            last = Some((header, at + record::record_len(header.payload_len)));
        }
    }
    let Some((header, end)) = last else { panic!("the store that was just made has no record") };
    (seed, header, DevOffset(start.0 + end.next_multiple_of(BLOCK_LEN) as u64))
}

/// A record of any kind behind the last one, as if the engine had written it.
pub fn journal(bytes: &[u8]) {
    let Some((kind, payload)) = bytes.split_first() else { return };
    let payload = &payload[..payload.len().min(record::PAYLOAD_LEN_MAX)];
    let (seed, header, at) = *END.get_or_init(end);
    let header = RecordHeader {
        payload_len: payload.len(),
        seq: Seq(header.seq.0 + 1),
        kind: KINDS[usize::from(*kind) % KINDS.len()],
        ..header
    };
    let mut record = Vec::new();
    record::encode(&mut record, &seed, at, &header, payload);
    record.resize(record.len().next_multiple_of(BLOCK_LEN), 0);
    let dev = base().fork();
    if dev.write_at(at, &record).is_ok() {
        // Looking changes nothing, and is another reader of the same bytes.
        let _ = opened(Arc::new(OverlayDevice::new(Arc::new(dev.fork()))));
        use_it(dev);
    }
}

/// A checkpoint of one chunk with these bytes, and superblocks that vouch for it.
pub fn checkpoint(bytes: &[u8]) {
    let payload = &bytes[..bytes.len().min(PAYLOAD_LEN_MAX)];
    let mut current = current();
    let mut whole = vec![0; CHUNK_LEN];
    whole[PAYLOAD_AT..PAYLOAD_AT + payload.len()].copy_from_slice(payload);
    whole.truncate(PAYLOAD_AT + payload.len());
    let header = ChunkHeader {
        store_id: current.store_id,
        epoch: current.epoch,
        index: 0,
        next: BlockNo(0),
        payload_len: payload.len(),
    };
    chunk::seal(&mut whole, &header);
    whole.resize(CHUNK_LEN, 0);
    let dev = base().fork();
    assert!(dev.write_at(current.checkpoint_block.offset(), &whole).is_ok());
    current.checkpoint_len_bytes = payload.len() as u64;
    current.checkpoint_hash = *blake3::hash(payload).as_bytes();
    with_superblocks(&dev, &current.encode());
    use_it(dev);
}

/// As zlib's crc32; slow, and nobody else's code.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}
