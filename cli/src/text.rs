//! How names, sizes, times and modes are written for people.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use vrift_protocol::admin::PathBytes;

/// A line on stderr in one write(2): the command in the view and other runs write there at the same time.
macro_rules! say {
    ($($part:tt)*) => { $crate::text::write_line(format!($($part)*)) };
}
pub(crate) use say;

pub fn write_line(mut line: String) {
    line.push('\n');
    // There is nowhere to say that stderr cannot be written.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

const KIB: f64 = 1024.0;
const SECONDS_A_DAY: i64 = 86_400;
const NS_A_SECOND: i64 = 1_000_000_000;

/// Bytes as text without loss: control characters, backslashes and what is not UTF-8 become `\xNN` and `\\`.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\\' => text.push_str("\\\\"),
                letter if letter.is_control() => {
                    let mut buffer = [0; 4];
                    push_hex(&mut text, letter.encode_utf8(&mut buffer).as_bytes());
                }
                letter => text.push(letter),
            }
        }
        push_hex(&mut text, chunk.invalid());
    }
    text
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        text.push_str(&format!("\\x{byte:02x}"));
    }
}

pub fn escape_path(path: &Path) -> String {
    escape(path.as_os_str().as_bytes())
}

pub fn path_text(path: &PathBytes) -> String {
    escape(&path.0)
}

/// `17 B`, `1.2 MiB`.
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        // What would be shown as 1024.0 belongs to the next unit.
        if value < KIB - 0.05 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= KIB;
    }
    format!("{value:.1} PiB")
}

/// `1 file`, `2 files`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Nanoseconds since the epoch as `2025-01-31 12:34:56.123456789Z`.
pub fn time(ns: i64) -> String {
    let (seconds, ns) = (ns.div_euclid(NS_A_SECOND), ns.rem_euclid(NS_A_SECOND));
    let (days, of_day) = (seconds.div_euclid(SECONDS_A_DAY), seconds.rem_euclid(SECONDS_A_DAY));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{ns:09}Z")
}

/// Year, month and day of the proleptic Gregorian calendar, `days` after 1970-01-01. Years are counted from
/// March, so that the leap day is the last of its year.
fn date(days: i64) -> (i64, i64, i64) {
    const DAYS_TO_EPOCH: i64 = 719_468; // from 0000-03-01
    const DAYS_400_YEARS: i64 = 146_097;
    let days = days + DAYS_TO_EPOCH;
    let (era, of_era) = (days.div_euclid(DAYS_400_YEARS), days.rem_euclid(DAYS_400_YEARS));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153; // 0 is March; five months have 153 days
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year_of_era + carry, month, day)
}

/// Type and permissions as ls(1) writes them: `-rwxr-xr-x`.
pub fn mode(file_type: &str, mode: u32) -> String {
    let mut text = String::from(match file_type {
        "directory" => "d",
        "symlink" => "l",
        "fifo" => "p",
        "socket" => "s",
        "char" | "character device" => "c",
        "block" | "block device" => "b",
        _ => "-",
    });
    // Set-user-id, set-group-id and sticky share the place of an x.
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping_keeps_text_and_loses_nothing_else() {
        assert_eq!(escape("grün file".as_bytes()), "grün file");
        assert_eq!(escape(b"a\nb\x1b\\\xff"), "a\\x0ab\\x1b\\\\\\xff");
        assert_eq!(escape("\u{85}".as_bytes()), "\\xc2\\x85");
    }

    #[test]
    fn sizes_change_unit_at_1024() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1024), "1.0 KiB");
        assert_eq!(size(1024 * 1024 - 1), "1.0 MiB");
        assert_eq!(size(u64::MAX), "16384.0 PiB");
    }

    #[test]
    fn times_are_utc_with_nanoseconds() {
        assert_eq!(time(0), "1970-01-01 00:00:00.000000000Z");
        assert_eq!(time(-1), "1969-12-31 23:59:59.999999999Z");
        assert_eq!(time(1_709_164_800 * NS_A_SECOND + 5), "2024-02-29 00:00:00.000000005Z");
        assert_eq!(time(4_107_542_399 * NS_A_SECOND), "2100-02-28 23:59:59.000000000Z");
    }

    #[test]
    fn modes_are_those_of_ls() {
        assert_eq!(mode("file", 0o644), "-rw-r--r--");
        assert_eq!(mode("directory", 0o1777), "drwxrwxrwt");
        assert_eq!(mode("file", 0o4644), "-rwSr--r--");
        assert_eq!(mode("symlink", 0o777), "lrwxrwxrwx");
    }
}
