//! The unsafe steps of the command line: what happens in a child between fork and exec, and signals' actions.
#![allow(unsafe_code)]

mod signals;

pub use signals::{catch_signals, ignore_signals, pass_no_more_signals, pass_signals_to};

use nix::sys::prctl;
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, raise, sigaction,
};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Makes `command`'s process die with this one, however that ends, and gives it the signal mask `mask`.
pub fn tie(command: &mut Command, mask: SigSet) {
    let tie = move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&mask), None)?;
        Ok(())
    };
    // SAFETY: both are plain system calls, which may be made between fork and exec.
    unsafe { command.pre_exec(tie) };
}

/// This process hears of its children, even if whoever started it does not want to hear of its own.
pub fn hear_of_children() {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action is no handler.
    let _ = unsafe { sigaction(Signal::SIGCHLD, &default) };
}

/// Ends this process by `signal`, as another was ended; returns if that is not possible.
pub fn die_by(signal: Signal) {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action is no handler.
    let set = unsafe { sigaction(signal, &default) };
    let mut mask = SigSet::empty();
    mask.add(signal);
    if set.is_ok() && raise(signal).is_ok() {
        let _ = pthread_sigmask(SigmaskHow::SIG_UNBLOCK, Some(&mask), None);
    }
}
