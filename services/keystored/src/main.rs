//! keystored: the device key and what other services keep secret.
//!
//! Lives here: what is signed by whom, records that are bound to their place and sequence, sealing at rest. May import
//! protocol and what services share. Must never appear here: files, sockets of its own, a reply with a private key in
//! it, a secret in a message.
#![forbid(unsafe_code)]

mod device;
mod hex;
mod items;
mod records;
mod seal;
#[cfg(test)]
mod tests;

use device::Device;
use nix::errno::Errno;
use records::Records;
use seal::By;
use std::fs::File;
use std::process::ExitCode;
use vrift_protocol::keystore::{Reply, Request, Signature, Snapshot, Verdict, file_statement};
use vrift_protocol::pipeline::Blocking;
use vrift_protocol::service::{Caller, Need, Service};
use vrift_service::{Refusal, Serve};
use zeroize::Zeroizing;

/// Snapshots that are verified by one request: so many verdicts fit a frame.
const SNAPSHOTS_MAX: usize = 400;

/// What is known of the keys.
enum Keystore {
    Open(Box<Open>),
    /// Sealed by a passphrase that nobody has said yet.
    Locked,
}

struct Open {
    device: Device,
    records: Records,
    by: Option<By>,
}

fn main() -> ExitCode {
    vrift_service::run(Service::Keystore, &[], Keystore::open)
}

impl Keystore {
    /// With the key file, if one is configured and no passphrase was put in its place.
    fn open(space: &mut Blocking, key_file: Option<File>) -> Result<Keystore, Refusal> {
        let way = device::way(space)?;
        if way.is_some_and(|way| way.by == By::Passphrase) {
            return Ok(Keystore::Locked);
        }
        let secret = key_file.map(seal::read_secret).transpose()?;
        let by = secret.as_ref().map(|_| By::KeyFile);
        let (device, records) = device::open(space, secret)?;
        Ok(Keystore::Open(Box::new(Open { device, records, by })))
    }

    fn status(&self) -> Reply {
        let by = match self {
            Keystore::Open(open) => open.by,
            Keystore::Locked => Some(By::Passphrase),
        };
        let words = |by| match by {
            By::KeyFile => "the key file",
            By::Passphrase => "a passphrase",
        };
        let sealed_by = by.map(|by| words(by).to_string());
        Reply::Status { sealed_by, locked: matches!(self, Keystore::Locked) }
    }

    fn unlock(&mut self, space: &mut Blocking, passphrase: Zeroizing<String>) -> Result<Reply, Refusal> {
        if let Keystore::Open(open) = self {
            return match open.by {
                Some(By::Passphrase) => Ok(Reply::Done),
                _ => Err(Refusal::new(Errno::EINVAL, "no passphrase seals the keystore: vrift key seal")),
            };
        }
        let secret = Zeroizing::new(passphrase.as_bytes().to_vec());
        let (device, records) =
            device::open(space, Some(secret)).map_err(|Refusal(errno, text)| match errno {
                Errno::EKEYREJECTED => Refusal::new(Errno::EILSEQ, "the passphrase is not the right one"),
                errno => Refusal(errno, text),
            })?;
        *self = Keystore::Open(Box::new(Open { device, records, by: Some(By::Passphrase) }));
        Ok(Reply::Done)
    }
}

impl Open {
    fn seal(&mut self, space: &mut Blocking, passphrase: &str) -> Result<Reply, Refusal> {
        if passphrase.is_empty() {
            return Err(Refusal::new(Errno::EINVAL, "the passphrase is empty"));
        }
        let records = std::mem::replace(&mut self.records, Records::none());
        match device::reseal(space, records, By::Passphrase, passphrase.as_bytes()) {
            Ok(records) => {
                (self.records, self.by) = (records, Some(By::Passphrase));
                Ok(Reply::Done)
            }
            // The records went along: begun anew, what is stored counts.
            Err(Refusal(_, text)) => {
                eprintln!("vrift-keystored: cannot seal ({text}); starting anew");
                std::process::exit(1);
            }
        }
    }

