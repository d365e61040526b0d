//! Lines on the serial console.

use std::fs::OpenOptions;
use std::io::Write;

/// One write for a line: several processes print at the same time. Where it goes is the console also for processes
/// whose output is kept by somebody.
pub fn line(text: &str) {
    let line = format!("{text}\n");
    if let Ok(mut console) = OpenOptions::new().write(true).open("/dev/console") {
        let _ = console.write_all(line.as_bytes());
    }
}
