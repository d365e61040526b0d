//! The keys of somebody, of one seed: one signs (Ed25519), to the other one others seal (X25519).

use crate::seal::Sealer;
use crate::{SecretError, hex, random};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// Bytes of a seed.
pub const SEED_LEN: usize = 32;

pub struct Keys {
    seed: Zeroizing<[u8; SEED_LEN]>,
    sign: SigningKey,
    open: StaticSecret,
}

/// What others know of [`Keys`]: 64 hex digits each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Public {
    /// Ed25519.
    pub sign: String,
    /// X25519.
    pub seal: String,
}

impl Keys {
    /// New ones.
    ///
    /// # Errors
    /// [`SecretError::Random`].
    pub fn made() -> Result<Keys, SecretError> {
        Ok(Keys::of_seed(Zeroizing::new(random()?)))
    }

    pub fn of_seed(seed: Zeroizing<[u8; SEED_LEN]>) -> Keys {
        let sign = Zeroizing::new(blake3::derive_key("vrift identity sign 1", &seed[..]));
        let open = Zeroizing::new(blake3::derive_key("vrift identity open 1", &seed[..]));
        Keys { sign: SigningKey::from_bytes(&sign), open: StaticSecret::from(*open), seed }
    }

    pub fn seed(&self) -> &[u8; SEED_LEN] {
        &self.seed
    }

    pub fn public(&self) -> Public {
        Public {
            sign: hex::encode(&self.sign.verifying_key().to_bytes()),
            seal: hex::encode(PublicKey::from(&self.open).as_bytes()),
        }
    }

    /// 128 hex digits.
    pub fn sign(&self, statement: &[u8]) -> String {
        hex::encode(&self.sign.sign(statement).to_bytes())
    }

    /// What was sealed to these keys by [`seal_to`]; None: it was not, or for another place.
    pub fn open(&self, place: &[u8], sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        let bytes = hex::decode(sealed)?;
        let (once, rest) = bytes.split_first_chunk::<32>()?;
        let own = PublicKey::from(&self.open);
        let shared = self.open.diffie_hellman(&PublicKey::from(*once));
        if !shared.was_contributory() {
            return None;
        }
        box_key(shared.as_bytes(), once, own.as_bytes()).open_bytes(place, rest)
    }
}

/// Seals to whoever has the keys with this public one: a key that is used once, nonce, ciphertext, in hex.
///
/// # Errors
/// [`SecretError`].
pub fn seal_to(public: &str, place: &[u8], clear: &[u8]) -> Result<String, SecretError> {
    let theirs: [u8; 32] = hex::fixed(public).ok_or(SecretError::PublicKey)?;
    let once = StaticSecret::from(*Zeroizing::new(random::<32>()?));
    let shared = once.diffie_hellman(&PublicKey::from(theirs));
    if !shared.was_contributory() {
        return Err(SecretError::PublicKey);
    }
    let once = PublicKey::from(&once);
    let sealed = box_key(shared.as_bytes(), once.as_bytes(), &theirs).seal_bytes(place, clear)?;
    Ok(hex::encode(once.as_bytes()) + &hex::encode(&sealed))
}

fn box_key(shared: &[u8; 32], once: &[u8; 32], theirs: &[u8; 32]) -> Sealer {
    let material = Zeroizing::new([&shared[..], once, theirs].concat());
    Sealer::of_key(&Zeroizing::new(blake3::derive_key("vrift identity box 1", &material)))
}

/// Whether the keys with this public one signed the statement.
pub fn is_signed(public: &str, statement: &[u8], signature: &str) -> bool {
    let right = || {
        let public = VerifyingKey::from_bytes(&hex::fixed(public)?).ok()?;
        let signature = ed25519_dalek::Signature::from_bytes(&hex::fixed(signature)?);
        public.verify_strict(statement, &signature).ok()
    };
    right().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_to_keys_is_opened_by_them_alone_and_in_its_place() {
        let (keys, others) = (Keys::made().unwrap(), Keys::made().unwrap());
        let sealed = seal_to(&keys.public().seal, b"here", b"token").unwrap();
        assert_eq!(keys.open(b"here", &sealed).unwrap()[..], b"token"[..]);
        assert!(keys.open(b"there", &sealed).is_none() && others.open(b"here", &sealed).is_none());
        assert_ne!(sealed, seal_to(&keys.public().seal, b"here", b"token").unwrap());
        for at in [0, 40, 70, 120, sealed.len() - 1] {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            assert!(keys.open(b"here", &String::from_utf8(changed).unwrap()).is_none(), "{at}");
        }
        assert!(keys.open(b"here", &sealed[..60]).is_none());
        let again = Keys::of_seed(Zeroizing::new(*keys.seed()));
        assert_eq!(again.public(), keys.public());
        assert!(seal_to(&"0".repeat(64), b"", b"").is_err(), "a point of small order");
    }

    #[test]
    fn a_signature_is_of_one_key_and_one_statement() {
        let (keys, others) = (Keys::made().unwrap(), Keys::made().unwrap());
        let signature = keys.sign(b"this");
        assert!(is_signed(&keys.public().sign, b"this", &signature));
        assert!(!is_signed(&keys.public().sign, b"that", &signature));
        assert!(!is_signed(&others.public().sign, b"this", &signature));
        assert!(!is_signed("", b"this", &signature) && !is_signed(&keys.public().sign, b"this", ""));
    }
}
