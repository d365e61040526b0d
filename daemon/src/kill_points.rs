//! A switch for tests: the daemon dies, as by SIGKILL, at a step that a test names.
//!
//! The variable VRIFT_TEST_DIE has the path of a file, which is looked at in every step while the variable is set. With
//! `STEP` or `STEP N` in it, the Nth pass of that step removes the file and kills the process; the daemon that follows
//! finds no file and goes on. Steps: `received OP` and `answer OP` of a vnode request (names of
//! [`vrift_protocol::Op`]), `asked NAME` of a request of the command line, `append KIND` and `appended KIND` before and after the journal has a change (names of
//! [`crate::record::Change`]); `seal prepared` and `seal committed` around the journal's record of a seal; `checkpoint
//! begun`, `writing`, `written`; `gc marking`, `marked`, `sweeping`, `swept`, `pruned`; `reading` when part of
//! a directory was read, `export comparing`, `deleting`, `writing` before each file; `ahead make`, `ahead made` around a file that is made ahead; `spare` before a
//! removed file is used again. With `pause STEP` the file is renamed to `FILE.STEP`, with hyphens for spaces, and the thread
//! that comes there goes on when that is removed. A step may have passes of several threads; they count one after another.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

const VARIABLE: &str = "VRIFT_TEST_DIE";
/// Between two looks whether a pause is over.
const LOOK: Duration = Duration::from_millis(2);

static FILE: LazyLock<Option<PathBuf>> = LazyLock::new(|| std::env::var_os(VARIABLE).map(PathBuf::from));
static TURN: Mutex<()> = Mutex::new(());

/// The length of journal at which a checkpoint is due: short in such a test, so that a small build passes its steps.
pub fn journal_len_max_bytes() -> u64 {
    const SHORT_BYTES: u64 = 16 << 10;
    if FILE.is_some() { SHORT_BYTES } else { crate::checkpoint::JOURNAL_LEN_MAX_BYTES }
}

/// A step with this name is passed now. Costs a look at a constant without the variable.
pub fn pass(step: impl FnOnce() -> String) {
    let Some(file) = FILE.as_ref() else { return };
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Ok(wanted) = fs::read_to_string(file) else { return };
    let wanted = wanted.trim();
    let step = step();
    if wanted.strip_prefix("pause ") == Some(&step) {
        let mut paused = file.clone().into_os_string();
        paused.push(format!(".{}", step.replace(' ', "-")));
        let is_paused = fs::rename(file, &paused).is_ok();
        drop(turn);
        while is_paused && Path::new(&paused).exists() {
            std::thread::sleep(LOOK);
        }
        return;
    }
    let Some(rest) = wanted.strip_prefix(step.as_str()) else { return };
    let left = match rest.trim().parse::<u64>() {
        _ if rest.is_empty() => 1,
        Ok(left) if rest.starts_with(' ') => left,
        _ => return,
    };
    if left > 1 {
        let _ = fs::write(file, format!("{step} {}", left - 1));
        return;
    }
    if fs::remove_file(file).is_ok() {
        let _ = kill(Pid::this(), Signal::SIGKILL);
    }
}
