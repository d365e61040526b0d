//! The whole slice: ingest, changes by frames, diff, cat, export, restart.

mod common;

use common::*;
use nix::libc::{O_CREAT, O_RDWR, O_TRUNC, O_WRONLY};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use vrift_protocol::Op;
use vrift_protocol::admin::{AdminReply, AdminRequest, ChangeKind};

fn project() -> World {
    let world = World::started();
    let dir = world.project();
    write(dir.join("src/main.c"), "int main;\n");
    write(dir.join("README"), "read me\n");
    write(dir.join(".git/HEAD"), "ref\n");
    symlink("README", dir.join("link")).unwrap();
    fs::hard_link(dir.join("README"), dir.join("README.too")).unwrap();
    fs::set_permissions(dir.join("src/main.c"), fs::Permissions::from_mode(0o640)).unwrap();
    world
}

#[test]
fn a_directory_is_taken_in_as_it_is() {
    let world = project();
    let taken = world.ingest();
    assert!(taken.created && taken.skipped.is_empty() && taken.conflicts.is_empty(), "{taken:?}");
    assert_eq!((taken.files, taken.directories, taken.symlinks, taken.added), (4, 2, 1, 7));
    let main = world.entry("src/main.c").unwrap();
    let real = fs::metadata(world.project().join("src/main.c")).unwrap();
    assert_eq!(main.mode, real.mode());
    assert_eq!(main.mtime_ns, real.mtime() * 1_000_000_000 + real.mtime_nsec());
    assert_eq!(world.entry("README").unwrap().vnode, world.entry("README.too").unwrap().vnode);
    assert_eq!(world.entry("README").unwrap().nlink, 2);
    assert_eq!(world.entry("link").unwrap().target.unwrap().0, b"README");
    assert_eq!(world.cat("link"), "read me\n");
    let src = fs::metadata(world.project().join("src")).unwrap();
    let src_ns = src.mtime() * 1_000_000_000 + src.mtime_nsec();
    assert_eq!(world.entry("src").unwrap().mtime_ns, src_ns);
    assert!(world.diff(false).is_empty() && world.diff(true).is_empty());
    assert_eq!(world.list().len(), 7);
}

#[test]
fn an_unchanged_directory_costs_nothing_again() {
    let world = project();
    world.ingest();
    // The second take-in settles rows that were written within a tick of being read.
    std::thread::sleep(std::time::Duration::from_millis(50));
    world.ingest();
    let before = world.ask(&AdminRequest::Status).0.pop();
    let again = world.ingest();
    assert_eq!((again.created, again.added, again.modified, again.deleted), (false, 0, 0, 0));
    assert_eq!(again.new_bytes, 0);
    let journal = |reply: Option<AdminReply>| match reply {
        Some(AdminReply::Status(status)) => status.journal_bytes,
        other => panic!("{other:?}"),
    };
    assert_eq!(journal(before), journal(world.ask(&AdminRequest::Status).0.pop()));
}

