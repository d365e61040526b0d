//! The two workers: one in a plain directory, one in a view of an equal one.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Several times the longest a sequence can take: all its calls, each held up until the library gives up on the
/// daemon, would be minutes, but one such call is a difference already.
const SEQUENCE_LIMIT: Duration = Duration::from_secs(60);

/// One worker and what it says, line by line.
pub struct Worker {
    child: Child,
    input: ChildStdin,
    output: Receiver<String>,
}

impl Worker {
    /// Starts `command`, whose last words are this program's.
    pub fn start(mut command: Command) -> Result<Worker> {
        // A group of its own, so that all of it can be ended.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().context("cannot start a worker")?;
        let input = child.stdin.take().context("no input")?;
        let output = BufReader::new(child.stdout.take().context("no output")?);
        let (send, receive) = channel();
        std::thread::spawn(move || {
            for line in output.split(b'\n').map_while(|line| line.ok()) {
                if send.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
            }
        });
        Ok(Worker { child, input, output: receive })
    }

    /// The transcript of one sequence.
    pub fn run(&mut self, number: u64, ops: &[String]) -> Result<Vec<String>> {
        let mut text = format!("SEQUENCE {number} {}\n", ops.len());
        for op in ops {
            text.push_str(op);
            text.push('\n');
        }
        self.input.write_all(text.as_bytes()).context("the worker is gone")?;
        let mut lines = Vec::new();
        loop {
            match self.output.recv_timeout(SEQUENCE_LIMIT) {
                Ok(line) if line == "END" => return Ok(lines),
                Ok(line) => lines.push(line),
                Err(_) => bail!("no answer after `{}`", lines.last().map_or("nothing", String::as_str)),
            }
        }
    }

    /// Ends it: no more input.
    pub fn end(mut self) -> Result<()> {
        drop(self.input);
        let status = self.child.wait()?;
        if !status.success() {
            bail!("a worker ended with {status}");
        }
        Ok(())
    }

    /// Ends it whatever it does.
    pub fn kill(mut self) {
        crate::sys::kill_group(self.child.id() as i32);
        let _ = self.child.wait();
    }
}

/// Where the two work. Their paths have the same length, so that symlinks to absolute paths have the same size.
pub struct Places {
    pub dir: PathBuf,
    pub bin: PathBuf,
    pub program: PathBuf,
    /// As this user; none: as whoever calls.
    pub user: Option<u32>,
}

impl Places {
    pub fn native(&self) -> PathBuf {
        self.dir.join("native")
    }
    pub fn view(&self) -> PathBuf {
        self.dir.join("inview")
    }

    fn as_user(&self, program: &Path) -> Command {
        let Some(user) = self.user else { return Command::new(program) };
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={user}"))
            .arg(format!("--regid={user}"))
            .arg("--clear-groups")
            .arg(program);
        command
    }

    pub fn start_native(&self) -> Result<Worker> {
        let mut command = self.as_user(&self.program);
        command.arg("worker").current_dir(self.native());
        Worker::start(command)
    }

    pub fn start_view(&self) -> Result<Worker> {
        let mut command = self.vrift(&["run", "--"]);
        command.arg(&self.program).arg("worker").current_dir(self.view());
        Worker::start(command)
    }

    /// The command line, in this test's own state folder.
    pub fn vrift(&self, args: &[&str]) -> Command {
        let mut command = self.as_user(&self.bin.join("vrift"));
        command.args(args).current_dir(self.view()).env("VRIFT_HOME", self.dir.join("home"));
        command.env("XDG_RUNTIME_DIR", self.dir.join("run")).env("HOME", &self.dir);
        for name in ["LD_PRELOAD", "VRIFT_WORKSPACE", "VRIFT_VIEW", "VRIFT_RUNTIME"] {
            command.env_remove(name);
        }
        command
    }
}
