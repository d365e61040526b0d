//! docs/coverage.md: the tables for readers.

use std::fmt::Write;

use super::{Group, Tables};

const HEAD: &str = "\
# What the preload library covers

Written by `cargo xtask coverage` from `shim/table`; a test fails when it differs. A function that is listed
without a remark does inside the view what it does on ext4: result, errno, side effects, times. Outside the view every
hook hands over to the C library. What is in none of the lists goes around the library: [limits.md](limits.md).

";

pub fn text(tables: &Tables) -> String {
    let mut page = String::from(HEAD);
    let hooked = tables.hooked().len();
    let excused = tables.excused().len();
    page.push_str("## Functions with a hook\n");
    for group in &tables.hooks {
        hooks(&mut page, group);
    }
    page.push_str("\n## Functions without a hook\n\n| functions | why |\n|---|---|\n");
    for group in &tables.reasons {
        reasons(&mut page, group);
    }
    page.push_str("\n## System calls by number, through syscall(2)\n\n| system calls | what becomes of them |\n|---|---|\n");
    for group in &tables.calls {
        reasons(&mut page, group);
    }
    let _ = writeln!(
        page,
        "\n{hooked} names have a hook. Of {excused} names `shim/table/libc.txt` says why they have none."
    );
    page
}

fn hooks(page: &mut String, group: &Group) {
    let _ = writeln!(page, "\n### {}{}\n", group.heading[..1].to_uppercase(), &group.heading[1..]);
    let plain: Vec<&str> = names(group, false);
    if !plain.is_empty() {
        let _ =
            writeln!(page, "{}", plain.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" "));
    }
    let noted: Vec<_> = group.lines.iter().filter_map(|line| Some((line, line.note.as_ref()?))).collect();
    if !noted.is_empty() {
        let gap = if plain.is_empty() { "" } else { "\n" };
        let _ = writeln!(page, "{gap}| function | in the view |\n|---|---|");
    }
    for (line, note) in noted {
        let names: Vec<String> = line.names.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(page, "| {} | {note} |", names.join(" "));
    }
}

fn names(group: &Group, noted: bool) -> Vec<&str> {
    let lines = group.lines.iter().filter(|line| line.note.is_some() == noted);
    lines.flat_map(|line| &line.names).map(String::as_str).collect()
}

fn reasons(page: &mut String, group: &Group) {
    let count: usize = group.lines.iter().map(|line| line.names.len()).sum();
    let _ = writeln!(page, "| {count}{} | {} |", some_of(group, count), group.heading);
}

/// The names themselves where they are few.
fn some_of(group: &Group, count: usize) -> String {
    const LISTED_MAX: usize = 60;
    if count > LISTED_MAX {
        return String::new();
    }
    let names: Vec<String> = names(group, false).iter().map(|name| format!("`{name}`")).collect();
    format!(": {}", names.join(" "))
}
