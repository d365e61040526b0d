//! Random sequences. The names are few, so that calls meet the same files again and again.

/// A generator with a printable state: SplitMix64 (Steele, Lea and Flood 2014).
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }
}

const NAMES: [&str; 13] = ["a", "b", "c", "d", "d/a", "d/b", "e", "e/a", "d/f", "d/f/a", "l", "d/l", "m"];
const ODD_NAMES: [&str; 24] = [
    "a/",
    "d/",
    "d/.",
    "d/..",
    "./a",
    "d/../a",
    "%empty",
    "missing/x",
    "a/x",
    "%long",
    "%max",
    "d//a",
    "../q/a",
    "..",
    ".",
    "%root/a",
    "%root/d/b",
    "l/a",
    "d/l/",
    "l/..",
    "l/",
    "d/f/../b",
    "%root",
    "../x",
];
const TARGETS: [&str; 13] =
    ["a", "b", "d", "e", "../a", "d/a", "missing", "l", "m", "%root/b", "%root/d", "f", "."];
const LENGTHS: [u64; 8] = [0, 1, 10, 100, 4095, 4096, 5000, 70_000];
const OFFSETS: [i64; 7] = [0, 1, 10, 4096, 5000, 100_000, -1];
const MODES: [&str; 8] = ["644", "600", "755", "444", "000", "777", "4755", "1777"];
const ACCESS: [&str; 3] = ["r", "w", "rw"];
const EXTRA: [&str; 14] = [
    "",
    "",
    "",
    "+creat",
    "+creat",
    "+creat",
    "+trunc",
    "+creat+excl",
    "+creat+trunc",
    "+append",
    "+creat+append",
    "+directory",
    "+nofollow",
    "+path",
];

/// What is in `q` before a sequence whose number this is true of: taken in, so that its files are sealed.
pub fn starts_in_a_tree(sequence: u64) -> bool {
    sequence.is_multiple_of(5)
}

/// The sequence with this number.
pub fn sequence(seed: u64, number: u64) -> Vec<String> {
    let mut random = Random(seed.wrapping_mul(0x1_0000_0001) ^ number.wrapping_mul(0xd134_2543_de82_ef95));
    let mut ops: Vec<String> = Vec::new();
    if !starts_in_a_tree(number) {
        let prelude =
            ["mkdir d 755", "mkdir e 755", "put a 5000 1", "put d/a 10 2", "put b 100 1", "mkdir d/f 755"];
        ops.extend(prelude.iter().filter(|_| !random.one_in(4)).map(|op| (*op).to_owned()));
    }
    let slow = random.one_in(60);
    let len = 5 + random.below(35);
    for _ in 0..len {
        ops.push(call(&mut random));
    }
    if random.one_in(8) {
        let at = random.below(ops.len() as u64) as usize;
        ops.insert(at, "age".to_owned());
    }
    if slow {
        let at = random.below(ops.len() as u64) as usize;
        ops.insert(at, "settle".to_owned());
    }
    ops
}

fn name(random: &mut Random) -> &'static str {
    if random.one_in(10) { random.pick(&ODD_NAMES) } else { random.pick(&NAMES) }
}

fn call(random: &mut Random) -> String {
    match random.below(100) {
        0..=15 => open(random),
        16..=33 => data(random),
        34..=41 => by_fd(random),
        42..=56 => names(random),
        57..=70 => removal(random),
        71..=76 => attributes(random),
        77..=92 => look(random),
        _ => other(random),
    }
}

fn open(random: &mut Random) -> String {
    let slot = random.below(5);
    let path = name(random);
    let mode = random.pick(&MODES);
    if random.one_in(20) {
        return format!("open {slot} {} rw+tmpfile {mode}", random.pick(&["d", "e", ".", "a", "missing"]));
    }
    let flags = format!("{}{}", random.pick(&ACCESS), random.pick(&EXTRA));
    // Without O_CREAT a fifo would wait for its other end.
    let flags = format!("{flags}+nonblock");
    match random.below(6) {
        0 => format!("openat {slot} {} {path} {flags} {mode}", random.below(5)),
        1 => format!("open {slot} {} r+directory 0", random.pick(&["d", "e", ".", "d/f", "l"])),
        _ => format!("open {slot} {path} {flags} {mode}"),
    }
}

fn data(random: &mut Random) -> String {
    let (slot, other) = (random.below(5), random.below(5));
    let len = LENGTHS[random.below(8) as usize];
    let offset = OFFSETS[random.below(7) as usize];
    // Long equal files may be told apart by an fd that was open before (docs/limits.md).
    let fill = if len > 60_000 { 1000 + random.below(1_000_000) } else { random.below(3) };
    match random.below(20) {
        0..=2 => format!("read {slot} {len}"),
        3 => format!("pread {slot} {len} {offset}"),
        4..=7 => format!("write {slot} {len} {fill}"),
        8..=9 => format!("pwrite {slot} {len} {offset} {fill}"),
        10..=11 => format!("seek {slot} {offset} {}", random.below(3)),
        12..=13 => format!("ftruncate {slot} {}", OFFSETS[random.below(7) as usize]),
        14 => format!("fallocate {slot} {} {offset} {len}", random.below(2)),
        15 => format!("mapread {slot} {} {len}", random.below(2)),
        16 => format!("mapwrite {slot} {} {len} {fill}", random.below(2)),
        17 => format!("copyrange {slot} {other} {len}"),
        18 => format!("sendfile {slot} {other} {len}"),
        _ => format!("flock {slot} {}", [1, 2, 8][random.below(3) as usize]),
    }
}

