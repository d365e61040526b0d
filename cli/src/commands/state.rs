//! `vrift state`: the `/state` key-value space.

use super::output::Output;
use crate::error::{CliError, Result};
use crate::session::Session;
use crate::text::escape;
use clap::{Args, Subcommand};
use nix::errno::Errno;
use serde::Serialize;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use vrift_protocol::admin::{Failure, PathBytes};
use vrift_protocol::audit::LOG_PREFIX;
use vrift_protocol::state::{ROWS_MAX, Row, State as Space, StateError, VALUE_LEN_MAX};

/// Puts, gets and lists small values under names below /state/
#[derive(Args, Debug)]
pub struct State {
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Subcommand, Debug)]
pub enum Action {
    /// Sets a key to VALUE, to the bytes of a file, or to stdin
    Put {
        /// A path below /state/
        #[arg(value_name = "KEY")]
        key: OsString,
        /// The value; without it: stdin
        #[arg(value_name = "VALUE")]
        value: Option<OsString>,
        /// The value is in this file
        #[arg(short, long, value_name = "FILE", conflicts_with = "value")]
        file: Option<PathBuf>,
        /// Return when it survives a power cut
        #[arg(long)]
        sync: bool,
    },
    /// Writes the value of a key to stdout; exit code 1 if there is none
    Get {
        #[arg(value_name = "KEY")]
        key: OsString,
    },
    /// Deletes keys, all or none of them; exit code 1 if one is not there
    Del {
        #[arg(value_name = "KEY", required = true)]
        keys: Vec<OsString>,
        /// Return when it survives a power cut
        #[arg(long)]
        sync: bool,
    },
    /// Lists the keys that begin with PREFIX; without it all but the entries of the audit log
    Ls {
        #[arg(value_name = "PREFIX")]
        prefix: Option<OsString>,
        /// Length of each value before its key
        #[arg(short = 'l', long)]
        long: bool,
        /// At most so many keys
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
        /// Only keys behind this one
        #[arg(long, value_name = "KEY")]
        after: Option<OsString>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Takes over keys of an older form, content:PATH and inode:PATH, once; all or none of them
    Import {
        /// A JSON object of keys and values; - is stdin
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Returns when everything that was put survives a power cut
    Sync,
}

impl State {
    pub fn run(self, quiet: bool) -> Result<u8> {
        match self.action {
            Action::Put { key, value, file, sync } => {
                let value = match (value, file) {
                    (Some(value), _) => value.as_bytes().to_vec(),
                    (None, Some(path)) => {
                        let read = File::open(&path).and_then(read_value);
                        read.map_err(|error| CliError::path(path, error))?
                    }
                    (None, None) => {
                        read_value(io::stdin().lock()).map_err(|error| CliError::path("stdin", error))?
                    }
                };
                with(quiet, |space| {
                    space.put(key.as_bytes(), &value)?;
                    if sync { space.sync() } else { Ok(()) }
                })?;
                Ok(0)
            }
            Action::Get { key } => {
                let Some(value) = with(quiet, |space| space.get(key.as_bytes()))? else {
                    return Err(absent(key.as_bytes()));
                };
                let mut out = Output::new();
                out.bytes(&value)?;
                out.finish()?;
                Ok(0)
            }
            Action::Del { keys, sync } => delete(quiet, &keys, sync),
            Action::Ls { prefix, long, limit, after, json } => {
                let prefix = prefix.as_ref().map(|prefix| prefix.as_bytes());
                let rows = list(quiet, prefix, after.as_ref().map(|key| key.as_bytes()), limit)?;
                print(&rows, long, json)
            }
            Action::Import { file, json } => super::import::run(quiet, &file, json),
            Action::Sync => {
                with(quiet, |space| space.sync())?;
                Ok(0)
            }
        }
    }
}

/// Reads one byte more than a value may have, so that the daemon's bound is seen without reading it all.
fn read_value(from: impl Read) -> io::Result<Vec<u8>> {
    let mut value = Vec::new();
    from.take(VALUE_LEN_MAX as u64 + 1).read_to_end(&mut value)?;
    if value.len() > VALUE_LEN_MAX {
        return Err(io::Error::other(format!("a value is at most {VALUE_LEN_MAX} bytes long")));
    }
    Ok(value)
}

/// Does something that may be done twice, with a daemon that may have to be started.
fn with<T>(
    quiet: bool,
    mut action: impl FnMut(&mut Space<'_>) -> std::result::Result<T, StateError>,
) -> Result<T> {
    let mut session = Session::open(quiet)?;
    session.again(&mut |client| action(&mut Space(client)).map_err(refused))
}

fn refused(error: StateError) -> CliError {
    let (errno, text) = match error {
        StateError::Client(error) => return error.into(),
        StateError::Refused { errno, text } => (errno, text),
    };
    let (failure, hint) = match errno {
        Errno::ENOENT => (Failure::Negative, "look with: vrift state ls"),
        Errno::EINVAL => (Failure::Input, "as in: vrift state put /state/app/name value"),
        Errno::EACCES => (Failure::Input, "who may do what is in policy.toml in the state folder"),
        Errno::EFBIG => (Failure::Input, "keep large things in files of a workspace"),
        Errno::ENOSPC => (Failure::Store, "make room: vrift state del, vrift gc"),
        _ => (Failure::Store, "what happened is in: vrift daemon logs"),
    };
    CliError::Refused { failure, what: text, hint: hint.into() }
}

fn absent(key: &[u8]) -> CliError {
    let what = format!("there is no key {}", escape(key));
    CliError::Refused { failure: Failure::Negative, what, hint: "look with: vrift state ls".into() }
}

fn delete(quiet: bool, keys: &[OsString], sync: bool) -> Result<u8> {
    let missing = with(quiet, |space| {
        space.begin()?;
        for key in keys {
            match space.get(key.as_bytes()) {
                Ok(Some(_)) => {}
                Ok(None) => {
                    space.abort()?;
                    return Ok(Some(key));
                }
                Err(error) => {
                    space.abort()?;
                    return Err(error);
                }
            }
        }
        for key in keys {
            space.delete(key.as_bytes())?;
        }
        space.commit()?;
        if sync {
            space.sync()?;
        }
        Ok(None)
    })?;
    missing.map_or(Ok(0), |key| Err(absent(key.as_bytes())))
}

/// Without a prefix: what `vrift audit` shows is left out.
fn list(quiet: bool, prefix: Option<&[u8]>, after: Option<&[u8]>, limit: Option<u64>) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    let mut cursor = after.unwrap_or_default().to_vec();
    let limit = limit.unwrap_or(u64::MAX);
    let mut session = Session::open(quiet)?;
    while (rows.len() as u64) < limit {
        let left = u32::try_from(limit - rows.len() as u64).unwrap_or(ROWS_MAX).min(ROWS_MAX);
        let (page, more) = session.again(&mut |client| {
            Space(client).list(prefix.unwrap_or(b"/state/"), &cursor, left).map_err(refused)
        })?;
        let last = page.last().map(|row| row.key.clone());
        let shown = |row: &Row| prefix.is_some() || !row.key.starts_with(LOG_PREFIX.as_bytes());
        rows.extend(page.into_iter().filter(shown));
        match last {
            Some(last) if more => cursor = last,
            _ => break,
        }
    }
    Ok(rows)
}

#[derive(Serialize)]
struct JsonRow {
    key: PathBytes,
    bytes: u32,
}

fn print(rows: &[Row], long: bool, json: bool) -> Result<u8> {
    let mut out = Output::new();
    if json {
        let row = |row: &Row| JsonRow { key: row.key[..].into(), bytes: row.len_bytes };
        out.json(&rows.iter().map(row).collect::<Vec<_>>())?;
    } else {
        for row in rows {
            match long {
                true => out.line(&format!("{:>8} {}", row.len_bytes, escape(&row.key)))?,
                false => out.line(&escape(&row.key))?,
            }
        }
    }
    out.finish()?;
    Ok(0)
}
