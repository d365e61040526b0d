//! The device key: made once, kept, never given away.

use anyhow::{Context, Result, ensure};

use crate::vrift;

/// The key that the first round saw.
const NOTED_KEY: &str = "/state/selftest/device-key";
const SIGNED: &str = "/tmp/signed";
const SIGNATURE: &str = "/tmp/signature";

/// The same key over the daemon's death and over a reset of the machine; what it signed before verifies after.
pub fn persist(round: u64) -> Result<()> {
    let key = vrift::ok(&["key", "show"])?;
    let id = key.split_whitespace().next().context("vrift key show prints nothing")?.to_string();
    if round > 1 {
        let noted = vrift::ok(&["state", "get", NOTED_KEY])?;
        ensure!(noted == id, "the key was {noted}, and is {id}");
    }
    std::fs::write(SIGNED, format!("signed in round {round}\n"))?;
    std::fs::write(SIGNATURE, vrift::ok(&["key", "sign", SIGNED])?)?;
    vrift::ok(&["state", "put", "--sync", NOTED_KEY, &id])?;
    vrift::kill_daemon()?;
    let again = vrift::ok(&["key", "show"])?;
    ensure!(again == key, "the key was {key}, and is {again}");
    vrift::ok(&["key", "verify", SIGNED, "-s", SIGNATURE])?;
    std::fs::write(SIGNED, "something else\n")?;
    let (code, text) = vrift::exits(&["key", "verify", SIGNED, "-s", SIGNATURE])?;
    ensure!(code == 1, "a signature of something else: {code}: {text}");
    Ok(())
}

pub fn private_export() -> Result<()> {
    let (code, text) = vrift::exits(&["key", "show", "--private"])?;
    ensure!(code == 2 && text.contains("never leaves"), "key show --private: {code}: {text}");
    let (code, text) = vrift::exits(&["state", "get", "/state/keystore/device"])?;
    ensure!(code == 2, "state get /state/keystore/device: {code}: {text}");
    Ok(())
}
