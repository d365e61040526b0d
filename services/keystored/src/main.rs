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

use device::Device;
use nix::errno::Errno;
use records::Records;
use std::fs::File;
use std::process::ExitCode;
use vrift_protocol::keystore::{Reply, Request, Signature, Verdict, file_statement};
use vrift_protocol::pipeline::Blocking;
use vrift_protocol::service::{Caller, Need, Service};
use vrift_service::{Refusal, Serve};

/// Snapshots that are verified by one request: so many verdicts fit a frame.
const SNAPSHOTS_MAX: usize = 400;

struct Keystore {
    device: Device,
    records: Records,
}

fn main() -> ExitCode {
    vrift_service::run(Service::Keystore, &[], Keystore::open)
}

impl Keystore {
    /// With the key file, if one is configured.
    fn open(space: &mut Blocking, key_file: Option<File>) -> Result<Keystore, Refusal> {
        let secret = key_file.map(seal::read_secret).transpose()?;
        let (device, records) = device::open(space, secret)?;
        Ok(Keystore { device, records })
    }

    fn sign(&self, statement: &[u8]) -> Signature {
        self.device.sign(statement)
    }

    fn verify(&self, statement: &[u8], signature: &Signature) -> Verdict {
        self.device.verify(statement, signature)
    }
}

impl Serve for Keystore {
    type Request = Request;
    type Reply = Reply;

    fn need(request: &Request) -> Need {
        request.need()
    }

    fn answer(&mut self, space: &mut Blocking, caller: &Caller, request: Request) -> Result<Reply, Refusal> {
        Ok(match request {
            Request::Show => {
                Reply::Keys { keys: self.device.public_keys(), sealed: self.records.is_sealed() }
            }
            Request::Private => {
                let text = "the private key never leaves the keystore: what it is for is signing, see: vrift key sign";
                return Err(Refusal::new(Errno::EOPNOTSUPP, text));
            }
            Request::Sign { digest } => Reply::Signed(self.sign(&file_statement(&hex::fixed(&digest)?))),
            Request::Verify { digest, signature } => {
                Reply::Verdict(self.verify(&file_statement(&hex::fixed(&digest)?), &signature))
            }
            Request::SignSnapshot(snapshot) => {
                let signature = self.sign(&snapshot.statement());
                let value = serde_json::to_vec(&signature).unwrap_or_default();
                space.put(signature_key(&snapshot.id()).as_bytes(), &value)?;
                Reply::Signed(signature)
            }
            Request::VerifySnapshots(snapshots) => {
                if snapshots.len() > SNAPSHOTS_MAX {
                    let text = format!("at most {SNAPSHOTS_MAX} snapshots are verified at a time");
                    return Err(Refusal::new(Errno::E2BIG, text));
                }
                let mut verdicts = Vec::new();
                for snapshot in snapshots {
                    let kept = space.get(signature_key(&snapshot.id()).as_bytes())?;
                    let signature = kept.and_then(|value| serde_json::from_slice::<Signature>(&value).ok());
                    let statement = snapshot.statement();
                    verdicts.push(
                        signature.map_or(Verdict::Unsigned, |signature| self.verify(&statement, &signature)),
                    );
                }
                Reply::Verdicts(verdicts)
            }
            Request::Rotate => Reply::Rotated(device::rotate(space, &mut self.device, &mut self.records)?),
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
            Request::ListItems => Reply::Items(items::list(&self.records, caller)?),
        })
    }
}

fn signature_key(id: &str) -> String {
    format!("{}{id}", vrift_protocol::keystore::SIGNATURES_PREFIX)
}
