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

/// zsh reads this folder's files in the place of $ZDOTDIR's, and these read those.
const ZSH_DIR: &str = "zsh";
const ZSH_ENV: &str = "\
ZDOTDIR=\"$VRIFT_ZDOTDIR\"
[ -r \"$ZDOTDIR/.zshenv\" ] && . \"$ZDOTDIR/.zshenv\"
VRIFT_ZDOTDIR=\"$ZDOTDIR\"
ZDOTDIR=\"$VRIFT_ZSH_FILES\"
";
const ZSH_RC: &str = "\
ZDOTDIR=\"$VRIFT_ZDOTDIR\"
unset VRIFT_ZDOTDIR VRIFT_ZSH_FILES
[ -r \"$ZDOTDIR/.zshrc\" ] && . \"$ZDOTDIR/.zshrc\"
PROMPT=\"(vrift ${VRIFT_WORKSPACE//\\%/%%}) $PROMPT\"
";
/// Run by fish after its own start-up files.
const FISH_INIT: &str = "\
functions -q fish_prompt; or function fish_prompt; end
functions -c fish_prompt __vrift_fish_prompt
function fish_prompt; printf '(vrift %s) ' $VRIFT_WORKSPACE; __vrift_fish_prompt; end
";

/// Starts an interactive shell ($SHELL) in the view
///
/// The prompt begins with (vrift W) in bash, zsh and fish, which read your own files as usual, and in shells that take
/// PS1 from the environment (dash, ksh). No file of yours is changed.
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
        let mut session = Session::open_for_run(quiet)?;
        let (view, cwd) = enter(&mut session, &self.which, &self.place, true, quiet)?;
        let name = Path::new(&shell).file_name().unwrap_or_default().to_owned();
        let prompt = format!("(vrift {}) $ ", view.workspace);
        let mut command = vec![shell];
        let runtime = view.runtime.to_path_buf();
        let mut variables = vec![("PS1", OsString::from(prompt))];
        match name.to_str() {
            Some("bash") => {
                let rc = start_file(&runtime, BASH_RC_FILE, BASH_RC)?;
                command.extend([OsString::from("--rcfile"), rc.into()]);
            }
            Some("zsh") => {
                start_file(&runtime.join(ZSH_DIR), ".zshenv", ZSH_ENV)?;
                start_file(&runtime.join(ZSH_DIR), ".zshrc", ZSH_RC)?;
                let own = env::var_os("ZDOTDIR").filter(|dir| !dir.is_empty());
                variables = vec![
                    ("VRIFT_ZDOTDIR", own.or_else(|| env::var_os("HOME")).unwrap_or_default()),
                    ("VRIFT_ZSH_FILES", runtime.join(ZSH_DIR).into()),
                    ("ZDOTDIR", runtime.join(ZSH_DIR).into()),
                ];
            }
            Some("fish") => {
                variables.clear();
                command.extend([OsString::from("--init-command"), FISH_INIT.into()]);
            }
            _ => {}
        }
        command.push("-i".into());
        let times = RunTimes::of(&mut session, &view)?;
        InView { session, view, cwd, quiet, started, strict: None, times }.run(&command, &variables)
    }
}

fn start_file(dir: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = dir.join(name);
    // Its text never changes: one that is there is right, and another shell may be reading it.
    if !fs::read(&path).is_ok_and(|found| found == text.as_bytes()) {
        let failed = |source| CliError::Runtime { path: path.clone(), source };
        fs::create_dir_all(dir).and_then(|()| fs::write(&path, text)).map_err(failed)?;
    }
    Ok(path)
}
