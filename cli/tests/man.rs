//! `vrift man`.

mod common;
use common::{Vrift, assert_refused, stdout};

#[test]
fn each_command_has_a_page() {
    let vrift = Vrift::new();
    let dir = vrift.dir.path().join("man");
    std::fs::create_dir(&dir).unwrap();
    assert_eq!(vrift.run(["man", "--to", dir.to_str().unwrap()]).status.code(), Some(0));
    for name in ["vrift", "vrift-run", "vrift-doctor", "vrift-man"] {
        let page = std::fs::read_to_string(dir.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH {name} 1")), "{name}");
    }
    assert_eq!(stdout(&vrift.run(["man", "run"])), std::fs::read_to_string(dir.join("vrift-run.1")).unwrap());
}

#[test]
fn a_missing_directory_is_bad_input() {
    assert_refused(&Vrift::new().run(["man", "--to", "no/such/dir"]), 2, "no/such/dir");
}
