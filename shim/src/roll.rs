//! This process's line in the roll of its run (RFC 0012): what it was started as, and from when until when it ran. It is
//! written into memory that is mapped anyway, and costs four short system calls: getpid(2) and clock_gettime(2), when it
//! begins and when it ends.
//!
//! The line says when the program first looked at the view, and when it ended or became another one. Copies of the process
//! by fork(2) write nothing: the line is that of its origin.

use crate::init;
use crate::raw;
use crate::user_memory;
use crate::view;
use core::ffi::c_int;
use vrift_manifest::sys::Window;
use vrift_protocol::{counters, roll};

/// Which record is this process's.
pub struct Line {
    /// As in [`roll::NUMBER`]; 0: it has none.
    number: u64,
    /// It has all of the command.
    is_whole: bool,
    pid: c_int,
}

impl Line {
    /// Takes a line for this process and fills it, in a run whose workspace has a roll.
    pub fn begin(shared: &Window) -> Line {
        const NONE: Line = Line { number: 0, is_whole: false, pid: 0 };
        let run = core::str::from_utf8(init::settings().run.as_bytes()).ok().and_then(|run| run.parse().ok());
        let Some(run) = run.filter(|run| *run != 0u32) else { return NONE };
        if shared.u64(counters::HAS_ROLL) == 0 {
            return NONE;
        }
        let Some(before) = shared.take_u64(counters::ROLL_TAKEN, 1) else { return NONE };
        let (at, number) = (roll::record_at(before), before.wrapping_add(1));
        let mut command = [0; roll::COMMAND_LEN];
        user_memory::arguments_into(&mut command);
        shared.set_u64_release(at + roll::NUMBER, 0);
        shared.set_u64(at + roll::BEGAN_NS, now_ns());
        shared.set_u64(at + roll::ENDED_NS, 0);
        let pid = raw::getpid();
        shared.set_u32(at + roll::PID, pid.cast_unsigned());
        shared.set_u32(at + roll::RUN, run);
        shared.copy_in(at + roll::COMMAND, &command);
        shared.set_u64_release(at + roll::NUMBER, number);
        Line { number, is_whole: command[roll::COMMAND_LEN - 1] == 0, pid }
    }
}

/// What a greeting says of this process's line: see [`vrift_protocol::Hello::line`].
pub fn whole_command() -> u32 {
    view::line().filter(|(_, line)| line.is_whole).map_or(0, |(_, line)| line.number as u32)
}

/// This process ends, or is about to become another program.
pub fn end() {
    let Some((shared, line)) = view::line() else { return };
    if line.number == 0 || line.pid != raw::getpid() {
        return;
    }
    let at = roll::record_at(line.number.wrapping_sub(1));
    // With so many processes after this one, the record is another's.
    if shared.u64(at + roll::NUMBER) == line.number {
        shared.set_u64(at + roll::ENDED_NS, now_ns());
    }
}

#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: extern "C" fn() = destructor;

extern "C" fn destructor() {
    end();
}

/// CLOCK_MONOTONIC, by a system call: a process asks twice, and the two pages of vdso(7) cost more to be mapped.
fn now_ns() -> u64 {
    raw::now_ns().cast_unsigned()
}