#[test]
fn writes_are_staged_sealed_shown_and_exported() {
    let world = project();
    world.ingest();
    let mut raw = world.raw(7);
    let (made, fd) = raw.request(Op::Open, opening(ROOT, O_CREAT | O_WRONLY | O_TRUNC), b"new", b"").unwrap();
    assert_eq!(made.created.get(), 1);
    let staging = format!("staging/00000001/{:016x}", made.vnode.get());
    assert!(world.home().join(&staging).exists());
    let mut file = File::from(fd.unwrap());
    file.write_all(b"hello").unwrap();
    assert!(world.entry("new").unwrap().staged);
    assert_eq!(world.entry("new").unwrap().size, 5);
    drop(file);
    eventually("sealing after the last close", || {
        world.entry("new").filter(|entry| !entry.staged && entry.size == 5)
    });
    assert!(!world.home().join(&staging).exists());

    // A sealed file opened for writing: a copy with its bytes, the sealed blob unharmed.
    let main = world.entry("src/main.c").unwrap();
    let mut request = opening(0, O_RDWR);
    request.vnode = main.vnode.into();
    let (_, fd) = raw.request(Op::Open, request, b"", b"").unwrap();
    let mut file = File::from(fd.unwrap());
    assert_eq!(world.entry("src/main.c").unwrap().mtime_ns, main.mtime_ns);
    file.write_all(b"INT").unwrap();
    drop(file);

    let (dir, _) = raw.request(Op::Mkdir, at(ROOT), b"out", b"").unwrap();
    raw.request(Op::Symlink, at(dir.vnode.get()), b"s", b"moved").unwrap();
    assert_eq!(raw.request(Op::Mkdir, at(ROOT), b"out", b"").unwrap_err(), 17);
    assert_eq!(raw.request(Op::Rmdir, at(ROOT), b"out", b"").unwrap_err(), 39);
    assert_eq!(raw.request(Op::Unlink, at(ROOT), b"nothing", b"").unwrap_err(), 2);
    raw.request(Op::Unlink, at(ROOT), b"link", b"").unwrap();
    let mut rename = at(ROOT);
    rename.dir2 = dir.vnode;
    raw.request(Op::Rename, rename, b"new", b"moved").unwrap();

    let rows = world.diff(false);
    let rows: Vec<_> =
        rows.iter().map(|row| (String::from_utf8_lossy(&row.path.0).into_owned(), row.kind)).collect();
    let expected = [
        ("link", ChangeKind::Deleted),
        ("out", ChangeKind::Added),
        ("out/moved", ChangeKind::Added),
        ("out/s", ChangeKind::Added),
        ("src/main.c", ChangeKind::Modified),
    ];
    assert_eq!(rows, expected.map(|(path, kind)| (path.to_string(), kind)));
    assert_eq!(world.cat("out/s"), "hello");
    assert_eq!(world.cat("src/main.c"), "INT main;\n");
    // Invariant 2: the real tree is never written.
    assert_eq!(fs::read_to_string(world.project().join("src/main.c")).unwrap(), "int main;\n");

    let export = AdminRequest::Export { target: world.target(), paths: vec![], to: None, force: false };
    match world.ask(&export).0.pop() {
        Some(AdminReply::Exported(done)) => {
            assert!(done.conflicts.is_empty() && done.failed.is_empty(), "{done:?}");
            assert_eq!((done.written, done.deleted), (4, 1));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read_to_string(world.project().join("out/s")).unwrap(), "hello");
    assert_eq!(fs::read_to_string(world.project().join("src/main.c")).unwrap(), "INT main;\n");
    assert_eq!(fs::metadata(world.project().join("src/main.c")).unwrap().mode(), 0o100640);
    assert!(fs::symlink_metadata(world.project().join("link")).is_err());
    assert!(world.diff(false).is_empty() && world.diff(true).is_empty(), "{:?}", world.diff(true));
    let after = world.sync();
    assert_eq!((after.added, after.deleted, after.conflicts.len()), (0, 0, 0), "{after:?}");
}

#[test]
fn all_is_there_after_an_orderly_restart() {
    let mut world = project();
    world.ingest();
    let mut raw = world.raw(7);
    let (_, fd) = raw.request(Op::Open, opening(ROOT, O_CREAT | O_WRONLY), b"new", b"").unwrap();
    File::from(fd.unwrap()).write_all(b"kept").unwrap();
    let before: Vec<_> = world.list().iter().map(|entry| (entry.path.clone(), entry.vnode)).collect();
    assert!(matches!(world.ask(&AdminRequest::Stop).0.pop(), Some(AdminReply::Done)));
    world.supervisor.take().unwrap().wait().unwrap();
    world.start();
    let after: Vec<_> = world.list().iter().map(|entry| (entry.path.clone(), entry.vnode)).collect();
    assert_eq!(before, after);
    assert_eq!(world.cat("new"), "kept");
}
