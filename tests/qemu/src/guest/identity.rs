//! Identities: a user, and machines that log in as theirs.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::vrift;

const PASSPHRASE: &str = "/tmp/passphrase";
/// What `vrift identity user show` said, and the key of the newest machine, both of the round before.
const NOTED_USER: &str = "/state/selftest/user";
const NOTED_KEY: &str = "/state/selftest/machine-key";

/// The user, and the machine that an earlier round enrolled, are there; another machine's login outlives the daemon.
pub fn persist(round: u64) -> Result<()> {
    if round == 1 {
        fs::write(PASSPHRASE, "a pass phrase\n")?;
        vrift::ok(&["identity", "user", "add", "--name", "A User", "--passphrase-file", PASSPHRASE])?;
    } else {
        let (noted, user) =
            (vrift::ok(&["state", "get", NOTED_USER])?, vrift::ok(&["identity", "user", "show"])?);
        ensure!(noted == user, "the user was {noted}, and is {user}");
        let key = key_file(round - 1);
        fs::write(&key, vrift::ok(&["state", "get", NOTED_KEY])?)?;
        login(round - 1)?;
    }
    let key = key_file(round);
    let _ = fs::remove_file(&key);
    vrift::ok(&["identity", "machine", "enrol", &machine(round), "--key", &key])?;
    let user = vrift::ok(&["identity", "user", "show"])?;
    ensure!(user.contains("A User"), "the user is {user}");
    vrift::ok(&["state", "put", NOTED_USER, &user])?;
    vrift::ok(&["state", "put", "--sync", NOTED_KEY, "-f", &key])?;
    vrift::kill_daemon()?;
    let again = vrift::ok(&["identity", "user", "show"])?;
    ensure!(again == user, "the user was {user}, and is {again}");
    for number in 1..=round {
        let machines = vrift::ok(&["identity", "machine", "list"])?;
        ensure!(machines.contains(&machine(number)), "{} is not among\n{machines}", machine(number));
    }
    login(round)
}

fn machine(round: u64) -> String {
    format!("machine-{round}")
}

fn key_file(round: u64) -> String {
    format!("/tmp/{}.key", machine(round))
}

fn login(round: u64) -> Result<()> {
    let said = vrift::ok(&["identity", "machine", "login", &machine(round), "--key", &key_file(round)])
        .with_context(|| format!("login of {}", machine(round)))?;
    ensure!(said.contains("logged in"), "login says {said}");
    Ok(())
}
