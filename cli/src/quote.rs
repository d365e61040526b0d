//! Text that a POSIX shell reads back as it was.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// `'value'` for sh(1): between single quotes nothing is special but the quote itself.
pub fn shell_quote(value: &OsStr) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in value.as_bytes() {
        match byte {
            b'\'' => quoted.extend_from_slice(b"'\\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// `'value'` for fish(1): between single quotes a backslash stands before a quote or a backslash.
pub fn fish_quote(value: &OsStr) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in value.as_bytes() {
        if matches!(byte, b'\'' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(*byte);
    }
    quoted.push(b'\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fish_reads_back_what_was_quoted_for_it() {
        assert_eq!(fish_quote(OsStr::new(r"it's a \n")), br"'it\'s a \\n'");
    }
    use std::process::Command;

    #[test]
    fn a_shell_reads_back_every_byte() {
        let all: Vec<u8> = (1..=255).chain(*b"''$(rm x)`\\\"\n").collect();
        let mut script = b"printf %s ".to_vec();
        script.extend(shell_quote(OsStr::from_bytes(&all)));
        let output = Command::new("sh").arg("-c").arg(OsStr::from_bytes(&script)).output().unwrap();
        assert_eq!(output.stdout, all);
    }
}
