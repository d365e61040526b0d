//! `cargo xtask install --prefix DIR`, and `uninstall`.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

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

/// Removes what [`run`] puts below a prefix, and folders that are empty without it. What users have in workspaces is not
/// there, and stays.
///
/// # Errors
/// Something cannot be removed, or there is nothing installed.
pub fn undo(prefix: &Path) -> Result<()> {
    let mut files: Vec<PathBuf> =
        workspace::PROGRAMS.iter().map(|name| Path::new("bin").join(name)).collect();
    let library = Path::new("lib/vrift");
    files.extend(workspace::SERVICES.iter().chain([&workspace::SHIM]).map(|name| library.join(name)));
    files.extend(UNITS.iter().map(|name| Path::new("lib/systemd/user").join(name)));
    files.extend(COMPLETIONS.iter().map(|(_, file)| Path::new("share").join(file)));
    let pages = Path::new("share/man/man1");
    for entry in fs::read_dir(prefix.join(pages)).into_iter().flatten() {
        let name = entry?.file_name();
        let is_ours = name.to_str().is_some_and(|name| name == "vrift.1" || name.starts_with("vrift-"));
        files.extend(is_ours.then(|| pages.join(name)));
    }
    // Without the program nobody could stop it. Where none runs there is nothing to be done.
    let _ = process::program(prefix.join("bin/vrift")).args(["daemon", "stop"]).output();
    let mut removed = 0;
    for file in &files {
        let path = prefix.join(file);
        match fs::remove_file(&path) {
            Ok(()) => {
                println!("{}", path.display());
                removed += 1;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => bail!("cannot remove {}: {error}", path.display()),
        }
    }
    if removed == 0 {
        bail!("{} has no vrift: name the prefix that it was installed below", prefix.display());
    }
    for file in &files {
        for folder in file.ancestors().skip(1).filter(|folder| *folder != Path::new("")) {
            // Not empty, gone already, or somebody else's: it stays.
            let _ = fs::remove_dir(prefix.join(folder));
        }
    }
    println!("removed {removed} files. What is in workspaces stays: it is in ~/.local/state/vrift, or where");
    println!("VRIFT_HOME says. Whoever needs it no more removes that folder: rm -r ~/.local/state/vrift");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removal_takes_what_was_installed_and_leaves_the_rest() {
        let prefix = tempfile::tempdir().unwrap();
        let at = |name: &str| prefix.path().join(name);
        let ours = ["bin/vrift", "bin/vriftd", "lib/vrift/libvrift_shim.so", "lib/vrift/vrift-timed"];
        let described =
            ["share/man/man1/vrift.1", "share/man/man1/vrift-run.1", "share/zsh/site-functions/_vrift"];
        let others = ["bin/make", "share/man/man1/vriftless.1", "lib/vrift/notes"];
        for name in ours.iter().chain(&described).chain(&others) {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), "").unwrap();
        }
        undo(prefix.path()).unwrap();
        assert!(others.iter().all(|name| at(name).exists()));
        assert!(ours.iter().chain(&described).all(|name| !at(name).exists()));
        assert!(!at("share/zsh").exists(), "folders that are empty now go as well");
        let error = undo(prefix.path()).unwrap_err().to_string();
        assert!(error.contains("has no vrift"), "{error}");
    }
}
