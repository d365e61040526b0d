//! `vrift __probe`: a process that says whether the preload library was loaded into it. Started by
//! `vrift doctor`; not for users.

use std::fs;
use vrift_protocol::names;

/// First argument of the hidden command.
pub const PROBE: &str = "__probe";

/// Prints the mapped library's path; the exit code: 0 when it is mapped.
pub fn report() -> u8 {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    match maps
        .lines()
        .find(|line| line.ends_with(names::SHIM_FILE))
        .and_then(|line| line.find('/').map(|at| &line[at..]))
    {
        Some(path) => {
            println!("{path}");
            0
        }
        None => 1,
    }
}
