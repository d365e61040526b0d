//! `cargo xtask install --prefix DIR`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::{build, process, workspace};

pub fn run(prefix: &Path) -> Result<()> {
    build::release()?;
    let from = workspace::release();
    for name in workspace::PROGRAMS {
        place(&from.join(name), &prefix.join("bin"), 0o755)?;
    }
    for name in workspace::SERVICES {
        place(&from.join(name), &prefix.join("lib/vrift"), 0o755)?;
    }
    place(&from.join(workspace::SHIM), &prefix.join("lib/vrift"), 0o644)?;
    let version = process::output(process::program(prefix.join("bin/vrift")).arg("--version"))?;
    println!("installed and started: {}", version.trim());
    Ok(())
}

/// By rename, so that programs which have the old file mapped keep it.
fn place(from: &Path, folder: &Path, mode: u32) -> Result<()> {
    let name = from.file_name().context("a file without a name")?;
    let to = folder.join(name);
    let new = folder.join(format!(".{}.new", name.to_string_lossy()));
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::copy(from, &new).with_context(|| format!("cannot write {}", new.display()))?;
    fs::set_permissions(&new, Permissions::from_mode(mode))?;
    fs::rename(&new, &to).with_context(|| format!("cannot put {} in place", to.display()))?;
    println!("{}", to.display());
    Ok(())
}
