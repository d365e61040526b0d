//! Linker settings of the preload library: every process start pays for each segment that is mapped. And the list
//! of hooks, table/hooks.txt, as a macro that the compiler checks each hook with.

#[path = "table/parse.rs"]
#[expect(dead_code, reason = "headings and notes are for the documentation")]
mod parse;

use std::{env, fs, path::Path};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=table");
    hold_to_table();
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

/// `listed!(NAME)`, which `hook!` uses, compiles for the names of the table alone. That each of them has a hook is
/// seen in the library's exports: `cargo xtask coverage --check`.
fn hold_to_table() {
    let text = fs::read_to_string("table/hooks.txt").expect("table/hooks.txt");
    let groups = parse::groups(&text).expect("table/hooks.txt");
    let mut listed = String::from("macro_rules! listed {\n");
    for name in parse::names(&groups) {
        listed.push_str(&format!("    ({name}) => {{}};\n"));
    }
    listed.push_str("}\n");
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("listed.rs"), listed).expect("OUT_DIR can be written");
}
