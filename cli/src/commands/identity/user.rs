//! `vrift identity user`.

use super::{Desk, lock, me, unexpected, wrong};
use crate::error::Result;
use crate::secret_input::new_secret;
use crate::text::{escape, time};
use clap::Subcommand;
use std::path::PathBuf;
use vrift_protocol::identity::{self, Reply, Request, UserInfo};
use vrift_secret::keys::Keys;

#[derive(Subcommand, Debug)]
pub enum Action {
    /// Makes the identity of the user who asks
    Add {
        /// For people
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// The new passphrase is in this file; - is stdin; without it: asked for on the terminal
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Shows it; exit code 1 if there is none
    Show,
    /// Lists all users (for the user whose daemon it is)
    List,
    /// Puts another passphrase in place
    Passphrase {
        #[command(flatten)]
        by: super::By,
        /// The new passphrase is in this file; without it: asked for on the terminal
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
    },
    /// Removes the identity with its machines and credentials
    Remove {
        /// Really
        #[arg(long)]
        yes: bool,
    },
}

impl Action {
    pub fn run(self, desk: &mut Desk) -> Result<()> {
        match self {
            Action::Add { name, passphrase_file } => {
                let passphrase =
                    new_secret(passphrase_file.as_deref(), ("new passphrase", "--passphrase-file"))?;
                let keys = Keys::made()?;
                let public = keys.public();
                let proof = keys.sign(&identity::possession(&me(), "", &public.sign, &public.seal));
                let name = name.unwrap_or_else(me);
                let lock = lock(&keys, &passphrase)?;
                let (sign, seal) = (public.sign, public.seal);
                match desk.ask(&Request::AddUser { name, sign, seal, lock, proof })? {
                    Reply::User(user) => print(desk, &user),
                    _ => Err(unexpected()),
                }
            }
            Action::Show => {
                let user = desk.user()?;
                print(desk, &user)
            }
            Action::List => {
                let Reply::Users(users) = desk.ask(&Request::Users)? else { return Err(unexpected()) };
                match desk.json {
                    true => desk.out.json(&users),
                    false => users.iter().try_for_each(|user| desk.out.line(&line(user))),
                }
            }
            Action::Passphrase { by, new_passphrase_file } => {
                let keys = desk.open(&by)?;
                relock(desk, &keys, new_passphrase_file)
            }
            Action::Remove { yes: false } => {
                Err(wrong("nothing was removed: tokens and keys would be gone for good", "if so: --yes"))
            }
            Action::Remove { yes: true } => desk.ask(&Request::RemoveUser).map(drop),
        }
    }
}

/// Puts the keys under a new passphrase.
pub fn relock(desk: &mut Desk, keys: &Keys, file: Option<PathBuf>) -> Result<()> {
    let passphrase = new_secret(file.as_deref(), ("new passphrase", "--new-passphrase-file"))?;
    let lock = lock(keys, &passphrase)?;
    let signature = keys.sign(&identity::relock(&me(), &lock.sealed));
    desk.ask(&Request::Relock { lock, signature }).map(drop)
}

fn print(desk: &mut Desk, user: &UserInfo) -> Result<()> {
    if desk.json { desk.out.json(user) } else { desk.out.line(&line(user)) }
}

fn line(user: &UserInfo) -> String {
    let shares = match &user.recovery {
        Some(set) => format!("shares {set} are out"),
        None => "no shares are out".into(),
    };
    let name = escape(user.name.as_bytes());
    format!("{}  {name}  ed25519 {}  since {}  {shares}", user.user, user.sign, time(user.since_ns))
}
