//! Histories: what is done to a store, and what a plain model says about every moment of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::sync::Arc;

use statefs_journal::{BlobHash, Key, Replay, StateOp, Store, StoreError};

use crate::device::{Device, Image};

/// The kind of the client's records.
const KIND: u8 = 7;
/// Keys that histories use: few, so that they are replaced and deleted.
const KEYS: u64 = 9;

/// A small generator of the splitmix family: histories are named by their seed.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// What a store holds, as a client sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    pub records: Vec<u64>,
    pub state: BTreeMap<Key, Vec<u8>>,
    /// Blobs that were put and not removed.
    pub live: BTreeSet<BlobHash>,
}

/// The model after one operation.
pub struct Moment {
    /// Length of the device's log when the operation began: before that nothing of it can be seen.
    pub begun: usize,
    pub model: Arc<Model>,
}

/// What must be there from a moment on.
struct Floor {
    from: usize,
    moment: usize,
}

pub struct History {
    pub seed: u64,
    pub dev: Arc<Device>,
    pub start: Image,
    pub moments: Vec<Moment>,
    floors: Vec<Floor>,
    /// Every blob that was ever put.
    pub blobs: HashMap<BlobHash, Vec<u8>>,
    counter: u64,
}

pub fn open(dev: Arc<Device>) -> Result<(Store, Model), StoreError> {
    let mut records: Vec<u64> = Vec::new();
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes[..8].try_into().unwrap());
    let store = Store::open(dev, &mut |replay| {
        match replay {
            Replay::Checkpoint { bytes, .. } => {
                let mut all = Vec::new();
                bytes.read_to_end(&mut all).map_err(|e| StoreError::Client(e.to_string()))?;
                records = all.chunks_exact(8).map(number).collect();
            }
            Replay::Record { kind, payload, .. } => {
                assert!(kind == KIND && payload[8..].iter().all(|byte| *byte == payload[0]), "a torn record");
                records.push(number(payload));
            }
        }
        Ok(())
    })?;
    store.set_compression(Some(1));
    let mut state = BTreeMap::new();
    for row in store.state_list(b"/state/", None, usize::MAX, &|_| true).rows {
        let value = store.state_get(&row.key)?.unwrap();
        assert_eq!(value.len() as u64, row.len_bytes);
        state.insert(row.key, value);
    }
    let mut live = BTreeSet::new();
    store.for_each_blob(&mut |hash, _| _ = live.insert(*hash));
    Ok((store, Model { records, state, live }))
}

impl History {
    /// Begins on a device that holds a store with this content.
    fn begin(seed: u64, start: Image, model: Model, blobs: HashMap<BlobHash, Vec<u8>>, counter: u64) -> Self {
        let moments = vec![Moment { begun: 0, model: Arc::new(model) }];
        let floors = vec![Floor { from: 0, moment: 0 }];
        let dev = Device::recording(start.clone());
        Self { seed, dev, start, moments, floors, blobs, counter }
    }

    /// `count` operations on an empty store.
    pub fn first(seed: u64, count: u64) -> Self {
        let format = Device::recording(Image::default());
        Store::format(&*format, &Default::default()).unwrap();
        let mut start = Image::default();
        for op in format.log() {
            if let crate::device::Op::Units(units) = op {
                units.iter().for_each(|unit| start.apply(unit));
            }
        }
        let mut history = Self::begin(seed, start, Model::default(), HashMap::new(), 0);
        history.run(count);
        history
    }

    /// Goes on from what a power cut left: `model` is what is found there.
    pub fn after_cut(&self, left: Image, model: Model, count: u64) -> Self {
        let seed = Random(self.seed).next();
        let mut history = Self::begin(seed, left, model, self.blobs.clone(), self.counter);
        history.run(count);
        history
    }

    fn run(&mut self, count: u64) {
        let mut random = Random(self.seed);
        let (store, model) = open(self.dev.clone()).unwrap();
        self.moments[0].model = Arc::new(model);
        for _ in 0..count {
            self.step(&store, &mut random);
        }
    }

    fn step(&mut self, store: &Store, random: &mut Random) {
        let which = random.below(16);
        self.step_of(store, random, which);
    }

    fn step_of(&mut self, store: &Store, random: &mut Random, which: u64) {
        let begun = self.dev.log_len();
        let mut model = (*self.moments[self.moments.len() - 1].model).clone();
        let mut is_floor = false;
        match which {
            0..=3 => {
                // The longest ones fill blocks exactly, so that leftovers of several start at blocks.
                let len = [8, 60, 700, 4064, 4064][random.below(5) as usize];
                self.append(store, &mut model, len);
            }
            4..=6 => {
                let ops = 1 + random.below(4) * random.below(2);
                let ops: Vec<StateOp> = (0..ops).map(|_| self.change(&model, random)).collect();
                for op in &ops {
                    match op.clone() {
                        StateOp::Put(key, value) => drop(model.state.insert(key, value)),
                        StateOp::Delete(key) => drop(model.state.remove(&key)),
                    }
                }
                store.state_apply(ops).unwrap();
            }
            7..=9 => {
                let len = [10, 600, 3000, 4200, 6300][random.below(5) as usize];
                self.put_blob(store, &mut model, len);
            }
            10 => {
                // What a collector does: the values of keys are kept.
                let mut values = BTreeSet::new();
                store.for_each_state_blob(&mut |hash| _ = values.insert(*hash));
                let victims: Vec<BlobHash> = model
                    .live
                    .iter()
                    .filter(|hash| hash.0[0] % 3 == 0 && !values.contains(hash))
                    .copied()
                    .collect();
                store.remove_blobs(&victims).unwrap();
                victims.iter().for_each(|hash| _ = model.live.remove(hash));
            }
            11..=13 => {
                store.sync().unwrap();
                is_floor = true;
            }
            14 => {
                self.background_checkpoint(store, random);
                return;
            }
            _ => {
                let records: Vec<u8> = model.records.iter().flat_map(|r| r.to_le_bytes()).collect();
                store.checkpoint(&mut |out: &mut dyn Write| out.write_all(&records)).unwrap();
                is_floor = true;
            }
        }
        self.moments.push(Moment { begun, model: Arc::new(model) });
        if is_floor {
            self.floors.push(Floor { from: self.dev.log_len(), moment: self.moments.len() - 1 });
        }
    }

