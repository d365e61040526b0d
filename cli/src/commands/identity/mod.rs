//! `vrift identity`: users, the keys of their machines, credentials. What is private is sealed and opened here; the service
//! keeps what is sealed.

mod credential;
mod machine;
mod machine_key;
mod recover;
mod user;

use super::output::Output;
use crate::error::{CliError, Result};
use crate::secret_input::secret;
use crate::services::{ask, connect};
use crate::session::Session;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;
use vrift_protocol::admin::Failure;
use vrift_protocol::identity::{self, Lock, Reply, Request, UserInfo};
use vrift_protocol::pipeline::Blocking;
use vrift_protocol::service::Service;
use vrift_secret::SecretError;
use vrift_secret::keys::{Keys, SEED_LEN};
use vrift_secret::seal::Derivation;
use zeroize::Zeroizing;

/// Users, keys of machines, and credentials for remote stores; whose they are, the kernel says
#[derive(Args, Debug)]
pub struct Identity {
    #[command(subcommand)]
    pub what: What,
    /// Print the result as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Subcommand, Debug)]
pub enum What {
    /// The identity of the user who asks
    #[command(subcommand)]
    User(user::Action),
    /// Keys of machines, with which they log in
    #[command(subcommand)]
    Machine(machine::Action),
    /// Tokens for remote stores, sealed to their owner
    #[command(subcommand)]
    Credential(credential::Action),
    /// Five shares, any three of which open what a forgotten passphrase locks
    #[command(subcommand)]
    Recover(recover::Action),
}

/// How the owner's private parts are opened: by the passphrase, or by a machine that may.
#[derive(Args, Debug)]
pub struct By {
    /// The passphrase is in this file; - is stdin; without it: asked for on the terminal
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Log in as this machine instead
    #[arg(long, value_name = "MACHINE", conflicts_with = "passphrase_file")]
    pub machine: Option<String>,
    /// The machine's key file (default: MACHINE.key in ~/.config/vrift)
    #[arg(long, value_name = "FILE", requires = "machine")]
    pub key: Option<PathBuf>,
}

impl Identity {
    pub fn run(self, quiet: bool) -> Result<u8> {
        crate::secret_input::no_dumps()?;
        let session = Session::open(quiet)?;
        let mut desk = Desk { to: connect(&session), json: self.json, out: Output::new() };
        match self.what {
            What::User(action) => action.run(&mut desk)?,
            What::Machine(action) => action.run(&mut desk)?,
            What::Credential(action) => action.run(&mut desk)?,
            What::Recover(action) => action.run(&mut desk)?,
        }
        desk.out.finish()?;
        Ok(0)
    }
}

/// The service, and where its answers go.
pub struct Desk {
    to: Blocking,
    json: bool,
    out: Output,
}

fn unexpected() -> CliError {
    CliError::Unexpected { request: "identityd" }
}

impl From<SecretError> for CliError {
    fn from(error: SecretError) -> CliError {
        CliError::Refused { failure: Failure::Store, what: error.to_string(), hint: String::new() }
    }
}

fn wrong(what: &str, hint: &str) -> CliError {
    CliError::Refused { failure: Failure::Negative, what: what.into(), hint: hint.into() }
}

/// The kernel's number of the user who asks; the service finds it out by itself.
fn me() -> String {
    nix::unistd::geteuid().as_raw().to_string()
}

impl Desk {
    fn ask(&mut self, request: &Request) -> Result<Reply> {
        ask(&mut self.to, Service::Identity, request.need(), request)
    }

    fn user(&mut self) -> Result<UserInfo> {
        match self.ask(&Request::Show)? {
            Reply::User(user) => Ok(user),
            _ => Err(unexpected()),
        }
    }

    /// The owner's keys, opened.
    fn open(&mut self, by: &By) -> Result<Keys> {
        match &by.machine {
            Some(machine) => self.open_by_machine(machine, by),
            None => self.open_by_passphrase(by.passphrase_file.as_deref()),
        }
    }

    fn open_by_passphrase(&mut self, file: Option<&std::path::Path>) -> Result<Keys> {
        let Reply::Private { lock, .. } = self.ask(&Request::Private)? else { return Err(unexpected()) };
        let passphrase = secret(file, ("passphrase", "--passphrase-file"))?;
        let derivation = Derivation { salt: lock.salt, memory_kib: lock.memory_kib, passes: lock.passes };
        let sealer = derivation.sealer(passphrase.as_bytes())?;
        let seed = sealer.open(&identity::seed_place(&me()), &lock.sealed);
        let seed = seed.ok_or_else(|| {
            wrong(
                "the passphrase is not the right one",
                "forgotten? see: vrift identity recover combine --help",
            )
        })?;
        self.checked(&seed)
    }

    fn open_by_machine(&mut self, machine: &str, by: &By) -> Result<Keys> {
        let keys = machine_key::read(&machine_key::path(machine, by.key.as_deref())?)?;
        let (session, _) = machine::log_in(self, machine, &keys)?;
        let Reply::Unlocked { seed } = self.ask(&Request::Unlock { session })? else {
            return Err(unexpected());
        };
        let seed = keys.open(&identity::seed_place(&me()), &seed);
        let seed =
            seed.ok_or_else(|| wrong("what was sealed to this machine does not open", "enrol it again"))?;
        self.checked(&seed)
    }

    /// Keys of a seed that are those of the record.
    fn checked(&mut self, seed: &[u8]) -> Result<Keys> {
        let user = self.user()?;
        let seed = <[u8; SEED_LEN]>::try_from(seed).map(Zeroizing::new).ok();
        let keys = seed.map(Keys::of_seed);
        let right = |keys: &Keys| keys.public().sign == user.sign && keys.public().seal == user.seal;
        keys.filter(right).ok_or_else(|| {
            wrong("what was opened is not the key of this user", "the record was changed: restore the store")
        })
    }
}

/// The seed under a passphrase.
fn lock(keys: &Keys, passphrase: &str) -> Result<Lock> {
    let derivation = Derivation::new()?;
    let sealed = derivation.sealer(passphrase.as_bytes())?.seal(&identity::seed_place(&me()), keys.seed())?;
    let Derivation { salt, memory_kib, passes } = derivation;
    Ok(Lock { salt, memory_kib, passes, sealed })
}

/// When something ends: `30d`, `12h`, `90m`, `60s` from now on, or a time such as 2027-01-31T12:00:00Z.
fn until(text: &str) -> std::result::Result<i64, String> {
    let units = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
    let length = units.iter().find_map(|(unit, seconds)| {
        let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(Duration::from_secs(count.checked_mul(*seconds)?))
    });
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let at = match length {
        Some(length) => now.checked_add(length).map(|at| at.as_nanos()),
        None => text.parse::<jiff::Timestamp>().ok().and_then(|at| u128::try_from(at.as_nanosecond()).ok()),
    };
    at.and_then(|at| i64::try_from(at).ok())
        .ok_or_else(|| format!("{text} is no time: as 30d, 12h, 90m, 60s or 2027-01-31T12:00:00Z"))
}
