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
    described(&prefix.join("bin/vrift"), &prefix.join("share"))?;
    units(prefix)?;
    let version = process::output(process::program(prefix.join("bin/vrift")).arg("--version"))?;
    println!("installed and started: {}", version.trim());
    Ok(())
}

/// Units of systemd's user manager that start the daemon when somebody connects, for this prefix.
fn units(prefix: &Path) -> Result<()> {
    let folder = prefix.join("lib/systemd/user");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let bin = std::path::absolute(prefix.join("bin"))?;
    for name in UNITS {
        let text = fs::read_to_string(workspace::root().join("packaging/systemd").join(name))?;
        let text = text.replace("/usr/bin/", &format!("{}/", bin.display()));
        let to = folder.join(name);
        fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))?;
        println!("{}", to.display());
    }
    Ok(())
}

const UNITS: [&str; 2] = ["vriftd.socket", "vriftd.service"];

/// Manual pages and completions as the program has them, below a `share` folder.
pub fn described(program: &Path, share: &Path) -> Result<()> {
    let pages = share.join("man/man1");
    fs::create_dir_all(&pages).with_context(|| format!("cannot make {}", pages.display()))?;
    process::check(process::program(program).args(["man", "--to"]).arg(&pages))?;
    for (shell, file) in COMPLETIONS {
        let script = process::output(process::program(program).args(["completions", shell]))?;
        let to = share.join(file);
        let folder = to.parent().context("a file without a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::write(&to, script).with_context(|| format!("cannot write {}", to.display()))?;
        println!("{}", to.display());
    }
    println!("{}", pages.display());
    Ok(())
}

/// Where bash-completion, zsh and fish look below `share`.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "bash-completion/completions/vrift"),
    ("zsh", "zsh/site-functions/_vrift"),
    ("fish", "fish/vendor_completions.d/vrift.fish"),
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
