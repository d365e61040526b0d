//! Encryption under a key: XChaCha20-Poly1305, with a key that argon2id makes of a secret that people have.

use crate::{SecretError, hex, random};
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A secret is at most this long: a passphrase, or a file made by a generator.
pub const SECRET_LEN_MAX: u64 = 64 * 1024;
pub(crate) const NONCE_LEN: usize = 24;
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

impl Derivation {
    /// With a salt of its own.
    ///
    /// # Errors
    /// [`SecretError::Random`].
    pub fn new() -> Result<Derivation, SecretError> {
        let salt = hex::encode(&random::<SALT_LEN>()?);
        Ok(Derivation { salt, memory_kib: MEMORY_KIB, passes: PASSES })
    }

    /// # Errors
    /// [`SecretError::Derivation`].
    pub fn sealer(&self, secret: &[u8]) -> Result<Sealer, SecretError> {
        let salt: [u8; SALT_LEN] = hex::fixed(&self.salt).ok_or(SecretError::Derivation)?;
        // A damaged record must not ask for all memory.
        if self.memory_kib > 4 * MEMORY_KIB || self.passes > 8 * PASSES {
            return Err(SecretError::Derivation);
        }
        let params = Params::new(self.memory_kib, self.passes, 1, Some(32));
        let params = params.map_err(|_| SecretError::Derivation)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(secret, &salt, &mut key[..])
            .map_err(|_| SecretError::Derivation)?;
        Ok(Sealer::of_key(&key))
    }
}

impl Sealer {
    pub fn of_key(key: &[u8; 32]) -> Sealer {
        Sealer(XChaCha20Poly1305::new(key.into()))
    }

    /// Nonce and ciphertext; `place` is authenticated along.
    pub(crate) fn seal_bytes(&self, place: &[u8], clear: &[u8]) -> Result<Vec<u8>, SecretError> {
        let nonce = random::<NONCE_LEN>()?;
        let sealed = self.0.encrypt(&XNonce::from(nonce), Payload { msg: clear, aad: place });
        Ok([&nonce[..], &sealed.map_err(|_| SecretError::Sealing)?].concat())
    }

    pub(crate) fn open_bytes(&self, place: &[u8], bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        self.0.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: place }).ok().map(Zeroizing::new)
    }

    /// Nonce and ciphertext, in hex; `place` is authenticated along.
    ///
    /// # Errors
    /// [`SecretError::Random`], [`SecretError::Sealing`].
    pub fn seal(&self, place: &[u8], clear: &[u8]) -> Result<String, SecretError> {
        Ok(hex::encode(&self.seal_bytes(place, clear)?))
    }

    /// None: it was sealed by another key or for another place, or is damaged.
    pub fn open(&self, place: &[u8], sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        self.open_bytes(place, &hex::decode(sealed)?)
    }
}
