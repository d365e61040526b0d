//! Requests to the services beside the daemon.

use crate::error::{CliError, Result};
use crate::session::Session;
use nix::errno::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use vrift_protocol::admin::Failure;
use vrift_protocol::pipeline::{self, Blocking, Endpoint, Pipeline, Retry};
use vrift_protocol::service::{Need, Service, encode};
use vrift_protocol::{HEADER_LEN, MAX_FRAME_LEN, Op};
use zeroize::Zeroizing;

/// Longer than the daemon waits for a service, which says more than we could.
const TIMEOUT: Duration = Duration::from_secs(70);

/// A connection for services and for the key-value space.
pub fn connect(session: &Session) -> Blocking {
    Blocking::new(Pipeline::new(Endpoint::Path(session.places.socket())), TIMEOUT)
}

/// Asks a service. A request that only asks is sent again if the daemon was restarted.
pub fn ask<T: DeserializeOwned>(
    to: &mut Blocking,
    service: Service,
    need: Need,
    request: &impl Serialize,
) -> Result<T> {
    // Either may have a secret in it.
    let json = Zeroizing::new(serde_json::to_vec(request).unwrap_or_default());
    let body = Zeroizing::new(encode(service, need, &json));
    if HEADER_LEN + body.len() + 64 > MAX_FRAME_LEN {
        let what = "the request is too long for a service".to_string();
        return Err(CliError::Usage { what, hint: "ask for less at a time".into() });
    }
    let retry = if need == Need::Read { Retry::Again } else { Retry::Never };
    let answer = Zeroizing::new(to.call(Op::Service, &body, retry).map_err(refused)?);
    serde_json::from_slice(&answer).map_err(|_| CliError::Unexpected { request: service.name() })
}

/// What a refusal is for the user.
pub fn refused(failure: pipeline::Failure) -> CliError {
    let (errno, text) = match failure {
        pipeline::Failure::Refused { errno, text } => (errno, text),
        other => (Errno::EIO, other.to_string()),
    };
    let (failure, hint) = match errno {
        Errno::ENOENT | Errno::EAGAIN | Errno::EILSEQ => (Failure::Negative, ""),
        Errno::EACCES | Errno::EPERM => {
            (Failure::Input, "who may do what is in policy.toml in the state folder")
        }
        Errno::EINVAL | Errno::EEXIST | Errno::EOPNOTSUPP | Errno::EFBIG | Errno::E2BIG => {
            (Failure::Input, "")
        }
        Errno::ENOKEY | Errno::EKEYREJECTED => {
            (Failure::Store, "unlock it: vrift key unlock; or see [keystore] key_file in config.toml")
        }
        _ => (Failure::Store, "what happened is in: vrift daemon logs"),
    };
    CliError::Refused { failure, what: text, hint: hint.into() }
}
