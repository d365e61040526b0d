//! What all services share: they give up what they do not need, say that they are ready, and answer one request after
//! the other until the daemon is gone.
//!
//! A service is started by the daemon alone, with the fds of [`vrift_protocol::service`]. It keeps nothing outside of the
//! key-value space; whoever uses this crate must not open a file for writing, which the kernel refuses from the
//! beginning on.
#![deny(unsafe_code)]

#[cfg(feature = "testing")]
pub mod memory;
mod sys;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use vrift_protocol::pipeline::{Blocking, Endpoint, Failure, Pipeline};
use vrift_protocol::service::{CALLS_FD, Caller, Need, Ready, SECRET_FD, STATE_FD, Service};
use vrift_protocol::{FrameHeader, HEADER_LEN, MAX_FRAME_LEN, Op};
use zerocopy::{FromBytes, IntoBytes};
use zeroize::{Zeroize, Zeroizing};

/// Longest wait for the daemon's answer about a key: a sync of a busy disk is the longest of them.
const STATE_TIMEOUT: Duration = Duration::from_secs(25);

/// Why a request is not carried out: an errno, and a text without secrets for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub Errno, pub String);

impl Refusal {
    pub fn new(errno: Errno, text: impl Into<String>) -> Refusal {
        Refusal(errno, text.into())
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        match failure {
            Failure::Refused { errno, text } => Refusal(errno, text),
            other => Refusal(Errno::EIO, other.to_string()),
        }
    }
}

/// A service. What it keeps between requests is in the key-value space; the rest is a cache of it.
pub trait Serve {
    type Request: DeserializeOwned;
    type Reply: Serialize;

    /// The right that the request needs; the daemon has checked the one that the caller named.
    fn need(request: &Self::Request) -> Need;

    fn answer(
        &mut self,
        space: &mut Blocking,
        caller: &Caller,
        request: Self::Request,
    ) -> Result<Self::Reply, Refusal>;
}

/// Runs a service until the daemon closes its socket. `build` is called confined, with what the daemon gave it to
/// read; below `readable` files can be read.
pub fn run<S: Serve>(
    service: Service,
    readable: &[&Path],
    build: impl FnOnce(&mut Blocking, Option<File>) -> Result<S, Refusal>,
) -> ExitCode {
    let (Some(state), Some(calls)) = (sys::inherited(STATE_FD), sys::inherited(CALLS_FD)) else {
        eprintln!("vrift-{}: this program is started by vriftd when it is needed", service.name());
        return ExitCode::from(2);
    };
    let secret = sys::inherited(SECRET_FD).map(File::from);
    let mut space = Blocking::new(Pipeline::new(Endpoint::Given(state)), STATE_TIMEOUT);
    let confined =
        vrift_confine::confine(readable).map_err(|error| Refusal::new(Errno::EPERM, error.to_string()));
    let built = confined.and_then(|confined| build(&mut space, secret).map(|built| (confined, built)));
    let hello = FrameHeader::request(Op::Service, 0, 0);
    match built {
        Err(refusal) => {
            let _ = reply(&calls, &hello, Err(refusal));
            ExitCode::FAILURE
        }
        Ok((confined, mut built)) => {
            let ready =
                Ready { confinement: confined.landlock.to_string(), refused: confined.refused.to_string() };
            let ready = serde_json::to_vec(&ready).unwrap_or_default();
            match reply(&calls, &hello, Ok(ready)) {
                Ok(()) => serve(&mut built, &mut space, &calls),
                Err(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn serve<S: Serve>(service: &mut S, space: &mut Blocking, calls: &OwnedFd) -> ExitCode {
    let mut buffer = Zeroizing::new(vec![0; MAX_FRAME_LEN]);
    loop {
        let len = match recv(calls.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Err(Errno::EINTR) => continue,
            // The daemon is gone.
            Ok(0) | Err(_) => return ExitCode::SUCCESS,
            Ok(len) => len,
        };
        // The daemon sends nothing else.
        let Ok((header, Op::Service, body)) = FrameHeader::parse(&buffer[..len]) else {
            return ExitCode::FAILURE;
        };
        let answer = answer(service, space, body);
        // What was asked may have been a secret.
        buffer[..len].zeroize();
        if reply(calls, &header, answer).is_err() {
            return ExitCode::FAILURE;
        }
    }
}

fn answer<S: Serve>(service: &mut S, space: &mut Blocking, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let malformed = || Refusal::new(Errno::EBADMSG, "the service does not understand the request");
    let (caller, json) = Caller::read_from_prefix(body).map_err(|_| malformed())?;
    let request: S::Request = serde_json::from_slice(json).map_err(|_| malformed())?;
    if caller.need() != Some(S::need(&request)) {
        return Err(Refusal::new(Errno::EACCES, "the request needs another right than the one it names"));
    }
    let reply = service.answer(space, &caller, request)?;
    serde_json::to_vec(&reply).map_err(|_| Refusal::new(Errno::EIO, "the answer cannot be written down"))
}

fn reply(calls: &OwnedFd, request: &FrameHeader, answer: Result<Vec<u8>, Refusal>) -> nix::Result<()> {
    let (errno, body) = match answer.map(Zeroizing::new) {
        Ok(body) if HEADER_LEN + body.len() > MAX_FRAME_LEN => {
            (Errno::EMSGSIZE as u32, Zeroizing::new(b"the answer does not fit a frame".to_vec()))
        }
        Ok(body) => (0, body),
        Err(Refusal(errno, text)) => (errno as u32, Zeroizing::new(text.into_bytes())),
    };
    let frame = Zeroizing::new([request.reply(errno, body.len()).as_bytes(), &body[..]].concat());
    send(calls.as_raw_fd(), &frame, MsgFlags::MSG_NOSIGNAL).map(drop)
}
