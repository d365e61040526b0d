//! Encryption at rest: of what the sealing key is made, a key file or a passphrase.

use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use vrift_secret::SecretError;
pub use vrift_secret::seal::Sealer;
use vrift_secret::seal::{Derivation, SECRET_LEN_MAX};
use vrift_service::Refusal;
use zeroize::Zeroizing;

/// Of which secret the key is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    #[default]
    KeyFile,
    Passphrase,
}

/// In the clear beside the records: how the sealing key is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    #[serde(default)]
    pub by: By,
    #[serde(flatten)]
    pub derivation: Derivation,
}

impl Way {
    pub fn new(by: By) -> Result<Way, Refusal> {
        Ok(Way { by, derivation: Derivation::new().map_err(failed)? })
    }

    pub fn sealer(&self, secret: &[u8]) -> Result<Sealer, Refusal> {
        self.derivation.sealer(secret).map_err(failed)
    }
}

pub fn failed(error: SecretError) -> Refusal {
    Refusal::new(Errno::EIO, error.to_string())
}

/// All of the key file.
pub fn read_secret(file: File) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let mut secret = Zeroizing::new(Vec::with_capacity(SECRET_LEN_MAX as usize + 1));
    let read = file.take(SECRET_LEN_MAX + 1).read_to_end(&mut secret);
    match read {
        Err(error) => Err(Refusal::new(Errno::EIO, format!("the key file cannot be read: {error}"))),
        Ok(0) => Err(Refusal::new(Errno::EINVAL, "the key file is empty")),
        Ok(len) if len as u64 > SECRET_LEN_MAX => {
            Err(Refusal::new(Errno::EFBIG, format!("the key file is longer than {SECRET_LEN_MAX} bytes")))
        }
        Ok(_) => Ok(secret),
    }
}
