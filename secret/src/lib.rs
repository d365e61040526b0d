//! How secrets are sealed, shared out and proved.
//!
//! Lives here: encryption under a passphrase, to the owner of a key, shares of a secret, signatures. Takes bytes and gives
//! bytes. May be imported by services and by the command line; imports nothing of vrift. Must never appear here: files,
//! records, who may do what.
#![forbid(unsafe_code)]

pub mod hex;
pub mod keys;
pub mod seal;
pub mod shares;

#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("the kernel gives no random numbers: {0}")]
    Random(String),
    #[error("the way from the passphrase to the key is damaged")]
    Derivation,
    #[error("it cannot be sealed")]
    Sealing,
    #[error("this is no public key of 64 hex digits")]
    PublicKey,
}

/// Bytes of getrandom(2).
///
/// # Errors
/// [`SecretError::Random`].
pub fn random<const LEN: usize>() -> Result<[u8; LEN], SecretError> {
    let mut bytes = [0; LEN];
    getrandom::fill(&mut bytes).map_err(|error| SecretError::Random(error.to_string()))?;
    Ok(bytes)
}
