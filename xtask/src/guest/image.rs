//! The initramfs: the packages' files that are of use, our binaries, the program that tests them, a C project.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::cpio::Archive;
use super::modules;
use crate::{process, workspace};

pub struct Image {
    pub kernel: PathBuf,
    pub initramfs: PathBuf,
}

/// Folders of the packages that nobody in the guest reads.
const LEFT_OUT: [&str; 8] = [
    "boot",
    "lib/modules",
    "usr/share",
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/lib/x86_64-linux-gnu/audit",
    "usr/include/drm",
    "usr/include/sound",
    "usr/include/rdma",
];
/// Time zones that the tests set.
const ZONES: [&str; 2] = ["Asia/Tokyo", "Europe/Berlin"];
/// Static libraries that are linked all the same: the compiler's own, and what the scripts `libc.so` and `libm.so` name.
const STATIC_LIBRARIES: [&str; 3] = ["libc_nonshared.a", "libmvec_nonshared.a", "libtcc1.a"];
/// Programs of the tests, from `tests/qemu`, and the benchmark of the drivers.
const TEST_PROGRAMS: [&str; 2] = ["guest-selftest", "vrift-blkbench"];
/// Folders that mounts need, or programs; the packages bring those around them.
const FOLDERS: [&str; 13] = [
    "dev",
    "proc",
    "sys",
    "tmp",
    "run",
    "root",
    "modules",
    "usr/local",
    "usr/local/bin",
    "usr/share",
    "usr/share/zoneinfo",
    "usr/share/zoneinfo/Asia",
    "usr/share/zoneinfo/Europe",
];

/// Makes both.
pub fn make(folder: &Path, unpacked: &Path) -> Result<Image> {
    let binaries = binaries()?;
    let mut archive = Archive::default();
    add_tree(&mut archive, unpacked, "")?;
    for name in FOLDERS {
        archive.directory(name);
    }
    archive.character_device("dev/console", 5, 1);
    for zone in ZONES {
        let inside = format!("usr/share/zoneinfo/{zone}");
        archive.file(&inside, 0o644, &fs::read(unpacked.join(&inside))?);
    }
    archive.symlink("bin/sh", "dash");
    for applet in applets(unpacked)? {
        archive.symlink(&format!("usr/local/bin/{applet}"), "/bin/busybox");
    }
    archive.symlink("usr/bin/cc", "tcc");
    let names = workspace::PROGRAMS.into_iter().chain(workspace::SERVICES).chain(TEST_PROGRAMS);
    for name in names.chain([workspace::SHIM]) {
        let bytes = stripped(folder, &binaries.join(name))?;
        archive.file(&format!("usr/local/bin/{name}"), 0o755, &bytes);
    }
    let qemu = workspace::root().join("tests/qemu");
    archive.file("init", 0o755, &fs::read(qemu.join("init"))?);
    add_tree_as(&mut archive, &qemu.join("project"), "project")?;

    let (version, kernel) = kernel(unpacked)?;
    let mut list = String::new();
    for (number, file) in modules::in_order(&unpacked.join("lib/modules").join(version))?.iter().enumerate() {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        archive.file(&format!("modules/{name}"), 0o644, &fs::read(file)?);
        list.push_str(&format!("{number} {name}\n"));
    }
    archive.file("modules/order", 0o644, list.as_bytes());

    let image = Image { kernel: folder.join("vmlinuz"), initramfs: folder.join("initramfs.cpio") };
    replace(&image.kernel, &fs::read(kernel)?)?;
    replace(&image.initramfs, &archive.finish())?;
    Ok(image)
}

/// The folder of the binaries: optimised ones, built now, unless VRIFT_BIN_DIR names others that are there.
fn binaries() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("VRIFT_BIN_DIR") {
        return Ok(workspace::root().join(folder));
    }
    crate::build::release()?;
    process::check(&mut process::cargo(&["build", "--release", "--locked", "-p", "vrift-guest"]))?;
    process::check(&mut process::cargo(&["build", "--release", "--locked", "-p", "vrift-virtio-backend"]))?;
    Ok(workspace::release())
}

/// A guest that is starting reads either the old or the new one.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, bytes).with_context(|| format!("cannot write {}", beside.display()))?;
    fs::rename(&beside, path).with_context(|| format!("cannot write {}", path.display()))
}

/// Version and file of the kernel.
fn kernel(unpacked: &Path) -> Result<(String, PathBuf)> {
    for entry in fs::read_dir(unpacked.join("boot"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(version) = name.strip_prefix("vmlinuz-") {
            return Ok((version.to_string(), path));
        }
    }
    anyhow::bail!("the kernel's package has no /boot/vmlinuz-*")
}

fn applets(unpacked: &Path) -> Result<Vec<String>> {
    let text = process::output(process::program(unpacked.join("bin/busybox")).arg("--list"))?;
    // dash is the shell.
    Ok(text.lines().filter(|name| *name != "sh" && *name != "busybox").map(str::to_string).collect())
}

/// The file without its debug information, which is several times its size.
fn stripped(folder: &Path, file: &Path) -> Result<Vec<u8>> {
    let out = folder.join("stripped");
    let mut strip = process::program("strip");
    strip.arg("--strip-debug").arg("-o").arg(&out).arg(file);
    process::output(&mut strip)?;
    Ok(fs::read(out)?)
}

fn add_tree(archive: &mut Archive, root: &Path, below: &str) -> Result<()> {
    for (name, path) in sorted(&root.join(below))? {
        let inside = if below.is_empty() { name } else { format!("{below}/{name}") };
        let unused = inside.ends_with(".a") && !STATIC_LIBRARIES.iter().any(|keep| inside.ends_with(keep));
        if LEFT_OUT.contains(&inside.as_str()) || unused {
            continue;
        }
        if add(archive, &path, &inside)? {
            add_tree(archive, root, &inside)?;
        }
    }
    Ok(())
}

fn add_tree_as(archive: &mut Archive, from: &Path, inside: &str) -> Result<()> {
    archive.directory(inside);
    for (name, path) in sorted(from)? {
        let inside = format!("{inside}/{name}");
        if add(archive, &path, &inside)? {
            add_tree_as(archive, &path, &inside)?;
        }
    }
    Ok(())
}

/// True: it is a directory.
fn add(archive: &mut Archive, path: &Path, inside: &str) -> Result<bool> {
    let stat = fs::symlink_metadata(path)?;
    if stat.is_dir() {
        archive.directory(inside);
    } else if stat.is_symlink() {
        archive.symlink(inside, &fs::read_link(path)?.to_string_lossy());
    } else {
        archive.file(inside, stat.permissions().mode(), &fs::read(path)?);
    }
    Ok(stat.is_dir())
}

fn sorted(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        entries.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    entries.sort();
    Ok(entries)
}