    /// A checkpoint that others do not wait for: what they do meanwhile belongs to the next epoch.
    fn background_checkpoint(&mut self, store: &Store, random: &mut Random) {
        let model = Arc::clone(&self.moments[self.moments.len() - 1].model);
        let records: Vec<u8> = model.records.iter().flat_map(|r| r.to_le_bytes()).collect();
        let begun = self.dev.log_len();
        let pending = store.begin_checkpoint().unwrap();
        self.moments.push(Moment { begun, model });
        let promised = self.moments.len() - 1;
        for _ in 0..random.below(4) {
            // Anything but another checkpoint.
            let which = random.below(14);
            self.step_of(store, random, which);
        }
        let begun = self.dev.log_len();
        // One in four never comes to its end.
        if random.below(4) > 0 {
            pending.finish(&mut |out: &mut dyn Write| out.write_all(&records)).unwrap();
            let model = Arc::clone(&self.moments[self.moments.len() - 1].model);
            self.moments.push(Moment { begun, model });
            // What was put since it began is only promised by a sync.
            self.floors.push(Floor { from: self.dev.log_len(), moment: promised });
        }
    }

    fn append(&mut self, store: &Store, model: &mut Model, len: usize) {
        self.counter += 1;
        let fill = self.counter.to_le_bytes()[0];
        let mut payload = vec![fill; len.max(8)];
        payload[..8].copy_from_slice(&self.counter.to_le_bytes());
        store.append(KIND, &payload).unwrap();
        model.records.push(self.counter);
    }

    fn change(&mut self, model: &Model, random: &mut Random) -> StateOp {
        let number = random.below(KEYS);
        let key = Key::new(format!("/state/{}/{number}", number % 2).as_bytes()).unwrap();
        if model.state.contains_key(&key) && random.below(3) == 0 {
            return StateOp::Delete(key);
        }
        let len = [0, 64, 500, 1100, 6200][random.below(5) as usize];
        StateOp::Put(key, self.content(len))
    }

    fn put_blob(&mut self, store: &Store, model: &mut Model, len: usize) {
        let mut bytes = self.content(len);
        match self.counter % 3 {
            // Lies there as it is, compressed, or with zeros left out.
            0 => {}
            1 => bytes = bytes[..len / 4].repeat(4),
            _ => bytes.extend_from_slice(&[0; 8192]),
        }
        let hash = BlobHash::of(&bytes);
        self.blobs.insert(hash, bytes.clone());
        store.put_blob(&hash, &bytes).unwrap();
        model.live.insert(hash);
    }

    fn content(&mut self, len: usize) -> Vec<u8> {
        self.counter += 1;
        let mut bytes = vec![0; len];
        let seed = self.counter.to_le_bytes();
        blake3::Hasher::new().update(&seed).finalize_xof().fill(&mut bytes);
        bytes
    }

    /// First and last moment that may be found after a cut behind the first `prefix` operations.
    pub fn bounds(&self, prefix: usize) -> (usize, usize) {
        let passed = self.floors.iter().filter(|floor| floor.from <= prefix);
        let floor = passed.map(|floor| floor.moment).max().unwrap_or(0);
        let issued = self.moments.iter().rposition(|moment| moment.begun < prefix).unwrap_or(0);
        (floor, issued.max(floor))
    }

    /// Whether what was found is one of the moments that may be found, and every blob in the table has its bytes.
    pub fn judge(&self, bounds: (usize, usize), store: &Store, found: &Model) -> Result<(), String> {
        for hash in &found.live {
            let bytes = store.read_blob_vec(hash).map_err(|error| format!("blob of the table: {error}"))?;
            if self.blobs.get(hash).is_none_or(|known| *known != bytes) && BlobHash::of(&bytes) != *hash {
                return Err(format!("blob {hash}: wrong bytes"));
            }
        }
        let (first, last) = bounds;
        let agrees = |moment: &Moment| {
            let model = &moment.model;
            model.records == found.records && model.state == found.state && model.live.is_subset(&found.live)
        };
        if self.moments[first..=last].iter().any(agrees) {
            return Ok(());
        }
        let wanted = &self.moments[first].model;
        let missing = wanted.live.difference(&found.live).count();
        Err(format!(
            "{} records, {} keys, {} blobs found: no moment from {first} to {last} is like that; the first has {} \
             records, {} keys, {} blobs of which {missing} are missing, state equal: {}",
            found.records.len(),
            found.state.len(),
            found.live.len(),
            wanted.records.len(),
            wanted.state.len(),
            wanted.live.len(),
            wanted.state == found.state,
        ))
    }
}