    fn answer(&mut self, space: &mut Blocking, caller: &Caller, request: Request) -> Result<Reply, Refusal> {
        Ok(match request {
            Request::Show => {
                Reply::Keys { keys: self.device.public_keys(), sealed: self.records.is_sealed() }
            }
            Request::Sign { digest } => {
                Reply::Signed(self.device.sign(&file_statement(&hex::fixed(&digest)?)))
            }
            Request::Verify { digest, signature } => {
                Reply::Verdict(self.device.verify(&file_statement(&hex::fixed(&digest)?), &signature))
            }
            Request::SignSnapshot(snapshot) => {
                let signature = self.device.sign(&snapshot.statement());
                let value = serde_json::to_vec(&signature).unwrap_or_default();
                space.put(signature_key(&snapshot.id()).as_bytes(), &value)?;
                Reply::Signed(signature)
            }
            Request::VerifySnapshots(snapshots) => Reply::Verdicts(self.verdicts(space, snapshots)?),
            Request::Rotate => Reply::Rotated(device::rotate(space, &mut self.device, &mut self.records)?),
            Request::Seal { passphrase } => return self.seal(space, &Zeroizing::new(passphrase)),
            Request::PutItem { name, value } => {
                items::put(space, &mut self.records, caller, &name, value.into())?;
                Reply::Done
            }
            Request::GetItem { name } => {
                Reply::Item { value: items::get(space, &self.records, caller, &name)? }
            }
            Request::DeleteItem { name } => {
                items::delete(space, &mut self.records, caller, &name)?;
                Reply::Done
            }
            Request::ListItems => Reply::Items(items::list(&self.records, caller)),
            Request::Status | Request::Private | Request::Unlock { .. } => {
                return Err(Refusal::new(Errno::EINVAL, "asked elsewhere"));
            }
        })
    }

    fn verdicts(&self, space: &mut Blocking, snapshots: Vec<Snapshot>) -> Result<Vec<Verdict>, Refusal> {
        if snapshots.len() > SNAPSHOTS_MAX {
            let text = format!("at most {SNAPSHOTS_MAX} snapshots are verified at a time");
            return Err(Refusal::new(Errno::E2BIG, text));
        }
        let mut verdicts = Vec::new();
        for snapshot in snapshots {
            let kept = space.get(signature_key(&snapshot.id()).as_bytes())?;
            let signature = kept.and_then(|value| serde_json::from_slice::<Signature>(&value).ok());
            let statement = snapshot.statement();
            let verdict = |signature| self.device.verify(&statement, &signature);
            verdicts.push(signature.map_or(Verdict::Unsigned, verdict));
        }
        Ok(verdicts)
    }
}

impl Serve for Keystore {
    type Request = Request;
    type Reply = Reply;

    fn need(request: &Request) -> Need {
        request.need()
    }

    fn answer(&mut self, space: &mut Blocking, caller: &Caller, request: Request) -> Result<Reply, Refusal> {
        match request {
            Request::Private => {
                let text = "the private key never leaves the keystore: what it is for is signing, see: vrift key sign";
                Err(Refusal::new(Errno::EOPNOTSUPP, text))
            }
            Request::Sign { .. } | Request::SignSnapshot(_) if caller.service().is_some() => {
                Err(Refusal::new(Errno::EACCES, "services have items; what is signed, people ask for"))
            }
            Request::Status => Ok(self.status()),
            Request::Unlock { passphrase } => self.unlock(space, Zeroizing::new(passphrase)),
            request => match self {
                Keystore::Open(open) => open.answer(space, caller, request),
                Keystore::Locked => {
                    Err(Refusal::new(Errno::ENOKEY, "the keystore is locked: vrift key unlock"))
                }
            },
        }
    }
}

fn signature_key(id: &str) -> String {
    format!("{}{id}", vrift_protocol::keystore::SIGNATURES_PREFIX)
}
