//! Encryption at rest: XChaCha20-Poly1305 under a key that argon2id makes of a secret outside the store.

use crate::hex;
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use vrift_service::Refusal;
use zeroize::Zeroizing;

/// A secret is at most this long: a passphrase, or a file made by a generator.
const SECRET_LEN_MAX: u64 = 64 * 1024;
const NONCE_LEN: usize = 24;
const SALT_LEN: usize = 16;
/// RFC 9106's second recommendation for argon2id, with one lane: a service has one thread.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;

/// What of the secret's key is no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derivation {
    pub salt: String,
    pub memory_kib: u32,
    pub passes: u32,
}

/// The key that seals.
pub struct Sealer(XChaCha20Poly1305);

pub fn random<const LEN: usize>() -> Result<[u8; LEN], Refusal> {
    let mut bytes = [0; LEN];
    getrandom::fill(&mut bytes)
        .map_err(|error| Refusal::new(Errno::EIO, format!("the kernel gives no random numbers: {error}")))?;
    Ok(bytes)
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

impl Derivation {
    pub fn new() -> Result<Derivation, Refusal> {
        let salt = hex::encode(&random::<SALT_LEN>()?);
        Ok(Derivation { salt, memory_kib: MEMORY_KIB, passes: PASSES })
    }

    pub fn sealer(&self, secret: &[u8]) -> Result<Sealer, Refusal> {
        let cannot = || Refusal::new(Errno::EINVAL, "the way to the sealing key is damaged");
        let salt: [u8; SALT_LEN] = hex::fixed(&self.salt)?;
        // A damaged record must not ask for all memory.
        if self.memory_kib > 4 * MEMORY_KIB || self.passes > 8 * PASSES {
            return Err(cannot());
        }
        let params = Params::new(self.memory_kib, self.passes, 1, Some(32)).map_err(|_| cannot())?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(secret, &salt, &mut key[..])
            .map_err(|_| cannot())?;
        XChaCha20Poly1305::new_from_slice(&key[..]).map(Sealer).map_err(|_| cannot())
    }
}

impl Sealer {
    /// Nonce and ciphertext, in hex; `place` is authenticated along.
    pub fn seal(&self, place: &[u8], clear: &[u8]) -> Result<String, Refusal> {
        let nonce = random::<NONCE_LEN>()?;
        let sealed = self.0.encrypt(&XNonce::from(nonce), Payload { msg: clear, aad: place });
        let sealed = sealed.map_err(|_| Refusal::new(Errno::EIO, "a record cannot be sealed"))?;
        Ok(hex::encode(&nonce) + &hex::encode(&sealed))
    }

    /// None: it was sealed by another key or for another place, or is damaged.
    pub fn open(&self, place: &[u8], sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        let bytes = hex::decode(sealed)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        self.0.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: place }).ok().map(Zeroizing::new)
    }
}
