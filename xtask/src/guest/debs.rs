//! Debian packages as the machine's own apt configuration has them: fetched once and unpacked, not installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::process;

/// The package that depends on the newest kernel.
const KERNEL: &str = "linux-image-cloud-amd64";
/// What the guest is made of besides the kernel. A shell and tools that are dynamically linked: the preload library
/// must reach them.
const PACKAGES: [&str; 9] =
    ["busybox", "dash", "libc6", "libc6-dev", "libgcc-s1", "linux-libc-dev", "make", "tcc", "tzdata"];

/// A package file, as `apt-get download --print-uris` names it.
struct Deb {
    /// With the version in it, so that another version is another file.
    name: String,
    len_bytes: u64,
}

/// The folder into which the packages were unpacked.
pub fn unpacked(folder: &Path) -> Result<PathBuf> {
    let cache = folder.join("debs");
    fs::create_dir_all(&cache)?;
    let apt = Apt::with_lists(folder)?;
    let mut wanted = vec![apt.kernel()?];
    wanted.extend(PACKAGES.map(str::to_string));
    let debs = apt.named(&wanted)?;
    let there = |deb: &Deb| fs::metadata(cache.join(&deb.name)).is_ok_and(|file| file.len() == deb.len_bytes);
    if !debs.iter().all(there) {
        let mut download = apt.command("apt-get");
        download.arg("download").args(&wanted).current_dir(&cache);
        process::check(&mut download)?;
        if let Some(deb) = debs.iter().find(|deb| !there(deb)) {
            bail!("apt-get fetched everything, but {} is not there as it was announced", deb.name);
        }
    }
    let root = folder.join("root");
    let list: String = debs.iter().map(|deb| format!("{}\n", deb.name)).collect();
    let stamp = folder.join("root.list");
    if fs::read_to_string(&stamp).is_ok_and(|made| made == list) {
        return Ok(root);
    }
    let _ = fs::remove_file(&stamp);
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    fs::create_dir_all(&root)?;
    for deb in &debs {
        let mut unpack = process::program("dpkg-deb");
        process::check(unpack.arg("--extract").arg(cache.join(&deb.name)).arg(&root))?;
    }
    fs::write(&stamp, list)?;
    Ok(root)
}

/// apt's tools with lists of packages, which are the machine's own or ones fetched for us.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    /// A machine whose lists were never fetched (a fresh container) gets them in `folder`, which needs no root.
    fn with_lists(folder: &Path) -> Result<Apt> {
        // Without it, root's apt complains that its own user cannot write here.
        let quiet = vec!["APT::Sandbox::User=root".to_string()];
        let own = Apt { options: quiet.clone() };
        if own.kernel().is_ok_and(|kernel| own.named(&[kernel]).is_ok()) {
            return Ok(own);
        }
        let (state, cache) = (folder.join("apt/state"), folder.join("apt/cache"));
        fs::create_dir_all(state.join("lists/partial"))?;
        fs::create_dir_all(cache.join("archives/partial"))?;
        let mut options = quiet;
        options.push(format!("Dir::State={}", state.display()));
        options.push(format!("Dir::Cache={}", cache.display()));
        options.push("Dir::State::status=/var/lib/dpkg/status".into());
        let fetched = Apt { options };
        if fetched.kernel().is_err() {
            process::check(fetched.command("apt-get").args(["update", "--quiet"]))?;
        }
        Ok(fetched)
    }

    fn command(&self, tool: &str) -> Command {
        let mut command = process::program(tool);
        for option in &self.options {
            command.args(["-o", option]);
        }
        command
    }

    /// The kernel's real package.
    fn kernel(&self) -> Result<String> {
        let text = quiet(self.command("apt-cache").args(["depends", KERNEL]))?;
        let mut depends = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        let kernel = depends.find(|name| name.starts_with("linux-image-"));
        kernel.map(str::to_string).with_context(|| format!("apt knows no package {KERNEL}"))
    }

    /// Names and lengths of the package files of `packages`, in their order.
    fn named(&self, packages: &[String]) -> Result<Vec<Deb>> {
        let text = quiet(self.command("apt-get").args(["download", "--print-uris"]).args(packages))?;
        // 'URI' FILE LENGTH HASH
        let fields = text.lines().filter(|line| line.starts_with('\'')).map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let name = fields.next()?.to_string();
            Some(Deb { name, len_bytes: fields.next()?.parse().ok()? })
        });
        let debs: Option<Vec<Deb>> = fields.collect();
        let debs =
            debs.context("apt-get download --print-uris printed something else than it is documented to")?;
        ensure!(debs.len() == packages.len(), "apt finds only some of: {}", packages.join(" "));
        Ok(debs)
    }
}

fn quiet(command: &mut Command) -> Result<String> {
    let shown = process::shown(command);
    let output = command.output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}`: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}
