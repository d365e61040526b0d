//! `vrift audit`: what was denied, and what was done by those who may change what is guarded.

use super::output::Output;
use crate::error::Result;
use crate::services::{connect, refused};
use crate::session::Session;
use crate::text::{escape, time};
use clap::{Args, Subcommand};
use serde::Serialize;
use vrift_protocol::audit::{Broken, Entry, HEAD_KEY, Head, LOG_PREFIX, verify};
use vrift_protocol::pipeline::Blocking;

/// Shows denials and administrative acts, oldest first
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Audit {
    #[command(subcommand)]
    pub action: Option<Action>,
    /// Only the last N entries
    #[arg(short = 'n', long, value_name = "N")]
    pub last: Option<usize>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Subcommand, Debug)]
pub enum Action {
    /// Checks that no entry was removed, changed or put in; exit code 1 if one was
    Verify {
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
}

impl Audit {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let session = Session::open(quiet)?;
        let mut space = connect(&session);
        match self.action {
            Some(Action::Verify { json }) => verify_all(&mut space, json),
            None => show(&mut space, self.last, self.json),
        }
    }
}

fn show(space: &mut Blocking, last: Option<usize>, json: bool) -> Result<u8> {
    let numbers = numbers(space)?;
    let skipped = last.map_or(0, |last| numbers.len().saturating_sub(last));
    let entries: Vec<Entry> =
        entries(space, &numbers[skipped..])?.into_iter().filter_map(|(_, entry)| entry).collect();
    let mut out = Output::new();
    if json {
        out.json(&entries)?;
    } else {
        for entry in &entries {
            let times = if entry.times > 1 { format!(" ({} times)", entry.times) } else { String::new() };
            let time = time(entry.time_ns);
            out.line(&format!(
                "{:>5}  {}Z  {}: {} of {}: {}{times}",
                entry.number,
                time.split('.').next().unwrap_or(&time),
                escape(entry.who.as_bytes()),
                escape(entry.right.as_bytes()),
                escape(entry.what.as_bytes()),
                escape(entry.outcome.as_bytes()),
            ))?;
        }
    }
    out.finish()?;
    Ok(0)
}

#[derive(Serialize)]
struct Verdict {
    entries: usize,
    head: Option<Head>,
    broken: Vec<String>,
}

fn verify_all(space: &mut Blocking, json: bool) -> Result<u8> {
    // Entries that come while they are read belong to a later head.
    let head = space.get(HEAD_KEY.as_bytes()).map_err(refused)?;
    let damaged = head.is_some();
    let head = head.and_then(|value| serde_json::from_slice::<Head>(&value).ok());
    let damaged = damaged && head.is_none();
    let newest = head.as_ref().map_or(u64::MAX, |head| head.number);
    let mut numbers = numbers(space)?;
    if space.get(HEAD_KEY.as_bytes()).map_err(refused)?.and_then(|value| serde_json::from_slice(&value).ok())
        != head
    {
        numbers.retain(|number| *number <= newest);
    }
    let entries = entries(space, &numbers)?;
    let mut broken = verify(head.as_ref(), &entries);
    if damaged && broken.is_empty() {
        broken.push(Broken::NoHead);
    }
    let verdict =
        Verdict { entries: entries.len(), head, broken: broken.iter().map(Broken::to_string).collect() };
    let mut out = Output::new();
    if json {
        out.json(&verdict)?;
    } else {
        for line in &verdict.broken {
            out.line(line)?;
        }
        match &verdict.head {
            Some(head) if broken.is_empty() => {
                out.line(&format!("{} entries, whole; the newest is {}", verdict.entries, head.hash))?;
            }
            None if broken.is_empty() => out.line("0 entries")?,
            _ => {}
        }
    }
    out.finish()?;
    Ok(u8::from(!broken.is_empty()))
}

/// Numbers of all entries, in order.
fn numbers(space: &mut Blocking) -> Result<Vec<u64>> {
    let rows = space.list(LOG_PREFIX.as_bytes()).map_err(refused)?;
    let number = |key: &[u8]| {
        let digits = std::str::from_utf8(key.strip_prefix(LOG_PREFIX.as_bytes())?).ok()?;
        u64::from_str_radix(digits, 16).ok()
    };
    // What is no number was put in, too: 0 is none of the chain's.
    Ok(rows.iter().map(|row| number(&row.key).unwrap_or(0)).collect())
}

fn entries(space: &mut Blocking, numbers: &[u64]) -> Result<Vec<(u64, Option<Entry>)>> {
    let mut entries = Vec::new();
    for number in numbers {
        let value = space.get(Entry::key(*number).as_bytes()).map_err(refused)?;
        entries.push((*number, value.and_then(|value| serde_json::from_slice(&value).ok())));
    }
    Ok(entries)
}
