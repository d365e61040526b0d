//! What changes in a real directory is noticed as it happens, and nothing of it is missed (RFC 0017).

mod common;

use common::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use vrift_protocol::admin::{AdminReply, AdminRequest, Taken};

fn world() -> World {
    let world = World::started();
    fill(&world);
    world
}

fn fill(world: &World) {
    for name in ["a", "b", "d/e", "d/f", "d/deep/er/x", "g/h"] {
        write(world.project().join(name), &format!("{name}\n"));
    }
    world.ingest();
}

/// Everything is looked at.
fn sync_all(world: &World) -> Taken {
    match world.ask(&AdminRequest::Sync { target: world.target(), settle: None, all: true }).0.pop() {
        Some(AdminReply::Taken(taken)) => taken,
        other => panic!("{other:?}"),
    }
}

fn counts(taken: &Taken) -> (u64, u64, u64) {
    (taken.added, taken.modified, taken.deleted)
}

/// Only what was noticed was looked at, and the workspace is like the directory.
fn noticed(world: &World) -> Taken {
    let taken = world.sync();
    assert!(taken.noticed, "everything was looked at");
    same(world);
    taken
}

fn same(world: &World) {
    let differences = world.diff(true);
    assert!(differences.is_empty(), "missed: {differences:?}");
}

#[test]
fn only_what_changed_is_looked_at() {
    let world = world();
    let dir = world.project();
    for number in 0..200 {
        write(dir.join(format!("many/{number}")), "x");
    }
    noticed(&world);
    assert_eq!(noticed(&world).looked_at, 0);
    write(dir.join("d/deep/er/x"), "other\n");
    let taken = noticed(&world);
    assert_eq!(counts(&taken), (0, 1, 0));
    assert!(taken.looked_at <= 2, "{taken:?}");
    assert_eq!(taken.files, 206);
}

#[test]
fn every_way_to_change_a_tree_is_noticed() {
    let world = world();
    let dir = world.project();
    let at = |path: &str| dir.join(path);
    let step = |what: &str, change: &dyn Fn()| {
        change();
        assert!(world.sync().noticed, "{what}");
        let differences = world.diff(true);
        assert!(differences.is_empty(), "{what}: {differences:?}");
    };
    step("an atomic save", &|| {
        write(at("d/.e.swp"), "saved\n");
        fs::rename(at("d/.e.swp"), at("d/e")).unwrap();
    });
    step("a save by way of a backup", &|| {
        fs::rename(at("b"), at("b~")).unwrap();
        write(at("b"), "again\n");
    });
    step("an appended line, the file still open", &|| {
        let mut file = File::options().append(true).open(at("a")).unwrap();
        file.write_all(b"more\n").unwrap();
        std::mem::forget(file);
    });
    step("a mode", &|| fs::set_permissions(at("g/h"), fs::Permissions::from_mode(0o755)).unwrap());
    step("a directory's mode", &|| fs::set_permissions(at("g"), fs::Permissions::from_mode(0o700)).unwrap());
    step("a tree that is made", &|| write(at("n/e/w/file"), "new\n"));
    step("in a directory that is new", &|| write(at("n/e/w/other"), "new\n"));
    step("a directory that is moved", &|| fs::rename(at("n/e"), at("moved")).unwrap());
    step("in a directory that was moved", &|| write(at("moved/w/file"), "newer\n"));
    step("a directory in place of another", &|| {
        fs::rename(at("d"), at("old")).unwrap();
        fs::rename(at("moved"), at("d")).unwrap();
    });
    step("in both", &|| {
        write(at("d/w/other"), "in the new\n");
        write(at("old/deep/er/x"), "in the old\n");
    });
    step("removed and made again", &|| {
        fs::remove_dir_all(at("old/deep")).unwrap();
        write(at("old/deep/er/y"), "y\n");
    });
    step("what lies in it", &|| write(at("old/deep/er/y"), "yy\n"));
    step("a file in place of a directory", &|| {
        fs::remove_dir_all(at("old/deep")).unwrap();
        write(at("old/deep"), "a file\n");
    });
    step("a directory in place of a file", &|| {
        fs::remove_file(at("old/deep")).unwrap();
        write(at("old/deep/file"), "in it\n");
    });
    step("a symlink", &|| symlink("a", at("link")).unwrap());
    step("another target", &|| {
        fs::remove_file(at("link")).unwrap();
        symlink("b", at("link")).unwrap();
    });
    step("a further name", &|| fs::hard_link(at("a"), at("a2")).unwrap());
    step("what is written by it", &|| write(at("a2"), "by the other name\n"));
    step("it goes", &|| fs::remove_file(at("a2")).unwrap());
    step("two directories change places", &|| {
        fs::rename(at("d"), at("t")).unwrap();
        fs::rename(at("g"), at("d")).unwrap();
        fs::rename(at("t"), at("g")).unwrap();
    });
    step("in them", &|| {
        write(at("d/h"), "was in g\n");
        write(at("g/w/file"), "was in d\n");
    });
    step("all goes", &|| {
        for name in ["d", "g", "old", "n"] {
            fs::remove_dir_all(at(name)).unwrap();
        }
    });
    assert_eq!(counts(&sync_all(&world)), (0, 0, 0), "times were missed");
}

