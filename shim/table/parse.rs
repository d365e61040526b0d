//! Reads the tables beside it: groups of names. Shared by the build script and by xtask.

/// A group: its heading and its lines.
pub struct Group {
    pub heading: String,
    pub lines: Vec<Line>,
}

/// A function with its variants, and what is to be said of them.
pub struct Line {
    pub names: Vec<String>,
    pub note: Option<String>,
}

/// `[heading]` begins a group, `#` a comment; any other line is `NAME... [: NOTE]`.
pub fn groups(text: &str) -> Result<Vec<Group>, String> {
    let mut groups: Vec<Group> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(heading) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            groups.push(Group { heading: heading.to_string(), lines: Vec::new() });
            continue;
        }
        let (names, note) = match line.split_once(':') {
            Some((names, note)) => (names, Some(note.trim().to_string())),
            None => (line, None),
        };
        let names: Vec<String> = names.split_whitespace().map(str::to_string).collect();
        let is_name = |name: &String| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if names.is_empty() || !names.iter().all(is_name) {
            return Err(format!("line {}: not a list of names: {line}", index + 1));
        }
        let group = groups.last_mut().ok_or_else(|| format!("line {}: no group yet", index + 1))?;
        group.lines.push(Line { names, note });
    }
    Ok(groups)
}

/// All names, in order.
pub fn names(groups: &[Group]) -> impl Iterator<Item = &str> {
    groups.iter().flat_map(|group| &group.lines).flat_map(|line| &line.names).map(String::as_str)
}
