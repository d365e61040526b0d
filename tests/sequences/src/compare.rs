//! Whether two transcripts say the same.

/// What differs, for a reader: none when nothing does.
pub fn difference(ops: &[String], native: &[String], view: &[String]) -> Option<String> {
    for at in 0..native.len().max(view.len()) {
        let (one, two) = (native.get(at), view.get(at));
        let said = |line: Option<&String>| line.map(|line| split(line).0.to_owned());
        if said(one) != said(two) && !only_read(one, two) {
            let call = if at < ops.len() { ops[at].as_str() } else { "afterwards" };
            let shown = |line: Option<&String>| line.map_or("nothing", |line| split(line).0).to_owned();
            return Some(format!("{call}\n    natively: {}\n    in view:  {}", shown(one), shown(two)));
        }
    }
    order(native, view)
}

/// Reading does not move the time of the last read of a file that nobody writes (docs/limits.md), so where it is "now"
/// natively, the view may have what was set.
fn only_read(native: Option<&String>, view: Option<&String>) -> bool {
    let (Some(native), Some(view)) = (native, view) else { return false };
    let ((native, _), (view, _)) = (split(native), split(view));
    let Some((before, after)) = native.split_once(" atime now") else { return false };
    let between = view.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    between.and_then(|atime| atime.strip_prefix(" atime ")).is_some_and(|set| set.parse::<u64>().is_ok())
}

/// A line of the tree, and its times behind the bar.
fn split(line: &str) -> (&str, Option<(i64, i64)>) {
    let Some((text, times)) = line.rsplit_once('|').filter(|_| line.starts_with("= ")) else {
        return (line, None);
    };
    let times =
        times.split_once(' ').and_then(|(mtime, ctime)| Some((mtime.parse().ok()?, ctime.parse().ok()?)));
    (text, times)
}

/// Of what the sequence changed. Clocks differ, and so do their ticks; but what was earlier on one side must not be later on the other.
fn order(native: &[String], view: &[String]) -> Option<String> {
    let rows: Vec<_> = native
        .iter()
        .zip(view)
        .filter_map(|(one, two)| {
            let (text, times) = split(one);
            // What was there before and stayed as it is has the times at which it was taken in.
            (!text.contains(" unchanged ")).then_some((text, times?, split(two).1?))
        })
        .collect();
    for (text, native, view) in &rows {
        for (text2, native2, view2) in &rows {
            for (what, [a, b, c, d]) in [
                ("mtime", [native.0, native2.0, view.0, view2.0]),
                ("ctime", [native.1, native2.1, view.1, view2.1]),
            ] {
                if a < b && c > d {
                    return Some(format!(
                        "order of {what}\n    {text}\n    {text2}\n    natively: {a} < {b}\n    in view:  {c} > {d}"
                    ));
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn the_first_call_that_differs_is_named() {
        let (ops, one) = (lines(&["unlink a", "stat a"]), lines(&["0", "ENOENT"]));
        assert_eq!(difference(&ops, &one, &one), None);
        let told = difference(&ops, &one, &lines(&["0", "f 644"])).unwrap();
        assert!(told.starts_with("stat a\n") && told.contains("ENOENT"), "{told}");
        assert!(difference(&ops, &one, &one[..1]).is_some());
    }

    #[test]
    fn a_time_of_reading_may_stay_behind_but_not_run_ahead() {
        let (set, now) = (lines(&["f 644 mtime 7 atime 7"]), lines(&["f 644 mtime 7 atime now"]));
        assert_eq!(difference(&[], &now, &set), None);
        assert!(difference(&[], &set, &now).is_some());
        assert!(difference(&[], &now, &lines(&["f 644 mtime 8 atime 7"])).is_some());
    }

    #[test]
    fn only_a_turned_order_of_times_is_a_difference() {
        let tree = |one: &str, two: &str| lines(&[&format!("= /a x|{one}"), &format!("= /b x|{two}")]);
        assert_eq!(difference(&[], &tree("1 1", "2 2"), &tree("7 7", "7 9")), None);
        assert!(difference(&[], &tree("1 1", "2 2"), &tree("9 7", "7 9")).is_some());
        assert!(difference(&[], &tree("1 2", "1 3"), &tree("7 9", "7 7")).is_some());
    }
}
