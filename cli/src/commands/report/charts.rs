//! Pictures of the report: SVG whose colours come from the page's style.

use super::page::escaped;
use crate::commands::history::seconds;
use crate::text::{count, path_text, size};
use std::fmt::Write;
use vrift_protocol::history::{RunRow, Span};

/// Units of the picture; it is as wide as the page.
const WIDTH: f64 = 1000.0;
const BAR: f64 = 14.0;
const SIZES_HEIGHT: f64 = 180.0;
/// Rows of the time line: with more the picture is cut off.
const ROWS_MAX: usize = 200;

/// The row of each process: the first in which nothing is drawn any more when it begins.
fn rows(spans: &[Span]) -> Vec<usize> {
    let mut ends_us: Vec<u64> = Vec::new();
    let mut rows = Vec::new();
    for span in spans {
        let row = ends_us.iter().position(|end_us| *end_us <= span.began_us).unwrap_or(ends_us.len());
        if row == ends_us.len() {
            ends_us.push(0);
        }
        ends_us[row] = span.began_us.saturating_add(span.elapsed_us.max(1));
        rows.push(row);
    }
    rows
}

/// A bar for each process, by their beginning; those that do not overlap share rows.
pub fn time_line(spans: &[Span]) -> String {
    let rows = rows(spans);
    let end = spans.iter().map(|span| span.began_us.saturating_add(span.elapsed_us)).max().unwrap_or(1).max(1)
        as f64;
    let height = BAR * rows.iter().map(|row| row + 1).max().unwrap_or(1).min(ROWS_MAX) as f64;
    let mut svg = format!(
        "<svg class=\"spans\" viewBox=\"0 0 {WIDTH} {height}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"Time line of processes\" style=\"height:{height}px\">"
    );
    for (row, span) in rows.into_iter().zip(spans) {
        let class = if span.open_ended { " class=\"open\"" } else { "" };
        let x = span.began_us as f64 / end * WIDTH;
        let width = (span.elapsed_us as f64 / end * WIDTH).max(1.0);
        let _ = write!(
            svg,
            "<rect{class} x=\"{x:.2}\" y=\"{:.0}\" width=\"{width:.2}\" height=\"{:.0}\"><title>{} (process {}): from {} {}</title></rect>",
            row as f64 * BAR + 1.0,
            BAR - 3.0,
            escaped(&path_text(&span.command)),
            span.pid,
            span_time(span.began_us),
            lasted(span)
        );
    }
    svg.push_str("</svg>");
    let _ = write!(svg, "<p class=\"axis\"><span>0 s</span><span>{}</span></p>", seconds(end as u64 / 1000));
    svg
}

/// A time in a run, in ms: most processes last a few.
fn span_time(us: u64) -> String {
    match us {
        ..10_000_000 => format!("{:.1} ms", us as f64 / 1000.0),
        _ => seconds(us / 1000),
    }
}

fn lasted(span: &Span) -> String {
    if span.open_ended {
        "on, to an unknown end".into()
    } else {
        format!("for {}", span_time(span.elapsed_us))
    }
}

/// The same as text, a line for each process.
pub fn processes(spans: &[Span]) -> String {
    let mut html = format!(
        "<details><summary>As a table ({})</summary><table><thead><tr><th class=\"n\">from</th><th class=\"n\">for</th>\
         <th>command</th></tr></thead><tbody>",
        count(spans.len() as u64, "process", "processes")
    );
    for span in spans {
        let lasted = if span.open_ended { "?".into() } else { span_time(span.elapsed_us) };
        let _ = write!(
            html,
            "<tr><td class=\"n\">{}</td><td class=\"n\">{lasted}</td><td class=\"cmd\">{}</td></tr>",
            span_time(span.began_us),
            escaped(&path_text(&span.command))
        );
    }
    html.push_str("</tbody></table></details>");
    html
}

/// The store's size after each run as a line, what each brought as bars.
pub fn sizes(rows: &[RunRow]) -> String {
    let top = rows.iter().map(|row| row.store_bytes.max(row.new_bytes)).max().unwrap_or(1).max(1) as f64;
    let y = |bytes: u64| SIZES_HEIGHT - bytes as f64 / top * (SIZES_HEIGHT - 4.0);
    let step = WIDTH / rows.len().max(1) as f64;
    let mut svg = format!(
        "<svg class=\"sizes\" viewBox=\"0 0 {WIDTH} {SIZES_HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"Size of the store over runs\" style=\"height:{SIZES_HEIGHT}px\">"
    );
    let mut line = String::new();
    for (number, row) in rows.iter().enumerate() {
        let x = step * number as f64;
        let _ = write!(
            svg,
            "<rect x=\"{:.2}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{:.2}\"><title>run {}: {} new, store {}</title></rect>",
            x + step * 0.1,
            y(row.new_bytes),
            step * 0.8,
            SIZES_HEIGHT - y(row.new_bytes),
            row.number,
            size(row.new_bytes),
            size(row.store_bytes)
        );
        let _ = write!(line, "{:.2},{:.2} {:.2},{:.2} ", x, y(row.store_bytes), x + step, y(row.store_bytes));
    }
    let _ = write!(svg, "<polyline points=\"{}\"/></svg>", line.trim_end());
    let ends = match rows {
        [] => String::new(),
        [first, .., last] => format!("<span>run {}</span><span>run {}</span>", first.number, last.number),
        [only] => format!("<span>run {}</span>", only.number),
    };
    let _ = write!(
        svg,
        "<p class=\"axis\">{ends}</p><p class=\"note\">Line: the store, at most {}. Bars: what a run brought.</p>",
        size(top as u64)
    );
    svg
}

/// What is there, and what is stored of it, as two bars.
pub fn shared(there: u64, stored: u64) -> String {
    let top = there.max(stored).max(1) as f64;
    let bar = |label: &str, bytes: u64, class: &str| {
        format!(
            "<div class=\"share\"><span>{label}</span><div><i class=\"{class}\" style=\"width:{:.2}%\"></i></div><b>{}</b></div>",
            bytes as f64 / top * 100.0,
            size(bytes)
        )
    };
    bar("in workspaces", there, "there") + &bar("stored", stored, "stored")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_do_not_overlap_share_a_row() {
        let span = |began_us, elapsed_us| Span { began_us, elapsed_us, ..Span::default() };
        let spans = [span(0, 100), span(0, 10), span(10, 5), span(12, 20), span(40, 0), span(u64::MAX, 9)];
        assert_eq!(rows(&spans), [0, 1, 1, 2, 1, 0]);
        assert!(time_line(&spans[..5]).contains("style=\"height:42px\""));
        assert!(time_line(&[]).contains("height:14px"));
    }
}
