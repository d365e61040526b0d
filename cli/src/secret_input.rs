//! Secrets that people give: from a file, from a pipe, or typed on a terminal that does not show them.

use crate::error::{CliError, Result};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use vrift_secret::seal::SECRET_LEN_MAX;
use zeroize::Zeroizing;

/// What this process reads is in no core dump from now on. The daemon that it may start is not concerned.
pub fn no_dumps() -> Result<()> {
    nix::sys::prctl::set_dumpable(false).map_err(|errno| CliError::path("/proc/self", errno))
}

/// Without an echo as long as this lives.
struct Hidden<'a> {
    terminal: &'a File,
    before: Termios,
}

impl Hidden<'_> {
    fn of(terminal: &File) -> nix::Result<Hidden<'_>> {
        let before = tcgetattr(terminal)?;
        let mut hidden = before.clone();
        hidden.local_flags.remove(LocalFlags::ECHO);
        hidden.local_flags.insert(LocalFlags::ECHONL);
        tcsetattr(terminal, SetArg::TCSAFLUSH, &hidden)?;
        Ok(Hidden { terminal, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, SetArg::TCSAFLUSH, &self.before);
    }
}

/// The secret in `file` (`-`: stdin) without the end of its line, or what is typed as an answer to the prompt. With it comes
/// the option that names the file.
pub fn secret(file: Option<&Path>, (prompt, option): (&str, &str)) -> Result<Zeroizing<String>> {
    let secret = match file {
        Some(path) if path == Path::new("-") => read(io::stdin().lock()),
        Some(path) => File::open(path).and_then(read),
        None => return typed(prompt, option),
    };
    let secret = secret.map_err(|error| CliError::path(file.unwrap_or(Path::new("-")), error))?;
    not_empty(secret)
}

/// A new one, typed twice where it is typed.
pub fn new_secret(file: Option<&Path>, (prompt, option): (&str, &str)) -> Result<Zeroizing<String>> {
    let first = secret(file, (prompt, option))?;
    if file.is_none() && typed(&format!("{prompt} (again)"), option)? != first {
        return Err(CliError::Usage {
            what: "these are two different ones".into(),
            hint: "try again".into(),
        });
    }
    Ok(first)
}

fn not_empty(secret: Zeroizing<String>) -> Result<Zeroizing<String>> {
    if secret.is_empty() {
        return Err(CliError::Usage { what: "the secret is empty".into(), hint: "give one".into() });
    }
    Ok(secret)
}

fn read(from: impl Read) -> io::Result<Zeroizing<String>> {
    // Never moved to another place in memory, which would leave a copy.
    let mut text = Zeroizing::new(String::with_capacity(SECRET_LEN_MAX as usize + 1));
    from.take(SECRET_LEN_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SECRET_LEN_MAX {
        return Err(io::Error::other(format!("a secret has at most {SECRET_LEN_MAX} bytes")));
    }
    let len = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(len);
    Ok(text)
}

fn typed(prompt: &str, option: &str) -> Result<Zeroizing<String>> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
    let mut terminal = terminal.map_err(|_| CliError::Usage {
        what: format!("there is no terminal to ask for the {prompt}"),
        hint: format!("give it in a file: {option} FILE; - is stdin"),
    })?;
    let failed = |error: io::Error| CliError::path("/dev/tty", error);
    write!(terminal, "{prompt}: ").map_err(failed)?;
    let mut line = Zeroizing::new(String::with_capacity(SECRET_LEN_MAX as usize));
    {
        let _hidden = Hidden::of(&terminal).map_err(|errno| CliError::path("/dev/tty", errno))?;
        BufReader::new(&terminal).take(SECRET_LEN_MAX).read_line(&mut line).map_err(failed)?;
    }
    let len = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(len);
    not_empty(line)
}
