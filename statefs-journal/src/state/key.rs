//! Names of the key-value space.

use std::fmt;
use std::sync::Arc;

/// Every key lies below this.
pub const ROOT: &[u8] = b"/state/";
/// Longest key in bytes, `/state/` included.
pub const KEY_LEN_MAX: usize = 1024;
/// Longest component in bytes, as NAME_MAX of file systems.
pub const NAME_LEN_MAX: usize = 255;

/// A normalised absolute path below `/state/`. Ordered as bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<[u8]>);

/// Why bytes are not a key, or not the beginning of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("a key begins with /state/ and has a name behind it")]
    NotBelowState,
    #[error("a key is at most {KEY_LEN_MAX} bytes long, this one is {0}")]
    TooLong(usize),
    #[error("a component of a key is at most {NAME_LEN_MAX} bytes long, one of this key is {0}")]
    NameTooLong(usize),
    #[error("a key has no empty component and no slash at its end")]
    EmptyName,
    #[error("a key has no component '.' or '..'")]
    DotName,
    #[error("a key has no NUL byte")]
    Nul,
}

impl Key {
    /// Checks the rules; nothing is rewritten, so that one key has one spelling.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn new(path: &[u8]) -> Result<Self, KeyError> {
        let names = below_state(path)?;
        names.split(|byte| *byte == b'/').try_for_each(check_name)?;
        Ok(Self(path.into()))
    }

    /// The whole path.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

impl std::borrow::Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// Checks that keys can begin with `prefix`, whose last component need not be whole.
///
/// # Errors
/// The first rule that every such key would break.
pub fn check_prefix(prefix: &[u8]) -> Result<(), KeyError> {
    if ROOT.starts_with(prefix) {
        return Ok(());
    }
    let names = below_state(prefix)?;
    let (whole, last) = match names.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (Some(&names[..at]), &names[at + 1..]),
        None => (None, names),
    };
    if let Some(whole) = whole {
        whole.split(|byte| *byte == b'/').try_for_each(check_name)?;
    }
    match last {
        [] => Ok(()),
        b"." | b".." => Ok(()),
        last => check_name(last),
    }
}

fn below_state(path: &[u8]) -> Result<&[u8], KeyError> {
    if path.len() > KEY_LEN_MAX {
        return Err(KeyError::TooLong(path.len()));
    }
    path.strip_prefix(ROOT).filter(|names| !names.is_empty()).ok_or(KeyError::NotBelowState)
}

fn check_name(name: &[u8]) -> Result<(), KeyError> {
    match name {
        [] => Err(KeyError::EmptyName),
        b"." | b".." => Err(KeyError::DotName),
        name if name.len() > NAME_LEN_MAX => Err(KeyError::NameTooLong(name.len())),
        name if name.contains(&0) => Err(KeyError::Nul),
        _ => Ok(()),
    }
}
