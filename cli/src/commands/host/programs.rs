//! Programs of PATH that the preload library cannot reach, by name; and whether this one can hand the library on at all.

use super::check;
use crate::program::{Reach, reach};
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use vrift_protocol::admin::Check;

/// Of each kind so many are named.
const NAMED_MAX: usize = 6;
/// getauxval(3): the kernel gave this process other rights than its parent's.
const AT_SECURE: u64 = 23;

/// ld.so(8) ignores LD_PRELOAD in such a process, and takes it out of the environment.
pub fn secure_execution() -> Check {
    let auxv = fs::read("/proc/self/auxv").unwrap_or_default();
    let words: Vec<u64> =
        auxv.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default())).collect();
    let is_secure = words.chunks_exact(2).any(|pair| pair[0] == AT_SECURE && pair[1] != 0);
    let detail = match is_secure {
        true => "vrift itself runs with other rights than its parent: LD_PRELOAD is ignored",
        false => "vrift runs with its user's own rights",
    };
    check(
        "secure execution",
        !is_secure,
        detail.into(),
        "remove set-user-ID bits and capabilities from vrift",
    )
}

/// What works on a copy of the workspace instead of in the view.
pub fn on_path() -> Vec<Check> {
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let path = env::var_os("PATH").unwrap_or_default();
    let mut seen = std::collections::HashSet::new();
    for dir in env::split_paths(&path).filter_map(|dir| dir.canonicalize().ok()) {
        if !seen.insert(dir.clone()) {
            continue;
        }
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let kind = match reach(&entry.path()) {
                Ok(Reach::OtherRights) => "set-user-ID",
                Ok(Reach::NoLoader) => "static",
                _ => continue,
            };
            found.entry(kind).or_default().push(crate::text::escape(entry.file_name().as_bytes()));
        }
    }
    let row = |kind: &str, what: &str| {
        let mut names = found.get(kind).cloned().unwrap_or_default();
        names.sort();
        let count = names.len();
        names.truncate(NAMED_MAX);
        let more = if count > NAMED_MAX { ", ..." } else { "" };
        let detail = match count {
            0 => format!("no program of PATH {what}"),
            1 => format!("1 program of PATH {what}: {}", names.join(", ")),
            _ => format!("{count} programs of PATH {what}: {}{more}", names.join(", ")),
        };
        let remedy = (count > 0).then(|| "they work on a copy of the workspace, not in the view".to_string());
        Check { name: format!("{kind} programs"), ok: true, detail, remedy }
    };
    vec![
        row("set-user-ID", "with other rights (set-user-ID, capabilities)"),
        row("static", "without a loader that takes the library (static, Go)"),
    ]
}
