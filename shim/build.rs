//! Linker settings of the preload library: every process start pays for each segment that is mapped. And the
//! tables of hooks as macros that the compiler checks each hook with.

#[path = "table/parse.rs"]
#[expect(dead_code, reason = "headings and notes are for the documentation")]
mod parse;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs};

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
    println!("cargo:rustc-cdylib-link-arg=-Wl,-T,{}", layout().display());
}

/// A script for the linker that puts what most processes need in front: the constants, and the functions of
/// table/first.txt. INSERT adds it to the linker's own.
fn layout() -> PathBuf {
    let list =
        fs::read_to_string("table/first.txt").unwrap_or_else(|error| panic!("table/first.txt: {error}"));
    let names = list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let functions: String = names.map(|name| format!("    *({})\n", section_of(name))).collect();
    let text = format!(
        "SECTIONS {{\n  .rodata : {{ *(.rodata .rodata.*) }}\n  .text.first : {{\n{functions}  }}\n}}\nINSERT BEFORE .text;\n"
    );
    let path = Path::new(&out_dir()).join("layout.ld");
    fs::write(&path, text).expect("OUT_DIR can be written");
    path
}

/// The section of a function by its name: a C function's, or that of Rust's first mangling, which ends with a hash.
fn section_of(name: &str) -> String {
    let (name, end) = name.strip_suffix('*').map_or((name, "17h*"), |beginning| (beginning, "*"));
    if !name.contains("::") {
        return format!(".text.{name}");
    }
    let part = |part: &str| match part {
        "" => String::new(),
        part => format!("{}{part}", part.len()),
    };
    let mangled: String = name.split("::").map(part).collect();
    // Of a name that goes on, the length is not known.
    let mangled = match (end, name.rsplit("::").next()) {
        ("*", Some(last)) if !last.is_empty() => {
            let kept = mangled.len() - part(last).len();
            format!("{}*{last}", &mangled[..kept])
        }
        _ => mangled,
    };
    // Also of what is marked as cold, for other processes' sake.
    format!(".text*_ZN{mangled}{end}")
}

fn out_dir() -> OsString {
    env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")
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
    fs::write(Path::new(&out_dir()).join("listed.rs"), text.concat()).expect("OUT_DIR can be written");
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
