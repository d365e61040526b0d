//! What happens when the program is started by hand. What it does for the daemon: `tests/shell/identity.sh`.

use std::process::Command;

#[test]
fn started_by_hand_it_says_what_it_is() {
    let output = Command::new(env!("CARGO_BIN_EXE_vrift-identityd")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("started by vriftd"));
}
