//! A guest that runs: its console line by line, and its end.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use vrift_guest::markers;

use crate::machine::Machine;

/// A start with the whole list of markers takes some 30 s on an idle machine; a bound for what hangs.
pub const SELFTEST_LIMIT: Duration = Duration::from_secs(1800);

/// The kernel starts anew after it.
const PANIC: &str = "Kernel panic";

/// A name for a socket that nobody else has; short, as names of sockets must be.
pub fn fresh_socket(folder: &Path) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    folder.join(format!("s{}", NUMBER.fetch_add(1, Ordering::Relaxed)))
}

pub struct Guest {
    qemu: Child,
    console: Receiver<String>,
    lines: Vec<String>,
    /// How many of `lines` were looked at by [`Guest::await_line`].
    seen: usize,
    pub monitor: PathBuf,
    log: PathBuf,
}

impl Guest {
    /// Starts qemu; the console goes to `NAME.log` in `folder`, and to standard output if it is to be shown.
    pub fn start(machine: &Machine, folder: &Path, name: &str, show: bool) -> Result<Guest> {
        let monitor = fresh_socket(folder);
        let log = folder.join(format!("{name}.log"));
        let mut file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let errors = file.try_clone()?;
        let mut command = machine.with_monitor(&monitor)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        let mut qemu =
            command.spawn().context("cannot start qemu-system-x86_64 (package qemu-system-x86)")?;
        let output = qemu.stdout.take().context("qemu has no standard output")?;
        let (sender, console) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n') {
                let Ok(line) = line else { return };
                let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_string();
                let _ = writeln!(file, "{line}");
                if show {
                    println!("{line}");
                }
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Guest { qemu, console, lines: Vec::new(), seen: 0, monitor, log })
    }

    /// All that the console has shown so far, as far as it was waited for.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The first line for which `wanted` holds, among those not yet looked at.
    pub fn await_line(&mut self, limit: Duration, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let until = Instant::now() + limit;
        loop {
            while self.seen < self.lines.len() {
                let line = self.lines[self.seen].clone();
                self.seen += 1;
                if wanted(&line) {
                    return Ok(line);
                }
                if line.starts_with(markers::FAIL) || line.contains(PANIC) {
                    bail!("{line} ({})", self.log.display());
                }
            }
            match self.console.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => self.lines.push(line),
                Err(RecvTimeoutError::Timeout) => bail!("nothing more within {limit:?}: {}", self.ending()),
                Err(RecvTimeoutError::Disconnected) => bail!("the guest ended: {}", self.ending()),
            }
        }
    }

    /// Waits until the guest switched itself off.
    pub fn await_end(&mut self, limit: Duration) -> Result<()> {
        let until = Instant::now() + limit;
        loop {
            match self.console.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(PANIC) => bail!("the kernel gave up: {}", self.ending()),
                Ok(line) => self.lines.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    self.kill();
                    bail!("not at its end within {limit:?}: {}", self.ending());
                }
            }
        }
        let status = self.qemu.wait()?;
        if !status.success() {
            bail!("qemu: {status}: {}", self.ending());
        }
        Ok(())
    }

    /// SIGKILL, and all that the console had shown before.
    pub fn cut(mut self) -> Vec<String> {
        self.kill();
        while let Ok(line) = self.console.recv() {
            self.lines.push(line);
        }
        std::mem::take(&mut self.lines)
    }

    fn kill(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }

    /// The last lines, and where the rest is.
    fn ending(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("{}\n({})", lines[lines.len().saturating_sub(12)..].join("\n"), self.log.display())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.kill();
    }
}
