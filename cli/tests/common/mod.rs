//! What the tests share: the binary, with a state folder and a runtime folder of its own and no daemon.
// Each test file is a program of its own and uses a part of this.
#![allow(dead_code)]

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output};

pub struct Vrift {
    pub dir: tempfile::TempDir,
}

impl Vrift {
    pub fn new() -> Vrift {
        Vrift { dir: tempfile::tempdir().unwrap() }
    }

    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vrift"));
        for name in ["LD_PRELOAD", "VRIFT_VIEW", "VRIFT_RUNTIME", "VRIFT_WORKSPACE"] {
            command.env_remove(name);
        }
        command.env("VRIFT_HOME", self.home()).env("XDG_RUNTIME_DIR", self.dir.path().join("run"));
        command.current_dir(self.dir.path());
        command
    }

    pub fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        self.command().args(args).output().unwrap()
    }
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// An error as the contract wants it: this exit code, and one to three lines on stderr that name `named`.
pub fn assert_refused(output: &Output, code: i32, named: &str) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!((1..=3).contains(&said.lines().count()), "{said}");
    assert!(said.contains(named), "{named} is not in: {said}");
    assert!(output.stdout.is_empty(), "{}", stdout(output));
}
