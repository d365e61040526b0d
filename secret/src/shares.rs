//! A secret in five shares, any three of which give it back (Shamir, GF(256)).
//!
//! ```text
//! vrift-share-1 SET INDEX SHARE CHECK      16, 2, 64 and 8 hex digits
//! ```
//! The set tells shares of one splitting from those of another, the check finds slips of the pen.

use crate::{SecretError, hex, random};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use std::collections::BTreeMap;
use std::fmt;
use vsss_rs::Gf256;
use zeroize::Zeroizing;

pub const THRESHOLD: usize = 3;
pub const SHARES: usize = 5;
const FORM: &str = "vrift-share-1";
const SECRET_LEN: usize = 32;
const CHECK_LEN: usize = 4;

/// One share.
#[derive(Clone)]
pub struct Share {
    /// 16 hex digits.
    pub set: String,
    pub index: u8,
    bytes: Zeroizing<Vec<u8>>,
}

/// Why shares do not give a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    #[error("this is no share: five words, the first {FORM}")]
    Form,
    #[error("a share has a slip of the pen in it: its check is another")]
    Check,
    #[error("these shares are of two splittings: {0} and {1}")]
    Sets(String, String),
    #[error("{have} different shares are there, {THRESHOLD} are needed")]
    Few { have: usize },
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let check = hex::encode(&check(&self.set, self.index, &self.bytes));
        write!(
            f,
            "{FORM} {} {:02x} {} {check}",
            self.set,
            self.index,
            &*Zeroizing::new(hex::encode(&self.bytes))
        )
    }
}

fn check(set: &str, index: u8, bytes: &[u8]) -> [u8; CHECK_LEN] {
    let mut hasher = blake3::Hasher::new_derive_key("vrift share check 1");
    hasher.update(set.as_bytes()).update(&[index]).update(bytes);
    let mut check = [0; CHECK_LEN];
    hasher.finalize_xof().fill(&mut check);
    check
}

impl std::str::FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Share, ShareError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [FORM, set, index, bytes, said] = words[..] else { return Err(ShareError::Form) };
        let read = || {
            let _: [u8; 8] = hex::fixed(set)?;
            let [index] = hex::fixed::<1>(index)?;
            let bytes = Zeroizing::new(hex::fixed::<SECRET_LEN>(bytes)?.to_vec());
            Some((Share { set: set.to_lowercase(), index, bytes }, hex::fixed::<CHECK_LEN>(said)?))
        };
        let (share, said) = read().ok_or(ShareError::Form)?;
        let right = share.index > 0 && check(&share.set, share.index, &share.bytes) == said;
        if right { Ok(share) } else { Err(ShareError::Check) }
    }
}

/// Five shares of a new random secret, and the secret.
///
/// # Errors
/// [`SecretError::Random`].
pub fn made() -> Result<(Zeroizing<[u8; SECRET_LEN]>, Vec<Share>), SecretError> {
    let secret = Zeroizing::new(random::<SECRET_LEN>()?);
    let set = hex::encode(&random::<8>()?);
    let shares = Gf256::split_array(THRESHOLD, SHARES, &secret[..], UnwrapErr(SysRng));
    let shares = shares.map_err(|_| SecretError::Sealing)?;
    let share = |bytes: Vec<u8>| {
        let bytes = Zeroizing::new(bytes);
        let (index, rest) = bytes.split_first().ok_or(SecretError::Sealing)?;
        Ok(Share { set: set.clone(), index: *index, bytes: Zeroizing::new(rest.to_vec()) })
    };
    Ok((secret, shares.into_iter().map(share).collect::<Result<_, SecretError>>()?))
}

/// The secret, and the set that the shares are of.
///
/// # Errors
/// [`ShareError`]. Shares that were made up pass: what the secret opens tells.
pub fn combined(shares: &[Share]) -> Result<(Zeroizing<[u8; SECRET_LEN]>, String), ShareError> {
    let mut known: BTreeMap<u8, &Share> = BTreeMap::new();
    for share in shares {
        if share.set != shares[0].set {
            return Err(ShareError::Sets(shares[0].set.clone(), share.set.clone()));
        }
        known.insert(share.index, share);
    }
    if known.len() < THRESHOLD {
        return Err(ShareError::Few { have: known.len() });
    }
    let whole = |share: &&Share| [&[share.index], &share.bytes[..]].concat();
    let mut taken: Vec<Vec<u8>> = known.values().take(THRESHOLD).map(whole).collect();
    let secret = Gf256::combine_array(&taken).map(Zeroizing::new);
    taken.iter_mut().for_each(zeroize::Zeroize::zeroize);
    let secret = secret.ok().and_then(|secret| <[u8; SECRET_LEN]>::try_from(&secret[..]).ok());
    Ok((Zeroizing::new(secret.ok_or(ShareError::Form)?), shares[0].set.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_three_of_five_give_the_secret_and_two_do_not() {
        let (secret, shares) = made().unwrap();
        assert_eq!(shares.len(), SHARES);
        for (a, b, c) in (0..5).flat_map(|a| (0..5).flat_map(move |b| (0..5).map(move |c| (a, b, c)))) {
            let some = [shares[a].clone(), shares[b].clone(), shares[c].clone()];
            let mut different = vec![a, b, c];
            different.sort_unstable();
            different.dedup();
            match different.len() {
                3 => assert_eq!(combined(&some).unwrap().0, secret),
                have => assert_eq!(combined(&some).unwrap_err(), ShareError::Few { have }),
            }
        }
        assert_eq!(combined(&shares).unwrap().0, secret);
        assert_eq!(combined(&[]).unwrap_err(), ShareError::Few { have: 0 });
        let other = made().unwrap().1;
        let mixed = [shares[0].clone(), shares[1].clone(), other[2].clone()];
        assert!(matches!(combined(&mixed), Err(ShareError::Sets(..))));
        // Two shares and a third that was made up: another secret.
        let mut made_up = shares[2].clone();
        made_up.bytes = Zeroizing::new(vec![7; SECRET_LEN]);
        assert_ne!(combined(&[shares[0].clone(), shares[1].clone(), made_up]).unwrap().0, secret);
    }

    #[test]
    fn a_share_is_read_back_and_each_slip_of_the_pen_is_found() {
        let (_, shares) = made().unwrap();
        let line = shares[0].to_string();
        let read: Share = line.parse().unwrap();
        assert_eq!((read.index, &read.set, &read.bytes), (shares[0].index, &shares[0].set, &shares[0].bytes));
        for at in FORM.len() + 1..line.len() {
            let mut changed = line.clone().into_bytes();
            if changed[at] == b' ' {
                continue;
            }
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            assert!(String::from_utf8(changed).unwrap().parse::<Share>().is_err(), "{at}");
            assert!(line[..at].parse::<Share>().is_err());
        }
    }
}
