//! The device key: made once, kept before it is told of, never given away.

use crate::hex;
use crate::records::{self, Change, Records, ledger_key};
use crate::seal::{By, Sealer, Way, failed};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use vrift_protocol::keystore::{PublicKey, Signature, Verdict};
use vrift_protocol::pipeline::Blocking;
use vrift_secret::random;
use vrift_service::Refusal;
use zeroize::Zeroizing;

const DEVICE_KEY: &str = "/state/keystore/device";
/// In the clear: how the sealing key is made. Its being there means that records are sealed.
const SEALING_KEY: &str = "/state/keystore/sealing";
const PREFIX: &str = "/state/keystore/";
/// Keys that are remembered, the one in use included.
const KEYS_MAX: usize = 256;

/// The record, apart from the seed's hex digits around it.
#[derive(Clone, Serialize, Deserialize)]
struct Body {
    /// Newest first.
    keys: Vec<PublicKey>,
    seed: Zeroizing<String>,
}

pub struct Device {
    key: SigningKey,
    keys: Vec<PublicKey>,
}

impl Device {
    fn made(mut older: Vec<PublicKey>) -> Result<Device, Refusal> {
        let seed = Zeroizing::new(random::<32>().map_err(failed)?);
        let key = SigningKey::from_bytes(&seed);
        let now = now_ns();
        if let Some(last) = older.first_mut() {
            last.until_ns = Some(now);
        }
        let public = key.verifying_key().to_bytes();
        let new = PublicKey { id: id(&public), public: hex::encode(&public), since_ns: now, until_ns: None };
        older.insert(0, new);
        Ok(Device { key, keys: older })
    }

    fn read(value: &[u8]) -> Result<Device, Refusal> {
        let damaged = || Refusal::new(Errno::EBADMSG, "the device key cannot be read");
        let body: Body = serde_json::from_slice(value).map_err(|_| damaged())?;
        let seed = Zeroizing::new(hex::fixed::<32>(&body.seed).map_err(|_| damaged())?);
        let key = SigningKey::from_bytes(&seed);
        let matches = body
            .keys
            .first()
            .is_some_and(|first| first.public == hex::encode(&key.verifying_key().to_bytes()));
        if matches { Ok(Device { key, keys: body.keys }) } else { Err(damaged()) }
    }

    fn body(&self) -> Zeroizing<Vec<u8>> {
        let seed = Zeroizing::new(hex::encode(self.key.as_bytes()));
        Zeroizing::new(serde_json::to_vec(&Body { keys: self.keys.clone(), seed }).unwrap_or_default())
    }

    fn ledger_key(&self) -> Zeroizing<[u8; 32]> {
        ledger_key(self.key.as_bytes())
    }

    /// The one in use first.
    pub fn public_keys(&self) -> Vec<PublicKey> {
        self.keys.clone()
    }

    pub fn sign(&self, statement: &[u8]) -> Signature {
        let signature = self.key.sign(statement).to_bytes();
        let key = self.keys.first().map_or_else(String::new, |key| key.id.clone());
        Signature { key, signature: hex::encode(&signature) }
    }

    /// By whichever key of ours made it.
    pub fn verify(&self, statement: &[u8], signature: &Signature) -> Verdict {
        let key = signature.key.clone();
        let Some(known) = self.keys.iter().find(|known| known.id == key) else {
            return Verdict::UnknownKey { key };
        };
        let right = || {
            let public = VerifyingKey::from_bytes(&hex::fixed(&known.public).ok()?).ok()?;
            let bytes: [u8; 64] = hex::fixed(&signature.signature).ok()?;
            public.verify_strict(statement, &ed25519_dalek::Signature::from_bytes(&bytes)).ok()
        };
        if right().is_some() { Verdict::Right { key } } else { Verdict::Wrong { key } }
    }
}

fn id(public: &[u8; 32]) -> String {
    hex::encode(&blake3::hash(public).as_bytes()[..16])
}

fn now_ns() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// How records are sealed; None: they are not.
pub fn way(space: &mut Blocking) -> Result<Option<Way>, Refusal> {
    let damaged = |_| Refusal::new(Errno::EBADMSG, format!("{SEALING_KEY} cannot be read"));
    let value = space.get(SEALING_KEY.as_bytes())?;
    value.map(|value| serde_json::from_slice::<Way>(&value).map_err(damaged)).transpose()
}

