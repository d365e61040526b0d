//! The programs from Debian packages that the tests use.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// A program that must be on the path, and the package that brings it.
const NEEDED: &[(&str, &str)] = &[
    ("gcc", "gcc"),
    ("make", "make"),
    ("git", "git"),
    ("patch", "patch"),
    ("bzip2", "bzip2"),
    ("xz", "xz-utils"),
    ("strace", "strace"),
    ("python3", "python3"),
    ("inotifywait", "inotify-tools"),
    ("setpriv", "util-linux"),
    ("dpkg-source", "dpkg-dev"),
    ("awk", "mawk"),
    ("busybox", "busybox-static"),
    ("musl-gcc", "musl-tools"),
    ("setcap", "libcap2-bin"),
    ("valgrind", "valgrind"),
    ("zsh", "zsh"),
    ("fish", "fish"),
    // tests/real
    ("g++", "g++"),
    ("cmake", "cmake"),
    ("ninja", "ninja-build"),
    ("meson", "meson"),
    ("ccache", "ccache"),
    ("rsync", "rsync"),
    ("vim", "vim"),
    ("nano", "nano"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("dh", "debhelper"),
    ("fakeroot", "fakeroot"),
    // tests/suites
    ("fio", "fio"),
    ("dbench", "dbench"),
    ("patchelf", "patchelf"),
    ("python3.11", "python3.11"),
    ("go", "golang-go"),
];

/// A file that must be there, and the package that brings it: another Python may come first on the path.
const NEEDED_FILES: &[(&str, &str)] = &[
    ("/usr/bin/python3", "python3"),
    ("/usr/share/i18n/locales/tr_TR", "locales"),
    ("/usr/bin/python3-config", "python3-dev"),
    ("/usr/lib/python3/dist-packages/setuptools", "python3-setuptools"),
    ("/usr/lib/python3/dist-packages/wheel", "python3-wheel"),
    ("/usr/include/node/node_api.h", "libnode-dev"),
    ("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2", "libjemalloc2"),
    ("/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
    ("/usr/lib/x86_64-linux-gnu/libeatmydata.so", "libeatmydata1"),
    ("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "libfaketime"),
    ("/usr/lib/python3.11/test/test_os.py", "libpython3.11-testsuite"),
];

/// What `cargo xtask guest` and tests/qemu need on this machine; what the guest consists of is only unpacked.
const GUEST: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("dpkg-deb", "dpkg"),
    ("apt-get", "apt"),
    ("strip", "binutils"),
];

/// What tests/browser needs: some 300 MB with what it brings, so only the long tests ask for it.
const BROWSER: &[(&str, &str)] = &[("chromium", "chromium")];

/// What tests/package needs beside dpkg.
const PACKAGE: &[(&str, &str)] = &[("systemd-socket-activate", "systemd"), ("systemd-analyze", "systemd")];

/// Installs what is missing when that is allowed; otherwise names the line that does.
pub fn ensure() -> Result<()> {
    install(NEEDED, NEEDED_FILES)
}

/// The same for the browser.
pub fn ensure_browser() -> Result<()> {
    install(BROWSER, &[])
}

/// The same for the test of our own package.
pub fn ensure_package() -> Result<()> {
    install(PACKAGE, &[])
}

/// The same for the guest.
pub fn ensure_guest() -> Result<()> {
    install(GUEST, &[])
}

fn install(programs: &[(&str, &str)], files: &[(&str, &str)]) -> Result<()> {
    let programs = programs.iter().filter(|(tool, _)| !on_path(tool));
    let files = files.iter().filter(|(file, _)| !Path::new(file).exists());
    let missing: Vec<&str> = programs.chain(files).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let line = format!("apt-get install --yes --no-install-recommends {}", missing.join(" "));
    if !on_path("apt-get") || process::output(Command::new("id").arg("-u"))?.trim() != "0" {
        bail!("programs are missing; run as root: {line}");
    }
    let mut apt = process::program("sh");
    apt.arg("-c").arg(format!("apt-get update --quiet && {line}")).env("DEBIAN_FRONTEND", "noninteractive");
    process::check(&mut apt)
}

fn on_path(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps some of them where only root's path looks.
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|dir| dir.join(tool).is_file())
}
