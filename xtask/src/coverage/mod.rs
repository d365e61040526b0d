//! Which C functions the preload library takes over: `shim/table` against the built library, the machine's C
//! library and docs/coverage.md.

mod exports;
mod page;
#[path = "../../../shim/table/parse.rs"]
mod parse;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};

use crate::workspace;
use parse::Group;

/// The compiler's own name, which core's unwind tables ask for.
const NOT_HOOKS: [&str; 1] = ["rust_eh_personality"];

/// The tables.
struct Tables {
    hooks: Vec<Group>,
    reasons: Vec<Group>,
    /// System calls by number; the first group are those that go to hooks.
    calls: Vec<Group>,
}

impl Tables {
    fn read() -> Result<Tables> {
        Ok(Tables { hooks: table("hooks.txt")?, reasons: table("libc.txt")?, calls: table("syscalls.txt")? })
    }

    fn hooked(&self) -> BTreeSet<&str> {
        parse::names(&self.hooks).collect()
    }

    fn excused(&self) -> BTreeSet<&str> {
        parse::names(&self.reasons).collect()
    }
}

fn table(name: &str) -> Result<Vec<Group>> {
    let path = workspace::root().join("shim/table").join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    parse::groups(&text).map_err(|error| anyhow!("{}: {error}", path.display()))
}

fn page_path() -> PathBuf {
    workspace::root().join("docs/coverage.md")
}

/// `cargo xtask coverage`: writes the page.
pub fn write() -> Result<()> {
    let path = page_path();
    fs::write(&path, page::text(&Tables::read()?))?;
    println!("{}", path.display());
    Ok(())
}

/// `cargo xtask coverage --check`: everything there is to compare; the library must be built.
pub fn check() -> Result<()> {
    let mut broken = page_differs()?;
    broken.extend(names_twice()?);
    broken.extend(without_reason()?);
    broken.extend(calls_without_reason()?);
    broken.extend(exports_differ()?);
    broken.extend(first_is_lost()?);
    if !broken.is_empty() {
        bail!("shim/table does not hold:\n  {}", broken.join("\n  "));
    }
    println!(
        "  holds: the table of hooks, docs/coverage.md, the library's exports, the C library's functions"
    );
    Ok(())
}

/// Rule: the page is what [`write`] writes.
pub fn page_differs() -> Result<Vec<String>> {
    let wanted = page::text(&Tables::read()?);
    let same = fs::read_to_string(page_path()).is_ok_and(|found| found == wanted);
    Ok(if same { vec![] } else { vec!["docs/coverage.md is out of date: cargo xtask coverage".into()] })
}

/// Rule: a name is in one of the tables, and there once.
pub fn names_twice() -> Result<Vec<String>> {
    let tables = Tables::read()?;
    let mut seen = BTreeSet::new();
    let mut calls = BTreeSet::new();
    let functions = parse::names(&tables.hooks).chain(parse::names(&tables.reasons));
    let twice = functions
        .filter(|name| !seen.insert(*name))
        .chain(parse::names(&tables.calls).filter(|name| !calls.insert(*name)));
    Ok(twice.map(|name| format!("{name} is in shim/table twice")).collect())
}

/// Rule: each function of the machine's C library has a hook or a reason for having none.
pub fn without_reason() -> Result<Vec<String>> {
    let tables = Tables::read()?;
    let (hooked, excused) = (tables.hooked(), tables.excused());
    let functions = exports::functions(&exports::c_library()?)?;
    let known = |name: &str| hooked.contains(name) || excused.contains(name);
    Ok(functions
        .iter()
        .filter(|name| !known(name))
        .map(|name| format!("{name} of the C library has neither a hook nor a reason in shim/table/libc.txt"))
        .collect())
}

/// Rule: each system call that the kernel's headers of this machine number is in its table.
fn calls_without_reason() -> Result<Vec<String>> {
    /// Hooks that only make something quicker: the call without them does the same.
    const QUICKER: &[&str] = &["fork"];
    const HEADER: &str = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";
    let text = fs::read_to_string(HEADER).with_context(|| format!("cannot read {HEADER}: linux-libc-dev"))?;
    let tables = Tables::read()?;
    let known: BTreeSet<&str> = parse::names(&tables.calls).collect();
    let hooked = tables.hooked();
    let handed: BTreeSet<&str> = parse::names(tables.calls.get(..1).unwrap_or(&[])).collect();
    let forgotten = known
        .iter()
        .filter(|name| hooked.contains(**name) && !handed.contains(**name) && !QUICKER.contains(*name))
        .map(|name| format!("{name} has a hook, to which shim/table/syscalls.txt does not hand it"));
    let numbered = text.lines().filter_map(|line| line.strip_prefix("#define __NR_")?.split(' ').next());
    Ok(numbered
        .filter(|name| !known.contains(name))
        .map(|name| format!("the system call {name} is not in shim/table/syscalls.txt"))
        .chain(forgotten)
        .collect())
}

/// Rule: most lines of shim/table/first.txt put a function in front. One that was inlined is no fault; when none is there, the
/// compiler names functions otherwise by now.
fn first_is_lost() -> Result<Vec<String>> {
    let path = workspace::root().join("shim/table/first.txt");
    let list = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines: Vec<&str> =
        list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let there = exports::in_section(&workspace::release().join(workspace::SHIM), ".text.first")?;
    let has = |line: &&&str| {
        let name = line.trim_end_matches('*').trim_end_matches("::");
        let parts: Vec<&str> = name.split("::").collect();
        let is_whole = parts.len() == 1 && !line.ends_with('*');
        there.iter().any(|symbol| match is_whole {
            true => symbol == name,
            false => parts.iter().all(|part| symbol.contains(part)),
        })
    };
    let found = lines.iter().filter(has).count();
    let is_lost = found * 2 < lines.len();
    Ok(is_lost
        .then(|| format!("{found} of {} lines of shim/table/first.txt have a function in front", lines.len()))
        .into_iter()
        .collect())
}

/// Rule: the built library exports the functions of the table and nothing else.
pub fn exports_differ() -> Result<Vec<String>> {
    let tables = Tables::read()?;
    let wanted = tables.hooked();
    let exported = exports::functions(&workspace::release().join(workspace::SHIM))?;
    let missing = wanted.iter().filter(|name| !exported.contains(**name));
    let more = exported.iter().filter(|name| {
        let name = name.as_str();
        !wanted.contains(name) && !NOT_HOOKS.contains(&name)
    });
    Ok(missing
        .map(|name| format!("{name} is in shim/table/hooks.txt, but not exported"))
        .chain(more.map(|name| format!("{name} is exported, but not in shim/table/hooks.txt")))
        .collect())
}