/// Reads the key, or makes it if nothing was ever kept here; seals everything if a key file is there for the first time.
pub fn open(space: &mut Blocking, secret: Option<Zeroizing<Vec<u8>>>) -> Result<(Device, Records), Refusal> {
    let way = way(space)?;
    let Some(stored) = space.get(DEVICE_KEY.as_bytes())? else {
        if !space.list(PREFIX.as_bytes())?.is_empty() {
            let text = "the device key is gone although other records are there; restore the store";
            return Err(Refusal::new(Errno::EBADMSG, text));
        }
        return first(space, secret);
    };
    let sealer = match (&way, &secret) {
        (Some(way), Some(secret)) => Some(way.sealer(secret)?),
        _ => None,
    };
    let value = records::read(DEVICE_KEY, &stored, sealer.as_ref())?;
    let device = Device::read(&value)?;
    let records = Records::open(space, device.ledger_key(), sealer)?;
    records.check(DEVICE_KEY, &stored)?;
    match secret {
        Some(secret) if way.is_none() => Ok((device, reseal(space, records, By::KeyFile, &secret)?)),
        _ => Ok((device, records)),
    }
}

/// Makes the key; it is read back before anybody is told of it.
fn first(space: &mut Blocking, secret: Option<Zeroizing<Vec<u8>>>) -> Result<(Device, Records), Refusal> {
    let device = Device::made(Vec::new())?;
    let sealing = secret.map(|secret| sealing(By::KeyFile, &secret)).transpose()?;
    let (sealer, mut changes) = match sealing {
        Some((sealer, change)) => (Some(sealer), vec![change]),
        None => (None, Vec::new()),
    };
    let mut records = Records::new(device.ledger_key(), sealer);
    changes.extend(records.put(DEVICE_KEY, &device.body())?);
    records.commit(space, &changes)?;
    read_back(space, &records, &device)?;
    Ok((device, records))
}

/// How the sealing key is made, and the change that says so.
fn sealing(by: By, secret: &[u8]) -> Result<(Sealer, Change), Refusal> {
    let way = Way::new(by)?;
    let value = serde_json::to_vec(&way).unwrap_or_default();
    Ok((way.sealer(secret)?, (SEALING_KEY.as_bytes().to_vec(), Some(value))))
}

fn read_back(space: &mut Blocking, records: &Records, device: &Device) -> Result<(), Refusal> {
    let same = records.get(space, DEVICE_KEY)?.is_some_and(|value| value[..] == device.body()[..]);
    if same { Ok(()) } else { Err(Refusal::new(Errno::EIO, "the device key is not what was written")) }
}

/// All records again, sealed anew, in one transaction.
pub fn reseal(space: &mut Blocking, mut records: Records, by: By, secret: &[u8]) -> Result<Records, Refusal> {
    let keys: Vec<String> = records.below(PREFIX).map(str::to_string).collect();
    let mut clear = Vec::new();
    for key in keys {
        if let Some(value) = records.get(space, &key)? {
            clear.push((key, value));
        }
    }
    let (sealer, change) = sealing(by, secret)?;
    records.set_sealer(sealer);
    let mut changes = vec![change];
    for (key, value) in &clear {
        // The last ledger is the right one.
        changes.extend(records.put(key, value)?);
    }
    records.commit(space, &changes)?;
    Ok(records)
}

/// A new key in place of the one in use.
pub fn rotate(
    space: &mut Blocking,
    device: &mut Device,
    records: &mut Records,
) -> Result<PublicKey, Refusal> {
    if device.keys.len() >= KEYS_MAX {
        return Err(Refusal::new(Errno::ENOSPC, format!("{KEYS_MAX} keys are remembered already")));
    }
    let new = Device::made(device.keys.clone())?;
    records.set_ledger_key(new.ledger_key());
    let changes = records.put(DEVICE_KEY, &new.body())?;
    records.commit(space, &changes)?;
    read_back(space, records, &new)?;
    *device = new;
    device.keys.first().cloned().ok_or_else(|| Refusal::new(Errno::EIO, "there is no key"))
}
