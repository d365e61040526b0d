//! `vrift run`: the half of it that becomes the command, as seen outside a view.

mod common;
use common::{Vrift, assert_refused, stdout};
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn the_command_replaces_the_process() {
    let vrift = Vrift::new();
    let output = vrift.run(["__exec", "", "sh", "-c", "echo $0 $1; exit 42", "a b", "-c"]);
    assert_eq!(output.status.code(), Some(42));
    assert_eq!(stdout(&output), "a b -c\n");
}

#[test]
fn it_starts_where_it_is_told() {
    let vrift = Vrift::new();
    let dir = vrift.dir.path().canonicalize().unwrap();
    let output = vrift.run(["__exec", dir.to_str().unwrap(), "pwd"]);
    assert_eq!(stdout(&output), format!("{}\n", dir.display()));
}

#[test]
fn what_is_not_found_is_127_and_what_cannot_be_executed_126() {
    let vrift = Vrift::new();
    fs::write(vrift.dir.path().join("plain"), "x").unwrap();
    let script = vrift.dir.path().join("script");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    for (command, code, said) in [
        ("no-such-command", 127, "no-such-command: command not found"),
        ("./missing", 127, "./missing: no such file"),
        ("./script", 127, "its interpreter was not found"),
        ("./plain/x", 127, "./plain/x: not a directory"),
        ("./plain", 126, "./plain: permission denied"),
        ("/", 126, "is a directory"),
    ] {
        let output = vrift.run(["__exec", "", command]);
        assert_refused(&output, code, said);
        assert_eq!(common::stderr(&output).lines().count(), 1);
    }
}

#[test]
fn a_folder_of_path_that_may_not_be_searched_does_not_turn_not_found_into_not_allowed() {
    let vrift = Vrift::new();
    // Closed for all but root.
    let closed = vrift.dir.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let path = format!("{}:/bin", closed.display());
    let output = vrift.command().env("PATH", &path).args(["__exec", "", "no-such-command"]).output().unwrap();
    assert_refused(&output, 127, "no-such-command: command not found");
    // Found, but not executable.
    let open = vrift.dir.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::write(open.join("plain"), "x").unwrap();
    let path = format!("{}:/bin", open.display());
    let output = vrift.command().env("PATH", &path).args(["__exec", "", "plain"]).output().unwrap();
    assert_refused(&output, 126, "plain: permission denied");
}
