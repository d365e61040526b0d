//! updated: A/B control of trees that are replaced as a whole.
//!
//! Lives here: the state machine of the two slots, the check of signatures by the pinned key. May import protocol and
//! what services share. Must never appear here: files, trees themselves (a slot has a snapshot's name and root).
#![forbid(unsafe_code)]

mod machine;

use ed25519_dalek::VerifyingKey;
use nix::errno::Errno;
use std::process::ExitCode;
use vrift_protocol::boot::{BOOT_KEY, Boot, Request};
use vrift_protocol::keystore::{SIGNATURES_PREFIX, Signature, Snapshot};
use vrift_protocol::pipeline::Blocking;
use vrift_protocol::service::{Caller, Need, Service};
use vrift_service::{Refusal, Serve};

struct Control;

fn main() -> ExitCode {
    vrift_service::run(Service::Boot, &[], |_, _| Ok(Control))
}

impl Serve for Control {
    type Request = Request;
    type Reply = Boot;

    fn need(request: &Request) -> Need {
        request.need()
    }

    fn answer(&mut self, space: &mut Blocking, _: &Caller, request: Request) -> Result<Boot, Refusal> {
        let boot = read(space)?;
        let next = match request {
            Request::Status => return Ok(boot),
            Request::Pin { public } => {
                bytes::<32>(&public).and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok()).ok_or_else(
                    || Refusal::new(Errno::EINVAL, "this is no Ed25519 public key of 64 hex digits"),
                )?;
                Ok(Boot { pinned: Some(public), ..boot })
            }
            Request::Stage { snapshot, force } => {
                check_signature(space, &boot, &snapshot)?;
                machine::stage(boot, snapshot, force)
            }
            Request::Switch { tries } => machine::switch(boot, tries),
            Request::Attempt => machine::attempt(boot),
            Request::HealthOk => machine::health_ok(boot),
            Request::Rollback => machine::rollback(boot),
        };
        // EILSEQ: asked for out of turn.
        let next = next.map_err(|no| Refusal::new(Errno::EILSEQ, no.text()))?;
        let value = serde_json::to_vec_pretty(&next).unwrap_or_default();
        space.change(&[(BOOT_KEY.as_bytes().to_vec(), Some(value))])?;
        Ok(next)
    }
}

fn read(space: &mut Blocking) -> Result<Boot, Refusal> {
    let Some(value) = space.get(BOOT_KEY.as_bytes())? else { return Ok(Boot::default()) };
    match serde_json::from_slice::<Boot>(&value) {
        Ok(boot) if boot.version == 1 => Ok(boot),
        Ok(boot) => {
            Err(Refusal::new(Errno::EPROTONOSUPPORT, format!("{BOOT_KEY} is of version {}", boot.version)))
        }
        Err(error) => Err(Refusal::new(Errno::EBADMSG, format!("{BOOT_KEY} cannot be read: {error}"))),
    }
}

/// The kept signature of the snapshot is by the pinned key.
fn check_signature(space: &mut Blocking, boot: &Boot, snapshot: &Snapshot) -> Result<(), Refusal> {
    let wrong = |text: &str| Refusal::new(Errno::EILSEQ, text);
    let pinned = boot.pinned.as_deref().and_then(bytes::<32>);
    let pinned = pinned.ok_or_else(|| wrong("no key is pinned: vrift boot pin"))?;
    let key = format!("{SIGNATURES_PREFIX}{}", snapshot.id());
    let kept = space
        .get(key.as_bytes())?
        .ok_or_else(|| wrong("the snapshot is not signed: take it with vrift snapshot"))?;
    let right = || {
        let signature: Signature = serde_json::from_slice(&kept).ok()?;
        let bytes = bytes::<64>(&signature.signature)?;
        let public = VerifyingKey::from_bytes(&pinned).ok()?;
        public.verify_strict(&snapshot.statement(), &ed25519_dalek::Signature::from_bytes(&bytes)).ok()
    };
    right().ok_or_else(|| {
        wrong("the snapshot is not signed by the pinned key (after a rotation: vrift boot pin)")
    })
}

/// Exactly `LEN` bytes in hex.
fn bytes<const LEN: usize>(text: &str) -> Option<[u8; LEN]> {
    let digit = |byte: &u8| (*byte as char).to_digit(16).map(|digit| digit as u8);
    let digits: Vec<u8> = text.as_bytes().iter().map(digit).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] * 16 + pair[1]).collect();
    bytes.try_into().ok().filter(|_| text.len() == LEN * 2)
}
