//! Between two power cuts: first all that was acknowledged before the last one is looked for, then everything is written
//! to at once until the next one. A number goes to the console only after its sync returned.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail, ensure};
use vrift_guest::{markers, pattern};

use crate::arguments::Arguments;
use crate::device::Device;
use crate::{build, say, state, vrift};

/// Files are written here, in the view.
const FILES: &str = "/tmp/files";
/// Values and files with numbers below the last so many are removed, so that a long test fits.
const KEPT: u64 = 400;
const SYNCED_TOGETHER: u64 = 3;
const NUMBER_VARIABLE: &str = "VRIFT_TEST_NUMBER";

pub fn run(arguments: &Arguments) -> Result<()> {
    let device = Device::up(arguments)?;
    say::line(&format!("{}{} nsec={})", markers::BLOCK, device.sector_bytes, device.sectors));
    let first = arguments.is_set("init");
    vrift::use_store(&device.store, first)?;
    if !first {
        let (code, text) = vrift::exits(&["fsck"])?;
        ensure!(code == 0, "fsck after the cut: {code}: {text}");
    }
    vrift::ok(&["daemon", "start"])?;
    let native = build::native()?;
    fs::create_dir_all(FILES)?;
    let (state, files) = (arguments.number("state")?, arguments.number("file")?);
    let (mut state_next, mut files_next) = (1, 1);
    if !first {
        state_next = check_state(state)? + 1;
        files_next = check_files_in_view(files)? + 1;
        build::expect(&native, arguments.is_set("whole"))?;
        say::line(markers::CUT_VERIFIED);
    }
    if arguments.is_set("last") {
        vrift::ok_in(build::PROJECT, &["run", "--", "make", "-s"])?;
        build::expect(&native, true)?;
        vrift::ok(&["daemon", "stop"])?;
        vrift::ok(&["fsck"])?;
        say::line(&format!("{} 1 done", markers::ROUND));
        return Ok(());
    }
    // All three go on until the power is cut; the first that cannot ends the guest with what it says.
    say::line(markers::WRITING);
    let (ended, end) = std::sync::mpsc::channel();
    for writer in 0..3 {
        let ended = ended.clone();
        std::thread::spawn(move || {
            let result = match writer {
                0 => write_state(state_next),
                1 => write_files_in_view(files_next),
                _ => build_again_and_again(),
            };
            let _ = ended.send(result);
        });
    }
    end.recv()??;
    bail!("a writer came to its end")
}

fn state_key(number: u64) -> String {
    format!("/state/cut/{number:08}")
}

/// Each value that is there is whole; those up to the acknowledged one are there. The highest number.
fn check_state(acknowledged: u64) -> Result<u64> {
    let mut client = state::client();
    let mut highest = 0;
    for row in client.list(b"/state/cut/")? {
        let key = String::from_utf8_lossy(&row.key).into_owned();
        let number: u64 = key.rsplit('/').next().unwrap_or_default().parse().context("a strange key")?;
        let value = client.get(&row.key)?.with_context(|| format!("{key} is listed and not there"))?;
        ensure!(value == pattern::bytes(number), "{key} has another value");
        highest = number;
    }
    ensure!(highest >= acknowledged, "state {acknowledged} was synced, the last one there is {highest}");
    for number in oldest_kept(highest)..=acknowledged {
        ensure!(
            client.get(state_key(number).as_bytes())?.is_some(),
            "state {number} was synced and is not there"
        );
    }
    say::line(&format!("cut: values up to {highest} are there, {acknowledged} were acknowledged"));
    Ok(highest)
}

/// Those below may have been removed: whoever wrote the number `highest` went on to remove the one [`KEPT`] before it. To be
/// asked of the highest number that is there, not of the acknowledged one, which may be far behind: what the console had
/// not shown yet at the cut was synced as well.
fn oldest_kept(highest: u64) -> u64 {
    (highest + 1).saturating_sub(KEPT).max(1)
}

