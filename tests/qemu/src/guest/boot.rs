//! Boot control: what is staged, tried and declared healthy stays so.

use std::fs;

use anyhow::{Result, ensure};

use crate::vrift;

const TREE: &str = "/tmp/tree";
/// What `vrift boot status` said at the end of the round before.
const NOTED_KEY: &str = "/state/selftest/boot-status";

/// A signed snapshot goes through stage, switch, attempt and health, with the daemon's death after each.
pub fn persist(round: u64) -> Result<()> {
    if round > 1 {
        let noted = vrift::ok(&["state", "get", NOTED_KEY])?;
        let status = vrift::ok(&["boot", "status"])?;
        ensure!(status == noted, "boot status was\n{noted}and is\n{status}");
    }
    fs::create_dir_all(TREE)?;
    fs::write(format!("{TREE}/version"), format!("{round}\n"))?;
    vrift::ok_in(TREE, &["-q", "run", "--", "sh", "-c", "cp version taken"])?;
    vrift::ok_in(TREE, &["snapshot", "-m", &format!("round {round}")])?;
    // The root file system's snapshot with the highest number: the one just made.
    let log = vrift::ok_in(TREE, &["log"])?;
    let number = newest(&log)?;
    let steps: [&[&str]; 4] = [
        &["boot", "stage", &format!("tree@{number}")],
        &["boot", "switch", "--tries", "2"],
        &["boot", "attempt"],
        &["boot", "health-ok"],
    ];
    for step in steps {
        vrift::ok(step)?;
        let before = vrift::exits(&["boot", "status"])?;
        vrift::kill_daemon()?;
        let after = vrift::exits(&["boot", "status"])?;
        ensure!(
            before == after,
            "after {}: boot status was\n{}and is\n{}",
            step.join(" "),
            before.1,
            after.1
        );
    }
    let status = vrift::ok(&["boot", "status"])?;
    let active =
        status.lines().any(|line| line.contains(&format!("tree@{number} ")) && line.contains("in use"));
    ensure!(active, "tree@{number} is not in use:\n{status}");
    vrift::ok(&["state", "put", "--sync", NOTED_KEY, &status])?;
    Ok(())
}

/// The highest number at the beginning of a line.
fn newest(log: &str) -> Result<u64> {
    let digits = |line: &str| {
        line.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect::<String>()
    };
    let number = log.lines().filter_map(|line| digits(line).parse().ok()).max();
    number.ok_or_else(|| anyhow::anyhow!("vrift log shows no snapshot:\n{log}"))
}
