//! `vrift identity credential`.

use super::{By, Desk, me, unexpected, until, wrong};
use crate::error::Result;
use crate::secret_input::secret;
use crate::text::{escape, time};
use clap::Subcommand;
use std::path::PathBuf;
use vrift_protocol::identity::{CredentialInfo, Reply, Request, credential_place};
use vrift_secret::keys::seal_to;

/// Longest token.
const TOKEN_LEN_MAX: usize = 4096;

#[derive(Subcommand, Debug)]
pub enum Action {
    /// Keeps a token, sealed to the user who asks; needs no passphrase
    Put {
        #[arg(value_name = "NAME")]
        name: String,
        /// The token is in this file; - is stdin; without it: asked for on the terminal
        #[arg(short, long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// What it is for
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// When it ends: 30d, 12h, 2027-01-31T12:00:00Z
        #[arg(long, value_name = "WHEN", value_parser = until)]
        expires: Option<i64>,
    },
    /// Writes a token to stdout; exit code 1 if there is none or its time is over
    Get {
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        by: By,
    },
    /// Lists credentials, without tokens
    List,
    /// Removes a credential
    Rm {
        #[arg(value_name = "NAME")]
        name: String,
    },
}

impl Action {
    pub fn run(self, desk: &mut Desk) -> Result<()> {
        match self {
            Action::Put { name, file, url, expires } => {
                let user = desk.user()?;
                let token = secret(file.as_deref(), ("token", "--file"))?;
                if token.len() > TOKEN_LEN_MAX {
                    return Err(wrong(&format!("a token has at most {TOKEN_LEN_MAX} bytes"), ""));
                }
                let sealed = seal_to(&user.seal, &credential_place(&me(), &name), token.as_bytes())?;
                desk.ask(&Request::PutCredential { name, url, expires_ns: expires, sealed }).map(drop)
            }
            Action::Get { name, by } => {
                let request = Request::GetCredential { name: name.clone() };
                let Reply::Credential { info, sealed } = desk.ask(&request)? else {
                    return Err(unexpected());
                };
                if info.standing != vrift_protocol::identity::Standing::Valid {
                    let hint = format!("put a new one: vrift identity credential put {name}");
                    return Err(wrong(&format!("the credential {name} is past its time"), &hint));
                }
                let keys = desk.open(&by)?;
                let token = keys.open(&credential_place(&me(), &name), &sealed).ok_or_else(|| {
                    wrong("what is kept was not sealed to this user under this name", "put it again")
                })?;
                desk.out.bytes(&token)?;
                desk.out.bytes(b"\n")
            }
            Action::List => {
                let Reply::Credentials(all) = desk.ask(&Request::Credentials)? else {
                    return Err(unexpected());
                };
                match desk.json {
                    true => desk.out.json(&all),
                    false => all.iter().try_for_each(|one| desk.out.line(&line(one))),
                }
            }
            Action::Rm { name } => desk.ask(&Request::DeleteCredential { name }).map(drop),
        }
    }
}

fn line(one: &CredentialInfo) -> String {
    let mut line =
        format!("{}  {}  since {}", escape(one.name.as_bytes()), one.standing.name(), time(one.since_ns));
    if let Some(at) = one.expires_ns {
        line += &format!("  until {}", time(at));
    }
    if let Some(url) = &one.url {
        line += &format!("  {}", escape(url.as_bytes()));
    }
    line
}