pub fn write_state(next: u64) -> Result<()> {
    let mut client = state::client();
    for number in next.. {
        client.put(state_key(number).as_bytes(), &pattern::bytes(number))?;
        if number > KEPT {
            client.delete(state_key(number - KEPT).as_bytes())?;
        }
        // Some at a time, so that a cut finds some that are under way.
        if number.is_multiple_of(SYNCED_TOGETHER) {
            client.sync()?;
            say::line(&format!("{} state {number}", markers::ACK));
        }
    }
    Ok(())
}

/// This program in the view, where the files' directory is the workspace.
fn in_view(argument: &str, number: u64) -> Command {
    let mut command = vrift::unlimited(&["-q", "run", "--", "guest-selftest", argument]);
    command.current_dir(FILES);
    command.env(NUMBER_VARIABLE, number.to_string());
    command
}

fn write_files_in_view(next: u64) -> Result<()> {
    let status = in_view("write-files", next).status()?;
    bail!("the writer of files ended: {status}")
}

fn check_files_in_view(acknowledged: u64) -> Result<u64> {
    let output = vrift::output(&mut in_view("check-files", acknowledged))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "looking at the files: {}", String::from_utf8_lossy(&output.stderr));
    text.trim().parse().with_context(|| format!("no number: {text}"))
}

fn number() -> Result<u64> {
    let text = std::env::var(NUMBER_VARIABLE).map_err(|_| anyhow!("{NUMBER_VARIABLE} is not set"))?;
    Ok(text.parse()?)
}

fn file(number: u64) -> PathBuf {
    PathBuf::from(FILES).join(format!("file-{number:08}"))
}

/// In the view: writes, syncs, renames, syncs the directory or the workspace, and only then says so.
pub fn write_files() -> Result<()> {
    let directory = File::open(FILES)?;
    for number in number()?.. {
        let new = PathBuf::from(FILES).join("new");
        let mut written = File::create(&new)?;
        written.write_all(&pattern::bytes(number))?;
        written.sync_all()?;
        drop(written);
        fs::rename(&new, file(number))?;
        if number > KEPT {
            match fs::remove_file(file(number - KEPT)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        // The state folder is in memory: either must have brought bytes and name to the device.
        if number.is_multiple_of(2) {
            nix::unistd::syncfs(&directory)?
        } else {
            directory.sync_all()?
        }
        say::line(&format!("{} file {number}", markers::ACK));
    }
    Ok(())
}

/// In the view: each file that is there is whole; those up to the acknowledged one are there.
pub fn check_files() -> Result<()> {
    let acknowledged = number()?;
    let mut highest = 0;
    for entry in fs::read_dir(FILES)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Some(number) = name.strip_prefix("file-") else { continue };
        let number: u64 = number.parse()?;
        ensure!(fs::read(file(number))? == pattern::bytes(number), "{name} has other bytes");
        highest = highest.max(number);
    }
    ensure!(highest >= acknowledged, "file {acknowledged} was synced, the last one there is {highest}");
    for number in oldest_kept(highest)..=acknowledged {
        ensure!(file(number).exists(), "file {number} was synced and is not there");
    }
    say::line(&format!("cut: files up to {highest} are there, {acknowledged} were acknowledged"));
    println!("{highest}");
    Ok(())
}

fn build_again_and_again() -> Result<()> {
    for number in 1.. {
        say::line(&format!("{} {number}", markers::BUILD_BEGUN));
        vrift::ok_in(build::PROJECT, &["-q", "run", "--", "sh", "-c", "make -s clean && make -s"])?;
        say::line(&format!("{} build {number}", markers::ACK));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_missed_that_a_writer_may_have_removed() {
        for highest in [1, KEPT - 1, KEPT, KEPT + 1, KEPT + 2, 5 * KEPT] {
            let removed = highest.saturating_sub(KEPT);
            assert!(oldest_kept(highest) > removed, "of {highest}");
            assert_eq!(oldest_kept(highest), removed + 1);
        }
    }
}
