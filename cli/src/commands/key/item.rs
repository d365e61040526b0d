//! `vrift key item`: small secrets of the user who asks.

use super::{keystore, unexpected};
use crate::commands::output::Output;
use crate::error::{CliError, Result};
use crate::secret_input::secret;
use clap::Subcommand;
use std::path::PathBuf;
use vrift_protocol::admin::Failure;
use vrift_protocol::keystore::{Reply, Request};
use vrift_protocol::pipeline::Blocking;
use zeroize::Zeroizing;

#[derive(Subcommand, Debug)]
pub enum Item {
    /// Keeps a secret of up to 4 KiB
    Put {
        #[arg(value_name = "NAME")]
        name: String,
        /// The secret is in this file; - is stdin; without it: asked for on the terminal
        #[arg(short, long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Writes a secret to stdout; exit code 1 if there is none
    Get {
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Lists names
    List,
    /// Removes a secret
    Rm {
        #[arg(value_name = "NAME")]
        name: String,
    },
}

impl Item {
    pub fn run(self, to: &mut Blocking, out: &mut Output) -> Result<()> {
        match self {
            Item::Put { name, file } => {
                let value = secret(file.as_deref(), ("secret", "--file"))?.to_string();
                keystore(to, &Request::PutItem { name, value }).map(drop)
            }
            Item::Get { name } => match keystore(to, &Request::GetItem { name: name.clone() })? {
                Reply::Item { value: Some(value) } => out.line(&Zeroizing::new(value)),
                Reply::Item { value: None } => Err(CliError::Refused {
                    failure: Failure::Negative,
                    what: format!("there is no item {name}"),
                    hint: "look with: vrift key item list".into(),
                }),
                _ => Err(unexpected()),
            },
            Item::List => match keystore(to, &Request::ListItems)? {
                Reply::Items(names) => names.iter().try_for_each(|name| out.line(name)),
                _ => Err(unexpected()),
            },
            Item::Rm { name } => keystore(to, &Request::DeleteItem { name }).map(drop),
        }
    }
}
