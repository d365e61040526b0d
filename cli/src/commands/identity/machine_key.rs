//! The file with a machine's private key.
//!
//! ```text
//! vrift-machine-1 SEED       64 hex digits
//! ```

use crate::error::{CliError, Result};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use vrift_secret::hex;
use vrift_secret::keys::Keys;
use zeroize::Zeroizing;

const FORM: &str = "vrift-machine-1";
/// Longer than any such file.
const LEN_MAX: u64 = 256;

/// The file that is named, or the one of this machine in the user's folder of settings.
pub fn path(machine: &str, named: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = named {
        return Ok(path.to_path_buf());
    }
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    let folder = folder.ok_or_else(|| CliError::Usage {
        what: "neither XDG_CONFIG_HOME nor HOME says where the key is to be".into(),
        hint: "name its file with --key".into(),
    })?;
    if machine.contains('/') || machine.starts_with('.') {
        let what = format!("{machine} is no name of a machine");
        return Err(CliError::Usage { what, hint: "letters, digits, - _ and .".into() });
    }
    Ok(folder.join("vrift").join(format!("{machine}.key")))
}

pub fn read(path: &Path) -> Result<Keys> {
    let failed = |error: io::Error| CliError::path(path, error);
    let mut text = Zeroizing::new(String::with_capacity(LEN_MAX as usize));
    File::open(path).and_then(|file| file.take(LEN_MAX).read_to_string(&mut text)).map_err(failed)?;
    let seed = text.trim_end().strip_prefix(FORM).and_then(|rest| hex::fixed(rest.trim_start()));
    let seed = seed.ok_or_else(|| CliError::Usage {
        what: format!("{} has no machine's key in it", path.display()),
        hint: "one is made by: vrift identity machine enrol".into(),
    })?;
    Ok(Keys::of_seed(Zeroizing::new(seed)))
}

/// Writes a key to a file that there is not yet; it is durable when this returns.
pub fn write(path: &Path, keys: &Keys) -> Result<()> {
    let failed = |error: io::Error| CliError::path(path, error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let text = Zeroizing::new(format!("{FORM} {}\n", &*Zeroizing::new(hex::encode(keys.seed()))));
    let written =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
    written.and_then(|()| File::open(folder)?.sync_all()).map_err(failed)
}

/// Where a new key waits until it is accepted.
pub fn beside(path: &Path) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_os_string();
    name.push(".new");
    PathBuf::from(name)
}

/// The new key takes the place of the old one.
pub fn replace(path: &Path) -> Result<()> {
    fs::rename(beside(path), path).map_err(|error| CliError::path(path, error))
}
