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
    described(prefix)?;
    let version = process::output(process::program(prefix.join("bin/vrift")).arg("--version"))?;
    println!("installed and started: {}", version.trim());
    Ok(())
}

/// Manual pages and completions, as the installed program has them.
fn described(prefix: &Path) -> Result<()> {
    let program = prefix.join("bin/vrift");
    let pages = prefix.join("share/man/man1");
    fs::create_dir_all(&pages).with_context(|| format!("cannot make {}", pages.display()))?;
    process::check(process::program(&program).args(["man", "--to"]).arg(&pages))?;
    for (shell, file) in COMPLETIONS {
        let script = process::output(process::program(&program).args(["completions", shell]))?;
        let to = prefix.join(file);
        let folder = to.parent().context("a file without a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::write(&to, script).with_context(|| format!("cannot write {}", to.display()))?;
        println!("{}", to.display());
    }
    println!("{}", pages.display());
    Ok(())
}

/// Where bash-completion, zsh and fish look below a prefix.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/vrift"),
    ("zsh", "share/zsh/site-functions/_vrift"),
    ("fish", "share/fish/vendor_completions.d/vrift.fish"),
];

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
