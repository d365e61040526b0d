//! What the numbers were measured on.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

#[derive(Serialize)]
pub struct Machine {
    processor: String,
    cores: usize,
    memory_mib: u64,
    kernel: String,
    system: String,
    file_system: String,
    compiler: String,
    /// Other work on the machine shows here: numbers taken above 1 or so say little.
    load_before: String,
    vrift: String,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} x {}, {} MiB of memory", self.cores, self.processor, self.memory_mib)?;
        writeln!(f, "{}, Linux {}, {}", self.system, self.kernel, self.file_system)?;
        write!(f, "{}; {}; load before: {}", self.compiler, self.vrift, self.load_before)
    }
}

pub fn describe(dir: &Path) -> Machine {
    Machine {
        processor: field("/proc/cpuinfo", "model name"),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_mib: field("/proc/meminfo", "MemTotal")
            .split(' ')
            .next()
            .and_then(|kib| kib.parse().ok())
            .unwrap_or(0)
            / 1024,
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_string(),
        system: field("/etc/os-release", "PRETTY_NAME").trim_matches('"').to_string(),
        file_system: first_line(Command::new("findmnt").args(["-n", "-o", "FSTYPE", "-T"]).arg(dir)),
        compiler: first_line(Command::new("cc").arg("--version")),
        load_before: load(),
        vrift: first_line(Command::new(crate::playground::bin_dir().join("vrift")).arg("--version")),
    }
}

/// Runnable tasks, on average over the last minute.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_string()
}

/// The value of the first `name: value` or `name=value` in a file.
fn field(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let value = text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?.trim_start();
        rest.strip_prefix([':', '=']).map(|value| value.trim().to_string())
    });
    value.unwrap_or_else(|| "unknown".into())
}

fn first_line(command: &mut Command) -> String {
    let text =
        command.output().map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_string()
}
