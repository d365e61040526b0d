//! `cargo xtask guest`: a small Linux guest with vrift in it, made of Debian's packages without being root.
//!
//! Lives here: which packages and files go into the image. How the guest is run is the business of `tests/qemu`.

mod cpio;
mod debs;
mod image;
mod modules;

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::{packages, process, workspace};

/// Where the packages, their files and the image are kept.
pub fn folder() -> PathBuf {
    workspace::target().join("guest")
}

/// Makes what is not up to date: kernel and initramfs in [`folder`].
pub fn make() -> Result<()> {
    packages::ensure_guest()?;
    let unpacked = debs::unpacked(&folder())?;
    let image = image::make(&folder(), &unpacked)?;
    println!("{}\n{}", image.kernel.display(), image.initramfs.display());
    Ok(())
}

/// Makes the image and runs the guest once; `args` go to the program that does it.
pub fn run(args: &[String]) -> Result<()> {
    make()?;
    process::check(&mut process::cargo(&["build", "--release", "--locked", "-p", "vrift-guest"]))?;
    let mut command = process::program(workspace::release().join("guest-tests"));
    command.arg("--image").arg(folder()).arg("boot").args(args);
    command.stdin(std::process::Stdio::inherit());
    if !command.status()?.success() {
        bail!("the guest did not do what it was to do");
    }
    Ok(())
}
