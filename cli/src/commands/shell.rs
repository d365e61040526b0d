//! `vrift shell`: an interactive shell in the view.

use super::run::{InView, enter};
use crate::error::{CliError, Result};
use crate::session::Session;
use crate::target::{Place, Which};
use crate::times::RunTimes;
use clap::Args;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Start-up file that bash gets instead of ~/.bashrc, in the workspace's runtime folder.
const BASH_RC_FILE: &str = "bashrc";
const BASH_RC: &str = "\
if [ -r ~/.bashrc ]; then . ~/.bashrc; fi
PS1=\"(vrift \\$VRIFT_WORKSPACE) $PS1\"
";

/// Starts an interactive shell ($SHELL) in the view
///
/// The prompt begins with (vrift W) in bash, which reads ~/.bashrc as usual, and in shells that take PS1 from the
/// environment (dash, ksh). Others, zsh and fish among them, can show $VRIFT_WORKSPACE in their own prompt. No
/// file of yours is changed.
#[derive(Args, Debug)]
pub struct Shell {
    #[command(flatten)]
    pub which: Which,
    #[command(flatten)]
    pub place: Place,
}

impl Shell {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let started = Instant::now();
        let shell =
            env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into());
        let mut session = Session::open(quiet)?;
        let (view, cwd) = enter(&mut session, &self.which, &self.place, true, quiet)?;
        let name = Path::new(&shell).file_name().unwrap_or_default().to_owned();
        let prompt = format!("(vrift {}) $ ", view.workspace);
        let mut command = vec![shell];
        if name == "bash" {
            command.extend([OsString::from("--rcfile"), bash_rc(&view.runtime.to_path_buf())?.into()]);
        }
        command.push("-i".into());
        let times = RunTimes::of(&mut session, &view.workspace)?;
        InView { session, view, cwd, quiet, started, strict: None, times }
            .run(&command, &[("PS1", prompt.into())])
    }
}

fn bash_rc(runtime: &Path) -> Result<PathBuf> {
    let path = runtime.join(BASH_RC_FILE);
    // Its text never changes: one that is there is right, and another shell may be reading it.
    if !fs::read(&path).is_ok_and(|text| text == BASH_RC.as_bytes()) {
        fs::write(&path, BASH_RC).map_err(|source| CliError::Runtime { path: path.clone(), source })?;
    }
    Ok(path)
}
