//! What is measured, and where on the device.

/// One row of the table.
pub struct Case {
    pub name: &'static str,
    pub writes: bool,
    pub len_bytes: usize,
    pub depth: usize,
    pub random: bool,
}

const fn case(name: &'static str, writes: bool, len_bytes: usize, depth: usize, random: bool) -> Case {
    Case { name, writes, len_bytes, depth, random }
}

pub const CASES: [Case; 6] = [
    case("4 KiB random read, 1", false, 4096, 1, true),
    case("4 KiB random write, 1", true, 4096, 1, true),
    case("4 KiB random read, 32", false, 4096, 32, true),
    case("4 KiB random write, 32", true, 4096, 32, true),
    case("1 MiB seq. read, 1", false, 1 << 20, 1, false),
    case("1 MiB seq. write, 1", true, 1 << 20, 1, false),
];

/// Offsets of a case, the same in each run of it.
pub struct Offsets {
    state: u64,
    next: u64,
    count: u64,
    len_bytes: u64,
    random: bool,
}

impl Offsets {
    pub fn new(case: &Case, device_bytes: u64) -> Self {
        let len_bytes = case.len_bytes as u64;
        Self {
            state: 0x9e37_79b9_7f4a_7c15,
            next: 0,
            count: (device_bytes / len_bytes).max(1),
            len_bytes,
            random: case.random,
        }
    }

    pub fn next(&mut self) -> u64 {
        if self.random {
            // xorshift64 (Marsaglia, "Xorshift RNGs").
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            return self.state % self.count * self.len_bytes;
        }
        self.next = (self.next + 1) % self.count;
        self.next * self.len_bytes
    }
}
