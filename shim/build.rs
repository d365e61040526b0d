//! Linker settings of the preload library: every process start pays for each segment that is mapped. And the
//! tables of hooks as macros that the compiler checks each hook with.

#[path = "table/parse.rs"]
#[expect(dead_code, reason = "headings and notes are for the documentation")]
mod parse;

use std::{env, fs, path::Path};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=table");
    hold_to_tables();
    for argument in [
        // One read-execute and one read-write segment; nothing here changes after relocation that an attacker
        // could use and a second mprotect(2) would guard.
        // GNU ld is there wherever gcc is, and only it can put all that is read-only into one segment.
        "-fuse-ld=bfd",
        "-Wl,-z,noseparate-code",
        "-Wl,-z,norelro",
        "-Wl,--hash-style=gnu",
        "-Wl,-Bsymbolic",
        "-Wl,--as-needed",
        // Its constructor is in .init_array; the C start files would add functions that do nothing here.
        "-nostartfiles",
    ] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}

/// `listed!(NAME)`, which `hook!` uses, and `listed_call!(SYS_NAME)` compile for the names of the tables alone. That
/// each name has a hook is seen in the library's exports: `cargo xtask coverage --check`.
fn hold_to_tables() {
    let hooks = read("table/hooks.txt");
    let calls = read("table/syscalls.txt");
    let numbers: Vec<String> = parse::names(&calls[..1]).map(|name| format!("SYS_{name}")).collect();
    let text = [
        macro_of("listed", parse::names(&hooks)),
        macro_of("listed_call", numbers.iter().map(String::as_str)),
        format!("pub(crate) const CALLS_LISTED: usize = {};\n", numbers.len()),
    ];
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("listed.rs"), text.concat()).expect("OUT_DIR can be written");
}

fn read(path: &str) -> Vec<parse::Group> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    parse::groups(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A macro that takes these names and gives nothing.
fn macro_of<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> String {
    let arms: String = names.map(|name| format!("    ({name}) => {{}};\n")).collect();
    format!("macro_rules! {name} {{\n{arms}}}\n")
}
