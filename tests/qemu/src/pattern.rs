//! Bytes that say of themselves which they are: what the N-th file or value must hold.

/// Lengths go up to this.
pub const LEN_MAX_BYTES: usize = 40_000;

/// The content with the number `n`; its length depends on it.
pub fn bytes(n: u64) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&n.to_le_bytes());
    let mut reader = hasher.finalize_xof();
    let mut len = [0; 8];
    reader.fill(&mut len);
    // One in four is small, as most values are.
    let max = if n.is_multiple_of(4) { 200 } else { LEN_MAX_BYTES as u64 };
    let mut bytes = vec![0; usize::try_from(u64::from_le_bytes(len) % max).unwrap_or(0)];
    reader.fill(&mut bytes);
    bytes.splice(0..0, format!("number {n}\n").into_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_differ_and_are_the_same_again() {
        assert_eq!(super::bytes(7), super::bytes(7));
        assert!((1..100).all(|n| super::bytes(n) != super::bytes(n + 1)));
        assert!((1..100).all(|n| super::bytes(n).starts_with(format!("number {n}\n").as_bytes())));
    }
}
