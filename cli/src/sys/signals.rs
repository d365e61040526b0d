//! Signals while a command runs: handled where they interrupt, so that no thread has to wait for them.

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::Pid;
use std::os::fd::{BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// A terminal sends these to the whole foreground group: the command has them already.
const FROM_TERMINAL: [Signal; 2] = [Signal::SIGINT, Signal::SIGQUIT];
/// These may have been sent to vrift alone and are passed on.
const PASSED_ON: [Signal; 2] = [Signal::SIGTERM, Signal::SIGHUP];
const INTERRUPTED: &[u8] = b"vrift: interrupted before the result was synced; vrift run -- true syncs it\n";

/// What a signal that comes now is for: the command with this pid, or one of the following.
static PHASE: AtomicI32 = AtomicI32::new(IGNORED);
/// The command is being started, or all is over.
const IGNORED: i32 = 0;
/// The command is over and its result is being made safe: a signal ends that.
const ENDING: i32 = -1;
/// Handlers at work that may have read a pid of [`PHASE`].
static AT_WORK: AtomicU32 = AtomicU32::new(0);
/// The fd that is written to when a child has ended.
static TOLD: AtomicI32 = AtomicI32::new(-1);

/// From now on signals that end programs do not end this one, unless whoever started it wants them ignored (nohup(1)):
/// they stay so for the command too. `told` is written to when a child has ended; it does not block, and stays open.
pub fn catch_signals(told: OwnedFd) -> nix::Result<()> {
    PHASE.store(IGNORED, Ordering::SeqCst);
    TOLD.store(told.into_raw_fd(), Ordering::SeqCst);
    let (restart, none) = (SaFlags::SA_RESTART, SigSet::empty());
    for signal in FROM_TERMINAL.into_iter().chain(PASSED_ON) {
        if !is_ignored(signal)? {
            let action = SigAction::new(SigHandler::Handler(on_signal), restart, none);
            // SAFETY: the handler makes system calls and uses atomics alone.
            unsafe { sigaction(signal, &action) }?;
        }
    }
    let action = SigAction::new(SigHandler::Handler(on_child), restart | SaFlags::SA_NOCLDSTOP, none);
    // SAFETY: as above.
    unsafe { sigaction(Signal::SIGCHLD, &action) }?;
    Ok(())
}

/// Signals that come from now on are for the command with this pid, which is not reaped before
/// [`pass_no_more_signals`].
pub fn pass_signals_to(pid: Pid) {
    PHASE.store(pid.as_raw(), Ordering::SeqCst);
}

/// The command is over: a signal ends this process from now on. When this returns nobody uses its pid any more.
pub fn pass_no_more_signals() {
    PHASE.store(ENDING, Ordering::SeqCst);
    // One on this thread is done before this goes on; on another it takes a system call.
    while AT_WORK.load(Ordering::SeqCst) > 0 {
        std::thread::yield_now();
    }
}

/// All is over: what ends this process now would end it anyway.
pub fn ignore_signals() {
    PHASE.store(IGNORED, Ordering::SeqCst);
}

fn is_ignored(signal: Signal) -> nix::Result<bool> {
    let mut old = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the old one is written, and nothing changed.
    let result = unsafe { libc::sigaction(signal as i32, std::ptr::null(), old.as_mut_ptr()) };
    Errno::result(result)?;
    // SAFETY: it was written; and all bytes zero are an action too.
    Ok(unsafe { old.assume_init() }.sa_sigaction == libc::SIG_IGN)
}

extern "C" fn on_signal(number: libc::c_int) {
    let errno = Errno::last_raw();
    AT_WORK.fetch_add(1, Ordering::SeqCst);
    match (PHASE.load(Ordering::SeqCst), Signal::try_from(number)) {
        (ENDING, _) => {
            say(libc::STDERR_FILENO, INTERRUPTED);
            // SAFETY: ends the process, and may be called in a handler.
            unsafe { libc::_exit(128 + number) }
        }
        (pid, Ok(signal)) if pid > 0 && PASSED_ON.contains(&signal) => {
            let _ = kill(Pid::from_raw(pid), signal);
        }
        _ => {}
    }
    AT_WORK.fetch_sub(1, Ordering::SeqCst);
    Errno::set_raw(errno);
}

extern "C" fn on_child(_: libc::c_int) {
    let errno = Errno::last_raw();
    // One that is full has been told.
    say(TOLD.load(Ordering::SeqCst), &[0]);
    Errno::set_raw(errno);
}

fn say(fd: i32, text: &[u8]) {
    if fd >= 0 {
        // SAFETY: standard error, or the fd that is never closed.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let _ = nix::unistd::write(fd, text);
    }
}
