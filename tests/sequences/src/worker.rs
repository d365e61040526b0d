//! The program that makes the calls, natively or in the view: reads sequences, writes what each call gave and what
//! the directory holds afterwards.
//!
//! In: `SEQUENCE number calls`, then the calls, a line each. Out: a line for each call, `= path attributes|mtime`
//! for each file, `END`.

use std::collections::HashMap;
use std::io::{BufRead, stdin};

use anyhow::{Context, Result};

use crate::machine::Machine;
use crate::{sys, text};

/// Works in the current directory until there is no more input.
pub fn run() -> Result<()> {
    let base = sys::getcwd().map_err(|errno| anyhow::anyhow!("getcwd: {}", text::errno(errno)))?;
    let mut lines = stdin().lock().lines();
    while let Some(line) = lines.next() {
        let line = line?;
        let mut words = line.split(' ').skip(1);
        let mut number =
            || words.next().and_then(|word| word.parse::<u64>().ok()).context("a bad SEQUENCE line");
        let (sequence, calls) = (number()?, number()?);
        let ops = (0..calls).map(|_| lines.next().context("too few calls")?.context("no calls"));
        let ops = ops.collect::<Result<Vec<String>>>()?;
        let above = format!("{base}/s{sequence}");
        let machine = one(sequence, &ops, &above);
        let _ = sys::chdir(&base);
        tell(&format!("{}END\n", tree(&above, machine)));
        remove(&above);
    }
    Ok(())
}

fn one(sequence: u64, ops: &[String], above: &str) -> Machine {
    let root = format!("{above}/q");
    sys::umask(0o022);
    // There already where the sequence begins in a tree that was taken in.
    let begins_in_tree = sys::mkdir(above, 0o755).is_err();
    let _ = sys::mkdir(&root, 0o755);
    let _ = sys::chdir(&root);
    let mut machine = Machine::new(sequence, root);
    if begins_in_tree {
        machine.note(above);
    }
    perform(&mut machine, ops);
    machine.close_all();
    sys::umask(0o022);
    machine
}

/// `fork N` makes the N calls that follow in a child.
fn perform(machine: &mut Machine, ops: &[String]) {
    let mut at = 0;
    while at < ops.len() {
        let op = &ops[at];
        at += 1;
        let Some(count) = op.strip_prefix("fork ").and_then(|count| count.parse::<usize>().ok()) else {
            tell(&format!("{}\n", machine.step(op)));
            continue;
        };
        tell("forked\n");
        let end = (at + count).min(ops.len());
        match sys::fork() {
            Ok(None) => {
                perform(machine, &ops[at..end]);
                sys::leave();
            }
            Ok(Some(child)) => {
                let status = sys::wait(child);
                if status != 0 {
                    // Whatever it did not say is missing in the transcript.
                    tell(&format!("child ended with {status}\n"));
                }
            }
            Err(errno) => tell(&format!("{}\n", text::errno(errno))),
        }
        at = end;
    }
}

/// Unbuffered: a forked child writes too.
fn tell(text: &str) {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match sys::write(1, rest, None) {
            Ok(len) => rest = &rest[len as usize..],
            Err(_) => sys::leave(),
        }
    }
}

/// Every file below `path`, sorted, hard links by the first name that they have.
fn tree(path: &str, machine: Machine) -> String {
    let mut walk = Walk { root: format!("{path}/q"), first: HashMap::new(), machine, lines: String::new() };
    walk.visit(path, "");
    walk.lines
}

struct Walk {
    root: String,
    /// Name of each file that was met, by its number.
    first: HashMap<u64, String>,
    machine: Machine,
    lines: String,
}

impl Walk {
    fn visit(&mut self, path: &str, name: &str) {
        let stat = match sys::stat_path(path, false) {
            Ok(stat) => stat,
            Err(errno) => {
                self.lines.push_str(&format!("= {name} {}\n", text::errno(errno)));
                return;
            }
        };
        let same = self.first.entry(stat.st_ino).or_insert_with(|| name.to_owned()).clone();
        let content = match text::kind(&stat) {
            'f' => content(path),
            'l' => sys::readlink(path).map(|target| text::without_root(&target, &self.root)),
            'd' => sys::list(path).map(|names| names.join(" ")),
            _ => Ok(String::new()),
        };
        let content = content.unwrap_or_else(text::errno);
        let xattr = sys::xattr(path).map_or_else(text::errno, |value| text::digest(&value));
        let mtime_ns = stat.st_mtime * 1_000_000_000 + stat.st_mtime_nsec;
        let ctime_ns = stat.st_ctime * 1_000_000_000 + stat.st_ctime_nsec;
        let changed = if self.machine.is_unchanged(&stat) { "unchanged" } else { "changed" };
        self.lines.push_str(&format!(
            "= {name} {} {changed} file {same} holds {content} xattr {xattr}|{mtime_ns} {ctime_ns}\n",
            text::attributes(&stat)
        ));
        if text::kind(&stat) == 'd' {
            for child in sys::list(path).unwrap_or_default() {
                if child != "." && child != ".." {
                    self.visit(&format!("{path}/{child}"), &format!("{name}/{child}"));
                }
            }
        }
    }
}

fn content(path: &str) -> sys::Outcome<String> {
    let fd = sys::open(path, libc::O_RDONLY | libc::O_NOFOLLOW, 0)? as i32;
    let mut all = Vec::new();
    loop {
        match sys::read(fd, 1 << 18, None) {
            Ok(bytes) if bytes.is_empty() => break,
            Ok(bytes) => all.extend(bytes),
            Err(errno) => {
                let _ = sys::close(fd);
                return Err(errno);
            }
        }
    }
    sys::close(fd)?;
    Ok(text::digest(&all))
}

fn remove(path: &str) {
    let is_dir = sys::stat_path(path, false).is_ok_and(|stat| text::kind(&stat) == 'd');
    if is_dir {
        let _ = sys::chmod(path, 0o700);
        for name in sys::list(path).unwrap_or_default() {
            if name != "." && name != ".." {
                remove(&format!("{path}/{name}"));
            }
        }
        let _ = sys::rmdir(path);
    } else {
        let _ = sys::unlink(path);
    }
}
