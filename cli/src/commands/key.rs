//! `vrift key`: the device's key, and signatures by it.

use super::output::Output;
use crate::error::{CliError, Result};
use crate::secret_input::{new_secret, secret};
use crate::services::{ask, connect};
use crate::session::Session;
use crate::text::{escape_path, time};
use clap::{Args, Subcommand};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use vrift_protocol::admin::{Failure, SnapshotInfo};
use vrift_protocol::keystore::{PublicKey, Reply, Request, Signature, Snapshot, Verdict};
use vrift_protocol::pipeline::Blocking;
use vrift_protocol::service::Service;

mod item;

/// First word of a signature's line.
const FORM: &str = "vrift-ed25519";
/// Snapshots that are asked for at a time: so many fit a frame whatever their names are.
const SNAPSHOTS_AT_A_TIME: usize = 100;

/// The device's key: shows, signs, verifies; the private key never leaves the keystore
#[derive(Args, Debug)]
pub struct Key {
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Subcommand, Debug)]
pub enum Action {
    /// Shows the public keys, the one in use first; makes the first one if there is none
    Show {
        /// The private key (always refused)
        #[arg(long, hide = true)]
        private: bool,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Prints a signature of a file, one line
    Sign {
        /// The file; - is stdin
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Checks a file against a signature; exit code 1 if it is wrong
    Verify {
        /// The file; - is stdin
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The line that vrift key sign printed, in a file
        #[arg(short, long, value_name = "FILE")]
        signature: PathBuf,
    },
    /// Puts a new key in place of the one in use; what the old one signed stays verifiable
    Rotate {
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Encrypts private keys in the store under a passphrase, which takes the place of a key file
    Seal {
        /// The new passphrase is in this file; - is stdin; without it: asked for on the terminal
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Opens a keystore that a passphrase seals, until the daemon stops
    Unlock {
        /// The passphrase is in this file; - is stdin; without it: asked for on the terminal
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Small secrets of the user who asks, kept by the keystore
    #[command(subcommand)]
    Item(item::Item),
}

impl Key {
    pub fn run(self, quiet: bool) -> Result<u8> {
        crate::secret_input::no_dumps()?;
        let session = Session::open(quiet)?;
        let mut to = connect(&session);
        let mut out = Output::new();
        let mut code = 0;
        match self.action {
            Action::Show { private: true, .. } => {
                keystore(&mut to, &Request::Private)?;
                return Err(unexpected());
            }
            Action::Show { json, .. } => {
                let reply = keystore(&mut to, &Request::Show)?;
                let Reply::Keys { keys, sealed } = &reply else { return Err(unexpected()) };
                if json {
                    out.json(&serde_json::json!({ "keys": keys, "sealed": sealed }))?;
                } else {
                    keys.iter().try_for_each(|key| out.line(&line(key)))?;
                }
            }
            Action::Sign { file } => {
                let digest = digest(&file)?;
                let Reply::Signed(signature) = keystore(&mut to, &Request::Sign { digest })? else {
                    return Err(unexpected());
                };
                out.line(&format!("{FORM} {} {}", signature.key, signature.signature))?;
            }
            Action::Verify { file, signature } => {
                let signature = read_signature(&signature)?;
                let request = Request::Verify { digest: digest(&file)?, signature };
                let Reply::Verdict(verdict) = keystore(&mut to, &request)? else { return Err(unexpected()) };
                code = u8::from(!matches!(verdict, Verdict::Right { .. }));
                out.line(&describe(&verdict))?;
            }
            Action::Rotate { json } => {
                let Reply::Rotated(key) = keystore(&mut to, &Request::Rotate)? else {
                    return Err(unexpected());
                };
                if json { out.json(&key)? } else { out.line(&line(&key))? }
            }
            Action::Seal { passphrase_file } => {
                let passphrase =
                    new_secret(passphrase_file.as_deref(), ("new passphrase", "--passphrase-file"))?;
                keystore(&mut to, &Request::Seal { passphrase: passphrase.to_string() })?;
            }
            Action::Unlock { passphrase_file } => {
                let passphrase = secret(passphrase_file.as_deref(), ("passphrase", "--passphrase-file"))?;
                keystore(&mut to, &Request::Unlock { passphrase: passphrase.to_string() })?;
            }
            Action::Item(item) => item.run(&mut to, &mut out)?,
        }
        out.finish()?;
        Ok(code)
    }
}

pub(super) fn unexpected() -> CliError {
    CliError::Unexpected { request: "keystored" }
}

pub(super) fn keystore(to: &mut Blocking, request: &Request) -> Result<Reply> {
    ask(to, Service::Keystore, request.need(), request)
}

fn line(key: &PublicKey) -> String {
    let until = key.until_ns.map_or_else(|| "in use".into(), |until| format!("until {}", time(until)));
    format!("{}  ed25519 {}  since {}  {until}", key.id, key.public, time(key.since_ns))
}

/// In words, for one line.
pub fn describe(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Right { key } => format!("signed by {key}"),
        Verdict::Wrong { key } => format!("WRONG: not what {key} signed"),
        Verdict::UnknownKey { key } => format!("signed by {key}, which this keystore does not know"),
        Verdict::Unsigned => "not signed".into(),
    }
}

/// BLAKE3 of a file, in hex.
fn digest(file: &Path) -> Result<String> {
    let failed = |error: io::Error| CliError::path(file, error);
    let mut hasher = blake3::Hasher::new();
    let mut from: Box<dyn Read> = match file == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(file).map_err(failed)?),
    };
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().to_hex().to_string()),
            Ok(len) => drop(hasher.update(&buffer[..len])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

fn read_signature(path: &Path) -> Result<Signature> {
    let text = fs::read_to_string(path).map_err(|error| CliError::path(path, error))?;
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        [FORM, key, signature] => Ok(Signature { key: key.into(), signature: signature.into() }),
        _ => Err(CliError::Refused {
            failure: Failure::Input,
            what: format!("{} has no signature in it", escape_path(path)),
            hint: "one is made by: vrift key sign FILE".into(),
        }),
    }
}

/// What is signed of a snapshot.
pub fn statement(snapshot: &SnapshotInfo) -> Snapshot {
    Snapshot {
        workspace: snapshot.workspace.clone(),
        number: snapshot.number,
        root: snapshot.root.clone(),
        time_ns: snapshot.time_ns,
    }
}

/// Has a snapshot signed; the id of the key.
pub fn sign_snapshot(session: &Session, snapshot: &SnapshotInfo) -> Result<String> {
    match keystore(&mut connect(session), &Request::SignSnapshot(statement(snapshot)))? {
        Reply::Signed(signature) => Ok(signature.key),
        _ => Err(unexpected()),
    }
}

/// For each snapshot what is known of its signature.
pub fn verify_snapshots(session: &Session, snapshots: &[SnapshotInfo]) -> Result<Vec<Verdict>> {
    let mut to = connect(session);
    let mut all = Vec::new();
    for some in snapshots.chunks(SNAPSHOTS_AT_A_TIME) {
        let request = Request::VerifySnapshots(some.iter().map(statement).collect());
        match keystore(&mut to, &request)? {
            Reply::Verdicts(verdicts) if verdicts.len() == some.len() => all.extend(verdicts),
            _ => return Err(unexpected()),
        }
    }
    Ok(all)
}
