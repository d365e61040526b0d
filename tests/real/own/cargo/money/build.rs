// SPDX-License-Identifier: MIT OR Apache-2.0
//! Generates a table and compiles a C file into a static library.
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    let rates = fs::read_to_string("rates.txt").unwrap();
    let rows: String = rates
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(code, cents)| format!("(\"{code}\", {cents}),\n"))
        .collect();
    fs::write(out.join("rates.rs"), format!("pub const RATES: &[(&str, u64)] = &[\n{rows}];\n")).unwrap();
    run(Command::new("gcc").args(["-O2", "-c", "src/round.c", "-o"]).arg(out.join("round.o")));
    run(Command::new("ar").arg("crsD").arg(out.join("libround.a")).arg(out.join("round.o")));
    println!("cargo:rustc-link-search=native={}", out.display());
    println!("cargo:rustc-link-lib=static=round");
    println!("cargo:rerun-if-changed=rates.txt");
    println!("cargo:rerun-if-changed=src/round.c");
}
