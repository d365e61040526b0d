//! Has the unwinder linked into the program, where the C compiler has it as a library for that: loading libgcc_s would be a
//! twentieth of what a run of a small command takes.

use std::path::Path;
use std::process::Command;

const UNWINDER: &str = "libgcc_eh.a";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let found = Command::new(compiler).arg(format!("-print-file-name={UNWINDER}")).output();
    // Without an answer it is a library of its own, as it is for other programs.
    let found = found.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string());
    if let Ok(path) = found
        && let Some(dir) = Path::new(&path).parent().filter(|dir| dir.join(UNWINDER).is_file())
    {
        println!("cargo:rustc-link-search=native={}", dir.display());
        println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
    }
}
