//! Running other programs: with their output shown as it comes, and read at the same time.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// A `cargo` command in the root of the checkout.
pub fn cargo(args: &[&str]) -> Command {
    let mut command = program(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    command.args(args);
    command
}

/// A command in the root of the checkout that cannot wait for a keyboard.
pub fn program(path: impl AsRef<Path>) -> Command {
    let mut command = Command::new(path.as_ref());
    command.current_dir(workspace::root()).stdin(Stdio::null());
    command
}

/// How a command is shown to the user, and named in errors.
pub fn shown(command: &Command) -> String {
    let mut text = Path::new(command.get_program())
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}

/// Runs to success, or says which command failed and how.
pub fn check(command: &mut Command) -> Result<()> {
    let text = shown(command);
    println!("  $ {text}");
    let status = command.status().with_context(|| format!("cannot start `{text}`"))?;
    if !status.success() {
        bail!("`{text}` failed: {status}");
    }
    Ok(())
}

/// Runs to success and gives what the command wrote to standard output; its diagnostics are shown.
pub fn output(command: &mut Command) -> Result<String> {
    let text = shown(command);
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start `{text}`"))?;
    if !output.status.success() {
        bail!("`{text}` failed: {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{text}` printed something else than text"))
}

/// The same command with a bound on its time: at its end the whole process group is ended, and the
/// command fails. A test that hangs must not hold up those after it.
pub fn limited(command: &Command, limit_s: u32) -> Command {
    let mut limited = program("timeout");
    limited
        .arg("--kill-after=10")
        .arg(limit_s.to_string())
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

/// Shows each line of standard output as it comes and passes it on. True if the command succeeded.
pub fn watch(command: &mut Command, mut line_seen: impl FnMut(&str)) -> Result<bool> {
    let text = shown(command);
    println!("  $ {text}");
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start `{text}`"))?;
    let stdout = child.stdout.take().context("the child has no standard output")?;
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        line_seen(&line);
    }
    std::io::stdout().flush()?;
    Ok(child.wait()?.success())
}