#[test]
fn a_file_that_has_a_name_elsewhere_is_looked_at_each_time() {
    let world = world();
    let outside = world.dir.path().join("outside");
    fs::hard_link(world.project().join("a"), &outside).unwrap();
    sync_all(&world);
    write(outside, "from outside\n");
    noticed(&world);
    assert_eq!(world.cat("a"), "from outside\n");
}

#[test]
fn what_overflows_is_looked_for_everywhere() {
    let world = world();
    let dir = world.project();
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    let daemon = Pid::from_raw(world.pid());
    kill(daemon, Signal::SIGSTOP).unwrap();
    for number in 0..limit / 2 + 100 {
        // Two events each, none like the one before.
        fs::set_permissions(dir.join("a"), fs::Permissions::from_mode(0o600 + number as u32 % 2)).unwrap();
        fs::set_permissions(dir.join("b"), fs::Permissions::from_mode(0o600 + number as u32 % 2)).unwrap();
    }
    write(dir.join("d/after"), "after the overflow\n");
    kill(daemon, Signal::SIGCONT).unwrap();
    let taken = world.sync();
    assert!(!taken.noticed);
    same(&world);
    assert_eq!(world.cat("d/after"), "after the overflow\n");
    write(dir.join("d/after"), "noticed again\n");
    noticed(&world);
}

#[test]
fn more_names_than_are_worth_it_are_looked_for_everywhere() {
    let world = world();
    for number in 0..17_000 {
        File::create(world.project().join(format!("n{number}"))).unwrap();
    }
    assert!(!world.sync().noticed);
    same(&world);
    assert!(world.sync().noticed);
}

#[test]
fn a_restart_is_no_gap() {
    let world = world();
    let dir = world.project();
    write(dir.join("a"), "before\n");
    world.kill_and_wait();
    write(dir.join("d/e"), "after\n");
    assert!(!world.sync().noticed);
    same(&world);
    write(dir.join("d/f"), "later\n");
    noticed(&world);
}

#[test]
fn where_there_is_no_watch_everything_is_looked_at() {
    for (most, watched) in [(0, false), (3, false), (6, true)] {
        let mut world = World::new();
        fs::create_dir(world.home()).unwrap();
        fs::write(world.home().join("config.toml"), format!("[ingest]\nwatch_dirs_max = {most}\n")).unwrap();
        world.start();
        fill(&world);
        write(world.project().join("d/deep/er/x"), "changed\n");
        assert_eq!(world.sync().noticed, watched, "{most}");
        same(&world);
        // A directory too many.
        write(world.project().join("one/more"), "x\n");
        write(world.project().join("two/more"), "x\n");
        world.sync();
        same(&world);
        write(world.project().join("two/more"), "y\n");
        assert!(!world.sync().noticed, "{most}");
        same(&world);
    }
}

#[test]
fn another_directory_at_its_place_is_another_one() {
    let world = world();
    let (dir, aside) = (world.project(), world.dir.path().join("aside"));
    fs::rename(&dir, &aside).unwrap();
    fs::create_dir(&dir).unwrap();
    write(dir.join("a"), "of another\n");
    assert!(!world.sync().noticed);
    same(&world);
    fs::remove_dir_all(&dir).unwrap();
    fs::rename(&aside, &dir).unwrap();
    world.sync();
    same(&world);
    assert_eq!(world.cat("d/e"), "d/e\n");
}

