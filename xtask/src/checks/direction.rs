//! Who may depend on whom, read from cargo's own resolution of each package alone.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::{process, workspace};

/// Each crate and the crates of ours that it may name. A new crate must be put here first.
const ALLOWED: [(&str, &[&str]); 16] = [
    ("vrift-protocol", &[]),
    ("vrift-manifest", &["vrift-protocol"]),
    ("statefs-journal", &[]),
    ("vrift-cas", &["statefs-journal"]),
    ("vrift-virtio-backend", &["statefs-journal"]),
    ("vrift-shim", &["vrift-protocol", "vrift-manifest"]),
    (
        "vrift-daemon",
        &["vrift-protocol", "vrift-manifest", "vrift-cas", "statefs-journal", "vrift-virtio-backend"],
    ),
    ("vrift-cli", &["vrift-protocol", "vrift-secret"]),
    // What services give up; knows nothing of vrift.
    ("vrift-confine", &[]),
    // How secrets are sealed; bytes to bytes.
    ("vrift-secret", &[]),
    ("vrift-service", &["vrift-protocol", "vrift-confine"]),
    // Measures the store beside others of its kind.
    ("vrift-benches", &["statefs-journal"]),
    ("vrift-sequences", &[]),
    // In the guest, a client like others.
    ("vrift-guest", &["vrift-protocol"]),
    ("vrift-fuzz", &["vrift-protocol", "vrift-manifest", "statefs-journal"]),
    ("xtask", &[]),
];

/// Services speak to the daemon and to nothing else.
const SERVICE_ALLOWED: &[&str] = &["vrift-protocol", "vrift-secret", "vrift-service"];

/// Only the daemon opens the store: nobody else may reach these, not even through others.
const STORAGE: [&str; 3] = ["statefs-journal", "vrift-cas", "vrift-virtio-backend"];
const MAY_REACH_STORAGE: [&str; 6] =
    ["vrift-daemon", "vrift-cas", "statefs-journal", "vrift-virtio-backend", "vrift-benches", "vrift-fuzz"];

pub fn broken() -> Result<Vec<String>> {
    let mut broken = Vec::new();
    let members = members()?;
    for (name, folder) in &members {
        let allowed = match ALLOWED.iter().find(|(known, _)| known == name) {
            Some((_, allowed)) => *allowed,
            None if folder.starts_with("services/") => SERVICE_ALLOWED,
            None => {
                broken.push(format!("{name} is not in xtask/src/checks/direction.rs"));
                continue;
            }
        };
        let ours =
            |names: BTreeSet<String>| names.into_iter().filter(|n| members.iter().any(|(m, _)| m == n));
        for direct in ours(tree(name, "1")?).filter(|n| n != name && !allowed.contains(&n.as_str())) {
            broken.push(format!("{name} depends on {direct}"));
        }
        if !MAY_REACH_STORAGE.contains(&name.as_str()) {
            for reached in ours(tree(name, "64")?).filter(|n| STORAGE.contains(&n.as_str())) {
                broken.push(format!("{name} reaches {reached}"));
            }
        }
    }
    Ok(broken)
}

/// Packages of the workspace with their folders, by name.
fn members() -> Result<Vec<(String, String)>> {
    let root = workspace::root().display().to_string();
    let text = process::output(&mut process::cargo(&[
        "tree",
        "--locked",
        "--workspace",
        "--depth",
        "0",
        "--prefix",
        "none",
        "--no-dedupe",
    ]))?;
    let mut members = Vec::new();
    for line in text.lines() {
        let (Some(name), Some((_, place))) = (line.split(' ').next(), line.split_once(&format!("({root}/")))
        else {
            continue;
        };
        members.push((name.to_string(), place.split(')').next().unwrap_or_default().to_string()));
    }
    anyhow::ensure!(!members.is_empty(), "`cargo tree` names no package of this workspace");
    Ok(members)
}

/// Names of all packages that `package` is built with, itself included, down to `depth`.
fn tree(package: &str, depth: &str) -> Result<BTreeSet<String>> {
    let text = process::output(&mut process::cargo(&[
        "tree",
        "--locked",
        "-p",
        package,
        "--edges",
        "normal,build",
        "--depth",
        depth,
        "--prefix",
        "none",
    ]))?;
    Ok(text.lines().filter_map(|line| line.split(' ').next()).map(str::to_string).collect())
}
