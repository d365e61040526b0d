//! Bytes as hex digits, with a refusal for what is none.

use nix::errno::Errno;
pub use vrift_secret::hex::{decode, encode};
use vrift_service::Refusal;

/// Exactly `LEN` bytes.
pub fn fixed<const LEN: usize>(text: &str) -> Result<[u8; LEN], Refusal> {
    vrift_secret::hex::fixed(text)
        .ok_or_else(|| Refusal::new(Errno::EINVAL, format!("these are not {} hex digits", LEN * 2)))
}