#[test]
fn what_is_the_matter_is_told_again_each_time() {
    let world = world();
    let dir = world.project();
    nix::unistd::mkfifo(&dir.join("d/pipe"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    for _ in 0..3 {
        let taken = world.sync();
        assert!(taken.noticed);
        assert_eq!(taken.skipped.len(), 1);
    }
    fs::remove_file(dir.join("d/pipe")).unwrap();
    assert!(world.sync().skipped.is_empty());
}

#[test]
fn rules_that_change_are_followed() {
    let world = World::started();
    let dir = world.project();
    write(dir.join("src/a"), "a\n");
    write(dir.join("out/b"), "b\n");
    write(dir.join(".vriftignore"), "out\n");
    assert_eq!(world.ingest().ignored_count, 1);
    write(dir.join("out/c"), "c\n");
    let taken = world.sync();
    assert_eq!((taken.noticed, taken.looked_at, taken.ignored_count), (true, 0, 1));
    write(dir.join(".vriftignore"), "none\n");
    assert!(!world.sync().noticed);
    same(&world);
    assert_eq!(world.cat("out/c"), "c\n");
    write(dir.join(".vriftignore"), "*.log\n");
    world.sync();
    write(dir.join("src/x.log"), "log\n");
    let taken = world.sync();
    assert_eq!((taken.noticed, taken.ignored_count), (true, 1));
    fs::remove_file(dir.join("src/x.log")).unwrap();
    assert_eq!(world.sync().ignored_count, 0);
}

/// Knuth's MMIX generator.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

/// Some change at some place; those that are not possible there are none.
fn change(random: &mut Random, dir: &Path) {
    let some = |random: &mut Random| -> PathBuf {
        let depth = 1 + random.below(3);
        (0..depth).map(|_| ["a", "b", "c", "d"][random.below(4)]).collect()
    };
    let (one, two) = (dir.join(some(random)), dir.join(some(random)));
    let _ = match random.below(12) {
        0..=3 => {
            let _ = fs::create_dir_all(one.parent().unwrap());
            fs::write(&one, format!("{}\n", random.below(1000)))
        }
        4 => fs::rename(&one, &two),
        5 => fs::remove_dir_all(&one),
        6 => fs::remove_file(&one),
        7 => fs::create_dir_all(&one),
        8 => fs::hard_link(&one, &two),
        9 => symlink("a", &one),
        10 => {
            let mode = 0o700 + random.below(0o77) as u32;
            fs::symlink_metadata(&one).and_then(|stat| match stat.is_symlink() {
                true => Ok(()),
                false => fs::set_permissions(&one, fs::Permissions::from_mode(mode)),
            })
        }
        _ => {
            let beside = one.with_extension("new");
            fs::write(&beside, format!("{}\n", random.below(1000))).and_then(|()| fs::rename(&beside, &one))
        }
    };
}

#[test]
fn random_changes_are_all_noticed() {
    for seed in 0..20 {
        let world = world();
        let mut random = Random(seed);
        for round in 0..10 {
            for _ in 0..1 + random.below(30) {
                change(&mut random, &world.project());
            }
            let taken = world.sync();
            assert!(taken.noticed && taken.conflicts.is_empty(), "seed {seed}, round {round}: {taken:?}");
            let differences = world.diff(true);
            assert!(differences.is_empty(), "seed {seed}, round {round}: {differences:?}");
        }
        let taken = sync_all(&world);
        assert_eq!(counts(&taken), (0, 0, 0), "seed {seed}: {taken:?}");
    }
}

#[test]
fn what_changes_during_a_take_in_is_taken_in_by_the_next() {
    for seed in 0..5 {
        let world = world();
        let (dir, stop) = (world.project(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut random = Random(seed);
                while !stop.load(Ordering::Relaxed) {
                    change(&mut random, &dir);
                }
            });
            for _ in 0..30 {
                world.sync();
            }
            stop.store(true, Ordering::Relaxed);
        });
        let taken = world.sync();
        assert!(taken.conflicts.is_empty(), "seed {seed}: {taken:?}");
        let differences = world.diff(true);
        assert!(differences.is_empty(), "seed {seed}: {differences:?}");
        let taken = sync_all(&world);
        assert_eq!(counts(&taken), (0, 0, 0), "seed {seed}: {taken:?}");
    }
}

#[test]
fn an_edit_writes_what_changed_of_the_table_and_a_collection_keeps_the_rest_of_it() {
    let world = World::started();
    let dir = world.project();
    for number in 0..3000 {
        write(dir.join(format!("d{}/a-file-with-a-name-{number}", number % 50)), "the same\n");
    }
    world.ingest();
    let stored = |world: &World| {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(world.home().join("store.img")).unwrap().blocks() * 512
    };
    let again = |world: &World, what: &str| {
        world.ask(&AdminRequest::Collect { max_bytes: None });
        world.kill_and_wait();
        assert_eq!(counts(&world.sync()), (0, 0, 0), "{what}: everything is known");
        same(world);
    };
    let before = stored(&world);
    for number in 0..10 {
        write(dir.join(format!("d7/a-file-with-a-name-{}", 7 + 50 * number)), &format!("{number}\n"));
        assert_eq!(counts(&noticed(&world)), (0, 1, 0));
    }
    fs::remove_file(dir.join("d8/a-file-with-a-name-8")).unwrap();
    write(dir.join("new/one"), "new\n");
    assert_eq!(counts(&noticed(&world)), (2, 0, 1));
    // The whole table is some 400 KiB.
    let grown = stored(&world) - before;
    assert!(grown < 128 << 10, "{grown} bytes more for twelve changes");
    again(&world, "a few changes");
    assert_eq!(world.sync().files, 3000);
    fs::remove_dir_all(dir.join("d9")).unwrap();
    for number in 0..200 {
        write(dir.join(format!("more/{number}")), "more\n");
    }
    assert_eq!(counts(&noticed(&world)), (201, 0, 61));
    again(&world, "many changes");
    write(dir.join("more/1"), "once more\n");
    assert_eq!(counts(&noticed(&world)), (0, 1, 0));
    again(&world, "one more");
}