fn by_fd(random: &mut Random) -> String {
    let slot = random.below(5);
    match random.below(16) {
        0..=2 => format!("close {slot}"),
        3 => format!("dup {slot} {}", random.below(5)),
        4 => format!("dup2 {slot} {}", random.below(5)),
        5 => format!("getfl {slot}"),
        6 => format!("appendfl {slot} {}", random.below(2)),
        7..=8 => format!("fstat {slot}"),
        9 => format!("fchmod {slot} {}", random.pick(&MODES)),
        10 => format!("futimens {slot} {} {}", time(random), time(random)),
        11 => format!("fchdir {slot}"),
        12 => format!("statat {slot} {} {}", name(random), [0, 0x100, 0x1000][random.below(3) as usize]),
        13 => format!("mkdirat {slot} {} 755", name(random)),
        14 => format!("unlinkat {slot} {} {}", name(random), [0, 0x200][random.below(2) as usize]),
        _ => format!("linkfd {slot} {}", name(random)),
    }
}

fn names(random: &mut Random) -> String {
    let (from, to) = (name(random), name(random));
    match random.below(20) {
        0..=7 => format!("rename {from} {to}"),
        8..=9 => format!("renameat2 {from} {to} {}", [0, 1, 2, 3][random.below(4) as usize]),
        10..=12 => format!("link {from} {to} {}", [0, 0, 0x400][random.below(3) as usize]),
        13..=14 => format!("symlink {} {to}", random.pick(&TARGETS)),
        15..=17 => format!("mkdir {to} {}", random.pick(&["755", "700", "777", "555"])),
        18 => format!("mkfifo {to} 644"),
        _ => put(random),
    }
}

fn put(random: &mut Random) -> String {
    let len = LENGTHS[random.below(7) as usize];
    format!("put {} {len} {}", name(random), random.below(3))
}

fn removal(random: &mut Random) -> String {
    let path = name(random);
    match random.below(10) {
        0..=2 => format!("unlink {path}"),
        3..=4 => format!("rmdir {path}"),
        5 => format!("remove {path}"),
        6 => format!("truncate {path} {}", OFFSETS[random.below(7) as usize]),
        7 => format!("mkdir {path} 755"),
        _ => put(random),
    }
}

fn attributes(random: &mut Random) -> String {
    // What is above the working directory stays searchable (docs/limits.md, realpath).
    let path = match name(random) {
        path if path.contains("..") => ".",
        path => path,
    };
    match random.below(8) {
        0..=2 => format!("chmod {path} {}", random.pick(&MODES)),
        3..=4 => format!("utimens {path} {} {} {}", time(random), time(random), random.below(2)),
        5 => format!("setxattr {path} {}", random.below(3)),
        6 => format!("delxattr {path}"),
        _ => format!("chown {path} {} {}", [0, 65534, 7][random.below(3) as usize], random.below(2)),
    }
}

fn look(random: &mut Random) -> String {
    let path = name(random);
    match random.below(16) {
        0..=4 => format!("stat {path}"),
        5..=7 => format!("lstat {path}"),
        8 => format!("access {path} {}", random.below(8)),
        9 => format!("readlink {path}"),
        10..=12 => format!("list {path}"),
        13 => format!("realpath {path}"),
        14 => format!("getxattr {path}"),
        _ => "getcwd".to_owned(),
    }
}

fn other(random: &mut Random) -> String {
    match random.below(8) {
        0..=1 => format!("chdir {}", random.pick(&["d", "e", "d/f", "l", "%root", ".", "a", "m"])),
        2 => format!("umask {}", random.pick(&["022", "077", "000"])),
        3..=4 => format!("fork {}", 1 + random.below(5)),
        5 => format!(
            "stream {} {} {} {}",
            name(random),
            random.pick(&["r", "w", "a", "r+", "w+", "a+", "wx"]),
            LENGTHS[random.below(6) as usize],
            random.below(3)
        ),
        6 => format!("fsync {}", random.below(5)),
        _ => put(random),
    }
}

fn time(random: &mut Random) -> String {
    match random.below(4) {
        0 => "-".to_owned(),
        1 => "now".to_owned(),
        _ => (1000 + random.below(5)).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_sequence_again_and_another_seed_another() {
        assert_eq!(sequence(1, 7), sequence(1, 7));
        assert_ne!(sequence(1, 7), sequence(2, 7));
        assert_ne!(sequence(1, 7), sequence(1, 8));
    }
}
