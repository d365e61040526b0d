//! `vrift gc`: space of what nothing refers to.

use super::output::Output;
use crate::error::{CliError, Result};
use crate::session::Session;
use crate::text::{count, size};
use clap::Args;
use vrift_protocol::admin::{AdminReply, AdminRequest, Collected};

/// Removes content that no workspace refers to
#[derive(Args, Debug)]
pub struct Gc {
    /// Keep it as long as store and cache together are no larger, what was not used for longest goes first (as
    /// in 500M, 20G); exit code 1 if what is in use is larger
    #[arg(long, value_name = "N", value_parser = parse_size)]
    pub max_size: Option<u64>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Bytes, or with K, M, G or T behind it that power of 1024.
fn parse_size(text: &str) -> std::result::Result<u64, String> {
    let (digits, shift) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 10),
        Some((at, 'm' | 'M')) => (&text[..at], 20),
        Some((at, 'g' | 'G')) => (&text[..at], 30),
        Some((at, 't' | 'T')) => (&text[..at], 40),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|_| "not a size, as in 500M or 20G".to_string())?;
    number.checked_mul(1 << shift).ok_or_else(|| "more bytes than there are".to_string())
}

impl Gc {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let mut session = Session::open(quiet)?;
        let request = AdminRequest::Collect { max_bytes: self.max_size };
        let (AdminReply::Collected(done), _) = session.ask(&request, &mut |_| {})? else {
            return Err(CliError::Unexpected { request: "Collect" });
        };
        let mut out = Output::new();
        if self.json {
            out.json(&done)?;
        } else {
            print(&mut out, &done)?;
        }
        out.finish()?;
        Ok(u8::from(!done.fits))
    }
}

fn print(out: &mut Output, done: &Collected) -> Result<()> {
    out.line(&format!(
        "removed {} with {} from the store, {} with {} from the cache",
        count(done.blobs, "blob", "blobs"),
        size(done.blob_bytes),
        count(done.hot_files, "file", "files"),
        size(done.hot_bytes)
    ))?;
    out.line(&format!(
        "store {}, was {}; with the cache {}",
        size(done.store_bytes),
        size(done.store_bytes_before),
        size(done.total_bytes)
    ))?;
    if !done.fits {
        out.line("what is in use is larger than that: remove what a workspace does not need")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(parse_size("0"), Ok(0));
        assert_eq!(parse_size("500M"), Ok(500 << 20));
        assert_eq!(parse_size("2g"), Ok(2 << 30));
        for bad in ["", "M", "-1", "1.5G", "5X", "99999999999T"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
