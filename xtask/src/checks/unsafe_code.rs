//! `unsafe` is for the preload library, the virtio driver and modules called `sys`.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::workspace;

const CRATES: [&str; 2] = ["shim", "virtio-backend"];

pub fn broken() -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for file in workspace::rust_files()? {
        if CRATES.iter().any(|allowed| file.starts_with(allowed)) {
            continue;
        }
        let text = fs::read_to_string(workspace::root().join(&file))?;
        if is_crate_root(&file) && !fences_unsafe(&text) {
            broken.push(format!("{} has no #![forbid(unsafe_code)]", file.display()));
        }
        if !is_sys(&file)
            && let Some(line) = first_unsafe(&text)
        {
            broken.push(format!("{}:{line} has unsafe code", file.display()));
        }
    }
    Ok(broken)
}

fn is_sys(file: &Path) -> bool {
    file.with_extension("").components().any(|part| part.as_os_str() == "sys")
}

fn is_crate_root(file: &Path) -> bool {
    file.ends_with("src/lib.rs") || file.ends_with("src/main.rs")
}

/// `deny` is for crates with a module called `sys`, which may allow it again.
fn fences_unsafe(text: &str) -> bool {
    text.contains("#![forbid(unsafe_code)]") || text.contains("#![deny(unsafe_code)]")
}

/// The line of the first `unsafe` that is code, counted from 1.
fn first_unsafe(text: &str) -> Option<usize> {
    let code = blank_text(text);
    code.lines()
        .position(|line| {
            line.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == "unsafe")
        })
        .map(|index| index + 1)
}

/// The source with comments and the insides of string literals blanked out; line ends stay.
fn blank_text(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if let Some(raw) = rest.strip_prefix("r#\"") {
            raw.find("\"#").map_or(rest.len(), |at| at + 5)
        } else if rest.starts_with("'\"'") {
            3
        } else if c == '"' {
            quoted_len(rest)
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        code.extend(rest[..skipped].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[skipped..];
    }
    code
}

/// The length of a literal from its first quote to its last.
fn quoted_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_in_code_is_found_on_its_line() {
        assert_eq!(first_unsafe("fn a() {}\nfn b() { unsafe { c() } }\n"), Some(2));
        assert_eq!(first_unsafe("unsafe impl Send for A {}"), Some(1));
    }

    #[test]
    fn unsafe_in_comments_and_literals_is_no_code() {
        let text = "// unsafe\n/* unsafe\n */ let a = \"unsafe \\\" unsafe\"; let b = r#\"unsafe \" \"#;\n";
        assert_eq!(first_unsafe(text), None);
        assert_eq!(first_unsafe("#![forbid(unsafe_code)]"), None);
    }

    #[test]
    fn code_after_a_quoted_quote_is_still_seen() {
        assert_eq!(first_unsafe("let q = '\"';\nunsafe {}"), Some(2));
    }

    #[test]
    fn only_modules_called_sys_are_fenced() {
        assert!(is_sys(Path::new("cas/src/sys.rs")));
        assert!(is_sys(Path::new("cas/src/sys/lease.rs")));
        assert!(!is_sys(Path::new("cas/src/system.rs")));
    }
}
