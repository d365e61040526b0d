//! `vrift identity recover`: a way back for those who forgot the passphrase.

use super::{By, Desk, me, unexpected, user, wrong};
use crate::error::{CliError, Result};
use crate::secret_input::secret;
use clap::Subcommand;
use std::path::PathBuf;
use vrift_protocol::admin::Failure;
use vrift_protocol::identity::{self, Recovery, Reply, Request};
use vrift_secret::keys::Keys;
use vrift_secret::seal::Sealer;
use vrift_secret::shares::{self, Share, ShareError};

#[derive(Subcommand, Debug)]
pub enum Action {
    /// Prints five new shares, one line each, to be kept in five places; older ones open nothing any more
    Split {
        #[command(flatten)]
        by: By,
    },
    /// Opens the identity with three shares and puts a new passphrase in place
    Combine {
        /// Files with shares, a line each; - is stdin
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// The new passphrase is in this file; without it: asked for on the terminal
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
    },
}

impl Action {
    pub fn run(self, desk: &mut Desk) -> Result<()> {
        match self {
            Action::Split { by } => {
                let keys = desk.open(&by)?;
                split(desk, &keys)
            }
            Action::Combine { files, new_passphrase_file } => {
                let keys = combine(desk, &files)?;
                user::relock(desk, &keys, new_passphrase_file)
            }
        }
    }
}

fn split(desk: &mut Desk, keys: &Keys) -> Result<()> {
    let (key, shares) = shares::made()?;
    let sealed = Sealer::of_key(&key).seal(&identity::seed_place(&me()), keys.seed())?;
    let signature = keys.sign(&identity::relock(&me(), &sealed));
    let recovery = Recovery {
        set: shares[0].set.clone(),
        threshold: shares::THRESHOLD as u32,
        shares: shares::SHARES as u32,
        sealed,
        since_ns: 0,
    };
    desk.ask(&Request::ShareOut { recovery, signature })?;
    let lines: Vec<String> = shares.iter().map(Share::to_string).collect();
    match desk.json {
        true => desk.out.json(&lines),
        false => lines.iter().try_for_each(|line| desk.out.line(line)),
    }
}

fn combine(desk: &mut Desk, files: &[PathBuf]) -> Result<Keys> {
    let mut shares = Vec::new();
    for file in files {
        let text = secret(Some(file), ("share", ""))?;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let at = |error: ShareError| refused(&format!("{}: {error}", file.display()));
            shares.push(line.parse::<Share>().map_err(at)?);
        }
    }
    let (key, set) = shares::combined(&shares).map_err(|error| refused(&error.to_string()))?;
    let Reply::Private { recovery, .. } = desk.ask(&Request::Private)? else { return Err(unexpected()) };
    let recovery =
        recovery.ok_or_else(|| wrong("no shares of this user are out", "vrift identity recover split"))?;
    if recovery.set != set {
        let what = format!("these are shares {set}; those that count are {}", recovery.set);
        return Err(wrong(&what, "newer shares were made since"));
    }
    let seed = Sealer::of_key(&key).open(&identity::seed_place(&me()), &recovery.sealed);
    let seed =
        seed.ok_or_else(|| wrong("these shares do not open the identity", "one of them was made up"))?;
    desk.checked(&seed)
}

fn refused(what: &str) -> CliError {
    CliError::Refused {
        failure: Failure::Input,
        what: what.into(),
        hint: "give files with three of the lines that vrift identity recover split printed".into(),
    }
}
