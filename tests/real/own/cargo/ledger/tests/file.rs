// SPDX-License-Identifier: MIT OR Apache-2.0
use std::path::Path;

#[test]
fn entries_add_up() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ledger");
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("book.txt");
    let _ = std::fs::remove_file(&path);
    assert_eq!(ledger::append(&path, "EUR", 3).unwrap(), 300);
    assert_eq!(ledger::append(&path, "JPY", 7).unwrap(), 307);
    assert!(ledger::append(&path, "XXX", 1).is_err());
    let names: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["book.txt"]);
}

#[test]
fn a_test_sees_its_own_program() {
    let me = std::env::current_exe().unwrap();
    assert!(me.starts_with(env!("CARGO_MANIFEST_DIR").strip_suffix("/ledger").unwrap()), "{me:?}");
    assert!(me.is_file());
}
