//! The command of a run: its start, its signals, its end.

use crate::text::say;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// A terminal sends these to the whole foreground group: the command has them already.
const FROM_TERMINAL: [i32; 2] = [SIGINT, SIGQUIT];
/// These may have been sent to vrift alone and are passed on.
const PASSED_ON: [i32; 2] = [SIGTERM, SIGHUP];

/// What a signal that comes now is for.
enum Phase {
    Starting,
    Running(Pid),
    /// The command is over and its result is being made safe: a signal ends that.
    Ending,
}

/// From its making on, signals end the command and not vrift. The command itself gets the default action:
/// handlers do not outlive exec.
pub struct Signalled {
    phase: Arc<Mutex<Phase>>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Signalled {
    pub fn new() -> io::Result<Signalled> {
        let ignored = ignored_signals();
        let wanted = FROM_TERMINAL.into_iter().chain(PASSED_ON).filter(|signal| !ignored.contains(signal));
        let mut signals = Signals::new(wanted)?;
        let phase = Arc::new(Mutex::new(Phase::Starting));
        let handle = signals.handle();
        let seen = Arc::clone(&phase);
        let thread = std::thread::spawn(move || {
            for signal in signals.forever() {
                // Held while the signal is sent, so that the pid cannot be reused in between.
                match *seen.lock().unwrap_or_else(PoisonError::into_inner) {
                    Phase::Running(pid) if PASSED_ON.contains(&signal) => {
                        let _ = Signal::try_from(signal).and_then(|signal| kill(pid, signal));
                    }
                    Phase::Starting | Phase::Running(_) => {}
                    Phase::Ending => {
                        say!("vrift: interrupted before the result was synced; vrift run -- true syncs it");
                        std::process::exit(128 + signal);
                    }
                }
            }
        });
        Ok(Signalled { phase, handle, thread: Some(thread) })
    }

    fn set(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    /// Starts `command`.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let child = command.spawn()?;
        self.set(Phase::Running(Pid::from_raw(child.id().cast_signed())));
        Ok(child)
    }

    /// Waits for its end.
    pub fn wait(&self, child: &mut Child) -> io::Result<ExitStatus> {
        let pid = Pid::from_raw(child.id().cast_signed());
        // Not reaped before the signal thread knows.
        loop {
            match waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
                Ok(_) => break,
            }
        }
        self.set(Phase::Ending);
        child.wait()
    }
}

impl Drop for Signalled {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The exit code that a shell would report.
pub fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code & 0xff).unwrap_or(u8::MAX)
}

/// Signals that whoever started us wants ignored (nohup(1)): they stay so for the command too.
fn ignored_signals() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    (1..=64).filter(|signal| mask & (1 << (signal - 1)) != 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        let code = |script: &str| exit_code(Command::new("sh").arg("-c").arg(script).status().unwrap());
        assert_eq!(code("exit 42"), 42);
        assert_eq!(code("kill -TERM $$"), 143);
    }
}
