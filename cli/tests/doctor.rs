//! `vrift doctor`.

mod common;
use common::{Vrift, stdout};

#[test]
fn each_check_is_a_line_and_a_failure_is_1() {
    let vrift = Vrift::new();
    // A file where the state folder should be: something that cannot work.
    std::fs::write(vrift.home(), "x").unwrap();
    let output = vrift.run(["doctor"]);
    assert_eq!(output.status.code(), Some(1));
    let lines = stdout(&output);
    assert!(lines.lines().all(|line| line.starts_with("ok   ") || line.starts_with("FAIL ")), "{lines}");
    assert!(lines.contains("FAIL state folder: "));
    assert!(lines.contains(" -- set VRIFT_HOME"));
}

#[test]
fn json_has_the_same_checks() {
    let vrift = Vrift::new();
    std::fs::write(vrift.home(), "x").unwrap();
    let output = vrift.run(["doctor", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let checks: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let checks = checks.as_array().unwrap();
    assert!(checks.iter().any(|check| check["name"] == "kernel" && check["ok"] == true));
    assert!(checks.iter().any(|check| check["name"] == "state folder" && check["ok"] == false));
}

#[test]
fn programs_out_of_reach_are_named() {
    let vrift = Vrift::new();
    let bin = vrift.home().with_file_name("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::copy("/bin/true", bin.join("elevated")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o4755);
    std::fs::set_permissions(bin.join("elevated"), mode).unwrap();
    let output = vrift.command().arg("doctor").env("PATH", &bin).output().unwrap();
    vrift.run(["daemon", "stop"]);
    let lines = stdout(&output);
    assert!(
        lines.contains("1 program of PATH with other rights (set-user-ID, capabilities): elevated"),
        "{lines}"
    );
    assert!(lines.contains("no program of PATH without a loader"), "{lines}");
}

#[test]
fn a_clock_before_the_last_write_to_the_store_is_1() {
    let vrift = Vrift::new();
    std::fs::create_dir_all(vrift.home()).unwrap();
    let store = std::fs::File::create(vrift.home().join("store.img")).unwrap();
    store.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(7200)).unwrap();
    let output = vrift.run(["doctor"]);
    assert_eq!(output.status.code(), Some(1));
    let lines = stdout(&output);
    assert!(lines.contains("FAIL clock: ") && lines.contains(" -- set the clock"), "{lines}");
}
