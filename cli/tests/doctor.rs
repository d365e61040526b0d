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
