//! `vrift ingest`: what it refuses before it asks the daemon.

mod common;
use common::{Vrift, assert_refused};

#[test]
fn what_is_no_readable_directory_is_bad_input() {
    let vrift = Vrift::new();
    std::fs::write(vrift.dir.path().join("file"), "x").unwrap();
    assert_refused(&vrift.run(["ingest", "missing"]), 2, "missing");
    assert_refused(&vrift.run(["ingest", "file"]), 2, "file");
    assert!(!vrift.home().exists());
}
