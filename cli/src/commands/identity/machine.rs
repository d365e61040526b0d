//! `vrift identity machine`.

use super::{By, Desk, machine_key, me, unexpected, until};
use crate::error::Result;
use crate::text::{escape, time};
use clap::Subcommand;
use std::fs;
use std::path::PathBuf;
use vrift_protocol::identity::{self, MAY_OPEN, MachineInfo, MachineKeys, Reply, Request};
use vrift_secret::keys::{Keys, seal_to};

#[derive(Subcommand, Debug)]
pub enum Action {
    /// Makes a key for a machine, or takes the one in its file, and lets it log in
    Enrol {
        #[arg(value_name = "MACHINE")]
        machine: String,
        /// The key's file (default: MACHINE.key in ~/.config/vrift)
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// When it ends: 30d, 12h, 2027-01-31T12:00:00Z
        #[arg(long, value_name = "WHEN", value_parser = until)]
        expires: Option<i64>,
        /// What the machine may; credentials: open the owner's credentials, which takes the passphrase now
        #[arg(long = "may", value_name = "CAPABILITY")]
        capabilities: Vec<String>,
        /// The passphrase is in this file (with --may credentials)
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Lists the machines of the user who asks
    List,
    /// Puts a new key in place of a machine's key, which signs for it
    Rotate {
        #[arg(value_name = "MACHINE")]
        machine: String,
        /// The key's file (default: MACHINE.key in ~/.config/vrift)
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// The passphrase is in this file (for a machine that may open credentials)
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Takes a machine's key back, at once and for good
    Revoke {
        #[arg(value_name = "MACHINE")]
        machine: String,
    },
    /// Logs in by challenge and answer; exit code 1 if it is refused
    Login {
        #[arg(value_name = "MACHINE")]
        machine: String,
        /// The key's file (default: MACHINE.key in ~/.config/vrift)
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
}

impl Action {
    pub fn run(self, desk: &mut Desk) -> Result<()> {
        match self {
            Action::Enrol { machine, key, expires, capabilities, passphrase_file } => {
                let path = machine_key::path(&machine, key.as_deref())?;
                let may_open = capabilities.iter().any(|name| name == MAY_OPEN);
                let owner = owner(desk, may_open, passphrase_file)?;
                let is_new = !path.exists();
                if is_new {
                    machine_key::write(&path, &Keys::made()?)?;
                }
                let keys = handed_in(&machine, &machine_key::read(&path)?, owner.as_ref())?;
                let request = Request::Enrol { machine, keys, expires_ns: expires, capabilities };
                let answer = desk.ask(&request).inspect_err(|_| {
                    if is_new {
                        let _ = fs::remove_file(&path);
                    }
                })?;
                shown(desk, &answer)
            }
            Action::List => {
                let Reply::Machines(machines) = desk.ask(&Request::Machines)? else {
                    return Err(unexpected());
                };
                match desk.json {
                    true => desk.out.json(&machines),
                    false => machines.iter().try_for_each(|machine| desk.out.line(&line(machine))),
                }
            }
            Action::Rotate { machine, key, passphrase_file } => {
                let path = machine_key::path(&machine, key.as_deref())?;
                let old = machine_key::read(&path)?;
                let may_open = match desk.ask(&Request::Machines)? {
                    Reply::Machines(all) => all.iter().any(|known| {
                        known.machine == machine && known.capabilities.iter().any(|name| name == MAY_OPEN)
                    }),
                    _ => return Err(unexpected()),
                };
                let owner = owner(desk, may_open, passphrase_file)?;
                // On the disk before it is the one that counts.
                let new = Keys::made()?;
                let beside = machine_key::beside(&path);
                machine_key::write(&beside, &new)?;
                let keys = handed_in(&machine, &new, owner.as_ref())?;
                let signature = old.sign(&identity::rotation(&me(), &machine, &keys.sign, &keys.seal));
                match desk.ask(&Request::Rotate { machine, keys, signature }) {
                    Ok(answer) => {
                        machine_key::replace(&path)?;
                        shown(desk, &answer)
                    }
                    // Refused: the old one counts. Anything else: nobody knows which, and both files are there.
                    Err(error) => {
                        if error.exit_code() != 3 {
                            let _ = fs::remove_file(&beside);
                        }
                        Err(error)
                    }
                }
            }
            Action::Revoke { machine } => {
                let answer = desk.ask(&Request::Revoke { machine })?;
                shown(desk, &answer)
            }
            Action::Login { machine, key } => {
                let keys = machine_key::read(&machine_key::path(&machine, key.as_deref())?)?;
                let (session, capabilities) = log_in(desk, &machine, &keys)?;
                if desk.json {
                    return desk.out.json(&serde_json::json!({
                        "user": me(), "machine": machine, "capabilities": capabilities, "session": session,
                    }));
                }
                let may =
                    if capabilities.is_empty() { "nothing more".into() } else { capabilities.join(", ") };
                desk.out.line(&format!("{machine} of user {} is logged in; it may: {may}", me()))
            }
        }
    }
}

/// The owner's keys, where the machine is to get them.
fn owner(desk: &mut Desk, may_open: bool, passphrase_file: Option<PathBuf>) -> Result<Option<Keys>> {
    if !may_open {
        return Ok(None);
    }
    desk.open(&By { passphrase_file, machine: None, key: None }).map(Some)
}

/// A machine's keys with what shows that they are there.
fn handed_in(machine: &str, keys: &Keys, owner: Option<&Keys>) -> Result<MachineKeys> {
    let public = keys.public();
    let proof = keys.sign(&identity::possession(&me(), machine, &public.sign, &public.seal));
    let place = identity::seed_place(&me());
    let unlock = owner.map(|owner| seal_to(&public.seal, &place, owner.seed())).transpose()?;
    Ok(MachineKeys { sign: public.sign, seal: public.seal, unlock, proof })
}

/// The session, and what the machine may.
pub fn log_in(desk: &mut Desk, machine: &str, keys: &Keys) -> Result<(String, Vec<String>)> {
    let machine = machine.to_string();
    let Reply::Challenge { challenge } = desk.ask(&Request::Challenge { machine: machine.clone() })? else {
        return Err(unexpected());
    };
    let signature = keys.sign(&identity::login(&me(), &machine, &challenge));
    match desk.ask(&Request::Login { machine, challenge, signature })? {
        Reply::LoggedIn { session, capabilities, .. } => Ok((session, capabilities)),
        _ => Err(unexpected()),
    }
}

fn shown(desk: &mut Desk, answer: &Reply) -> Result<()> {
    let Reply::Machine(machine) = answer else { return Err(unexpected()) };
    if desk.json { desk.out.json(machine) } else { desk.out.line(&line(machine)) }
}

fn line(machine: &MachineInfo) -> String {
    let mut line = format!(
        "{}  {}  ed25519 {}",
        escape(machine.machine.as_bytes()),
        machine.standing.name(),
        machine.sign
    );
    line += &format!("  since {}", time(machine.since_ns));
    if let Some(at) = machine.expires_ns {
        line += &format!("  until {}", time(at));
    }
    if !machine.capabilities.is_empty() {
        line += &format!("  may {}", machine.capabilities.join(", "));
    }
    line
}
