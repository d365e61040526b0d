//! The kernel refuses a confined process every way to write a path, by each of the two layers alone.

use nix::errno::Errno;
use std::fs::{self, File, OpenOptions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use vrift_confine::Landlock;

/// Set in the process that is confined: which layers, and the folder in which it tries.
const LAYERS: &str = "VRIFT_TEST_LAYERS";
const FOLDER: &str = "VRIFT_TEST_FOLDER";

/// This test binary again, with the layers named; a process for each, as nothing takes confinement back.
fn confined(layers: &str) {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(dir.path().join("old"), "old").unwrap();
    fs::create_dir(dir.path().join("folder")).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "inside", "--nocapture", "--test-threads=1"])
        .env(LAYERS, layers)
        .env(FOLDER, dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("all was refused") || said.contains("no landlock"), "{said}");
    assert_eq!(fs::read(dir.path().join("old")).unwrap(), b"old");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_confined_process_writes_no_path() {
    confined("both");
}

#[test]
fn paths_alone_are_enough() {
    confined("paths");
}

#[test]
fn system_calls_alone_are_enough() {
    confined("calls");
}

/// Runs in the confined process only.
#[test]
fn inside() {
    let (Ok(layers), Some(folder)) = (std::env::var(LAYERS), std::env::var_os(FOLDER)) else { return };
    let folder = PathBuf::from(folder);
    // Everything works before.
    fs::write(folder.join("new"), "x").unwrap();
    fs::remove_file(folder.join("new")).unwrap();
    let readable = [Path::new("/usr/share")];
    // A thread of the test runner is confined; it alone goes on.
    match &layers[..] {
        "both" => drop(vrift_confine::confine(&readable).unwrap()),
        "paths" if vrift_confine::restrict_paths(&readable).unwrap() == Landlock::Missing => {
            return println!("no landlock");
        }
        "calls" => vrift_confine::restrict_calls().unwrap(),
        _ => {}
    }
    refused("open for writing", OpenOptions::new().write(true).open(folder.join("old")));
    refused(
        "open for reading and writing",
        OpenOptions::new().read(true).write(true).open(folder.join("old")),
    );
    refused("append", OpenOptions::new().append(true).open(folder.join("old")));
    refused("create", File::create(folder.join("new")));
    refused("mkdir", fs::create_dir(folder.join("new")));
    refused("unlink", fs::remove_file(folder.join("old")));
    refused("rmdir", fs::remove_dir(folder.join("folder")));
    refused("rename", fs::rename(folder.join("old"), folder.join("new")));
    refused("link", fs::hard_link(folder.join("old"), folder.join("new")));
    refused("symlink", std::os::unix::fs::symlink("x", folder.join("new")));
    refused("truncate", nix::unistd::truncate(&folder.join("old"), 0).map_err(std::io::Error::from));
    if layers != "paths" {
        refused("chmod", fs::set_permissions(folder.join("old"), fs::Permissions::from_mode(0o777)));
        refused("a program", Command::new("/bin/true").status());
        refused("the network", TcpListener::bind("127.0.0.1:0"));
    }
    assert!(vrift_confine::prove(&folder).is_ok());
    if layers != "calls" {
        refused("reading elsewhere", File::open(folder.join("old")));
    }
    let read = fs::read_dir("/usr/share").map(|mut entries| entries.next().is_some());
    assert!(read.unwrap(), "what may be read is read");
    println!("all was refused");
}

fn refused<T>(what: &str, result: std::io::Result<T>) {
    let Err(error) = result else { panic!("{what} was not refused") };
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
    assert!(matches!(errno, Errno::EPERM | Errno::EACCES | Errno::EXDEV), "{what}: {error}");
}
