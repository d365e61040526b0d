//! The requests of the preload library that need something real: mirror, exec links, fifos, sizes, times.

mod common;

use common::*;
use nix::libc::{O_CREAT, O_RDWR, O_TRUNC, O_WRONLY};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};
use vrift_protocol::admin::{AdminReply, AdminRequest};
use vrift_protocol::vnode_op::set;
use vrift_protocol::{Op, VnodeRequest};

const ETXTBSY: u32 = 26;

fn world() -> World {
    let world = World::started();
    write(world.project().join("tool"), "#!/bin/sh\necho tool\n");
    fs::set_permissions(world.project().join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
    write(world.project().join("d/e"), "0123456789");
    world.ingest();
    world
}

fn about(vnode: u64) -> VnodeRequest {
    VnodeRequest { vnode: vnode.into(), ..VnodeRequest::default() }
}

fn create(raw: &mut Raw, name: &str) -> (u64, File) {
    let request = opening(ROOT, O_CREAT | O_RDWR);
    let (reply, fd) = raw.request(Op::Open, request, name.as_bytes(), b"").unwrap();
    (reply.vnode.get(), File::from(fd.unwrap()))
}

#[test]
fn a_mirror_folder_stands_for_a_directory_until_it_is_removed() {
    let world = world();
    let mut raw = world.raw(1);
    let (dir, _) = raw.request(Op::Mkdir, at(ROOT), b"m", b"").unwrap();
    let (_, fd) = raw.request(Op::Mirror, about(dir.vnode.get()), b"", b"").unwrap();
    let path = world.home().join(format!("mirror/00000001/{:016x}", dir.vnode.get()));
    let fd = File::from(fd.unwrap());
    assert_eq!(fd.metadata().unwrap().ino(), fs::metadata(&path).unwrap().ino());
    let tool = world.entry("tool").unwrap().vnode;
    let link = VnodeRequest { dir: dir.vnode, ..about(tool) };
    raw.request(Op::ExecLink, link, b"tool", b"").unwrap();
    assert!(path.join("tool").exists());
    raw.request(Op::Rmdir, at(ROOT), b"m", b"").unwrap();
    assert!(!path.exists());
    assert_eq!(raw.request(Op::Mirror, about(dir.vnode.get()), b"", b"").unwrap_err(), 2);
}

#[test]
fn an_exec_link_is_the_sealed_program_and_follows_its_changes() {
    let world = world();
    let mut raw = world.raw(1);
    let tool = world.entry("tool").unwrap().vnode;
    let link = VnodeRequest { dir: ROOT.into(), ..about(tool) };
    raw.request(Op::ExecLink, link, b"tool", b"").unwrap();
    let path = world.home().join("mirror/00000001/0000000000000001/tool");
    let run = || String::from_utf8(std::process::Command::new(&path).output().unwrap().stdout).unwrap();
    assert_eq!(run(), "tool\n");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o555);

    // With a writer: busy, as execve(2) says. Without: sealed at once and linked anew.
    let request = VnodeRequest { vnode: tool.into(), ..opening(0, O_WRONLY | O_TRUNC) };
    let (_, fd) = raw.request(Op::Open, request, b"", b"").unwrap();
    let mut file = File::from(fd.unwrap());
    file.write_all(b"#!/bin/sh\necho other\n").unwrap();
    assert_eq!(raw.request(Op::ExecLink, link, b"tool", b"").unwrap_err(), ETXTBSY);
    drop(file);
    // A process that another test of this program starts has a copy of the fd until it executes something.
    let until = Instant::now() + SOON;
    while let Err(errno) = raw.request(Op::ExecLink, link, b"tool", b"") {
        assert!(errno == ETXTBSY && Instant::now() < until, "errno {errno}");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(run(), "other\n");
    assert!(!world.entry("tool").unwrap().staged);
}

#[test]
fn sealed_bytes_come_back_when_the_hot_tier_was_deleted() {
    let world = world();
    let mut raw = world.raw(1);
    let entry = world.entry("d/e").unwrap();
    let hash = entry.hash.unwrap();
    let hot = world.home().join(format!("hot/{}/{hash}", &hash[..2]));
    let _ = fs::remove_file(&hot);
    raw.request(Op::Materialise, about(entry.vnode), b"", b"").unwrap();
    assert_eq!(fs::read_to_string(&hot).unwrap(), "0123456789");
}

#[test]
fn sizes_and_times_are_set_on_sealed_and_on_staged_files() {
    let world = world();
    let mut raw = world.raw(1);
    let vnode = world.entry("d/e").unwrap().vnode;
    let resize = |size: u64| VnodeRequest { set: set::SIZE.into(), size: size.into(), ..about(vnode) };
    raw.request(Op::SetAttr, resize(4), b"", b"").unwrap();
    assert_eq!(world.cat("d/e"), "0123");
    raw.request(Op::SetAttr, resize(6), b"", b"").unwrap();
    assert_eq!(world.cat("d/e"), "0123\0\0");
    raw.request(Op::SetAttr, resize(0), b"", b"").unwrap();
    assert_eq!(world.cat("d/e"), "");

    let stamp = |vnode: u64| VnodeRequest {
        set: (set::MTIME | set::ATIME | set::MODE).into(),
        mtime_ns: 1_500_000_000_123_456_789.into(),
        atime_ns: (-5).into(),
        mode: 0o601.into(),
        ..about(vnode)
    };
    let (staged, mut file) = create(&mut raw, "staged");
    file.write_all(b"x").unwrap();
    for (path, vnode) in [("staged", staged), ("d/e", vnode)] {
        raw.request(Op::SetAttr, stamp(vnode), b"", b"").unwrap();
        let entry = world.entry(path).unwrap();
        assert_eq!((entry.mtime_ns, entry.atime_ns), (1_500_000_000_123_456_789, -5), "{path}");
        assert_eq!(entry.mode, 0o100601);
    }
    drop(file);
    let sealed = eventually("sealing", || world.entry("staged").filter(|entry| !entry.staged));
    assert_eq!(sealed.mtime_ns, 1_500_000_000_123_456_789);
    assert_eq!(sealed.mode, 0o100601);
}

#[test]
fn a_fifo_has_a_real_one_and_loses_it_with_its_name() {
    let world = world();
    let mut raw = world.raw(1);
    let fifo = VnodeRequest { mode: 0o010600.into(), ..at(ROOT) };
    let (made, _) = raw.request(Op::Mknod, fifo, b"f", b"").unwrap();
    let real = world.home().join(format!("staging/00000001/{:016x}", made.vnode.get()));
    assert!(fs::metadata(&real).unwrap().file_type().is_fifo());
    assert_eq!(world.entry("f").unwrap().file_type, "fifo");
    world.kill_and_wait();
    assert!(real.exists());
    let mut raw = world.raw(2);
    raw.request(Op::Unlink, at(ROOT), b"f", b"").unwrap();
    assert!(!real.exists());
}

#[test]
fn an_unlinked_or_replaced_staged_file_leaves_no_bytes_behind() {
    let world = world();
    let mut raw = world.raw(1);
    let (_, mut one) = create(&mut raw, "one");
    let (_, mut two) = create(&mut raw, "two");
    one.write_all(b"one").unwrap();
    two.write_all(b"two").unwrap();
    raw.request(Op::Rename, VnodeRequest { dir2: ROOT.into(), ..at(ROOT) }, b"one", b"two").unwrap();
    drop(two);
    let left = || {
        let files = fs::read_dir(world.home().join("staging/00000001")).unwrap();
        files.filter(|file| file.as_ref().unwrap().metadata().is_ok_and(|stat| stat.len() > 0)).count()
    };
    eventually("the replaced file's bytes are gone", || (left() == 1).then_some(()));
    raw.request(Op::Unlink, at(ROOT), b"two", b"").unwrap();
    eventually("the removed file's bytes are gone", || (left() == 0).then_some(()));
    // Its fd goes on, as on any file system.
    one.write_all(b" more").unwrap();
    assert_eq!((one.metadata().unwrap().len(), one.metadata().unwrap().nlink()), (8, 0));
}

#[test]
fn a_large_sealed_file_is_copied_for_each_of_many_openers_once() {
    let world = world();
    let large = "0123456789abcdef".repeat(256 * 1024);
    write(world.project().join("large"), &large);
    world.sync();
    let vnode = world.entry("large").unwrap().vnode;
    std::thread::scope(|scope| {
        for client in 0..8u64 {
            let world = &world;
            scope.spawn(move || {
                let mut raw = world.raw(client + 10);
                let request = VnodeRequest { vnode: vnode.into(), ..opening(0, O_RDWR) };
                let (_, fd) = raw.request(Op::Open, request, b"", b"").unwrap();
                use std::os::unix::fs::FileExt;
                File::from(fd.unwrap()).write_all_at(b"X", client).unwrap();
            });
        }
    });
    let text = world.cat("large");
    assert_eq!(text.len(), large.len());
    assert_eq!(&text[..16], "XXXXXXXX89abcdef");
}

#[test]
fn results_for_retries_are_kept_in_checkpoints() {
    let mut world = world();
    let id = world.enter().id;
    let mut raw = world.raw(7);
    let (made, _) = raw.request(Op::Mkdir, at(ROOT), b"m", b"").unwrap();
    assert!(matches!(world.ask(&AdminRequest::Stop).0.pop(), Some(AdminReply::Done)));
    world.supervisor.take().unwrap().wait().unwrap();
    world.start();
    let mut raw = Raw::connect(&world.socket(), 7, id);
    let (again, _) = raw.retry(1, Op::Mkdir, at(ROOT), b"m", b"").unwrap();
    assert_eq!(again.vnode.get(), made.vnode.get());
}

#[test]
fn an_ingest_that_was_killed_is_complete_or_never_happened() {
    let world = World::started();
    for number in 0..3000 {
        write(world.project().join(format!("d{}/f{number}", number % 30)), &format!("{number}\n"));
    }
    for delay_ms in [3, 10, 25, 40] {
        std::thread::scope(|scope| {
            let mut client = world.client();
            let dir = world.project();
            scope.spawn(move || {
                let _ = client.call(&AdminRequest::Ingest { dir: dir.into(), name: None }, &mut |_| {});
            });
            std::thread::sleep(std::time::Duration::from_millis(delay_ms));
            world.kill_and_wait();
        });
        match world.ask(&AdminRequest::Workspaces).0.pop() {
            Some(AdminReply::Workspaces(rows)) if rows.is_empty() => {}
            Some(AdminReply::Workspaces(rows)) => assert_eq!(rows[0].vnodes, 3031),
            other => panic!("{other:?}"),
        }
    }
    let taken = world.ingest();
    assert_eq!(taken.files, 3000);
    assert!(world.diff(true).is_empty());
}

#[test]
fn new_files_are_staged_in_removed_ones_also_where_the_next_number_has_none() {
    let world = world();
    let mut raw = world.raw(1);
    // Files that wait to be used again have times by which a daemon knows them: cas/src/blank.rs.
    let waiting = || -> Vec<u64> {
        let files = fs::read_dir(world.home().join("staging/00000001")).unwrap();
        let stats = files.filter_map(|file| file.unwrap().metadata().ok());
        stats.filter(|stat| (stat.len(), stat.mtime()) == (0, 1)).map(|stat| stat.ino()).collect()
    };
    for name in ["one", "two", "three"] {
        drop(create(&mut raw, name));
    }
    for name in ["one", "two", "three"] {
        raw.request(Op::Unlink, at(ROOT), name.as_bytes(), b"").unwrap();
    }
    let all = eventually("files that wait", || Some(waiting()).filter(|inodes| inodes.len() == 3));
    // The number of the file that was removed last is the next one, and has no file yet.
    for _ in 0..3 {
        let (_, file) = create(&mut raw, "new");
        assert!(all.contains(&file.metadata().unwrap().ino()));
        raw.request(Op::Unlink, at(ROOT), b"new", b"").unwrap();
    }
}
