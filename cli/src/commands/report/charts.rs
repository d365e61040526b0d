//! Pictures of the report: SVG whose colours come from the page's style.

use super::page::escaped;
use crate::commands::history::seconds;
use crate::text::{path_text, size};
use std::fmt::Write;
use vrift_protocol::history::{RunRow, Span};

/// Units of the picture; it is as wide as the page.
const WIDTH: f64 = 1000.0;
const BAR: f64 = 14.0;
const SIZES_HEIGHT: f64 = 180.0;
/// Rows of the time line: more cannot be read.
const ROWS_MAX: usize = 200;

/// A bar for each process, one below the other, by their beginning.
pub fn time_line(spans: &[Span]) -> String {
    let spans = &spans[..spans.len().min(ROWS_MAX)];
    let end = spans.iter().map(|span| span.began_us + span.elapsed_us).max().unwrap_or(1).max(1) as f64;
    let height = BAR * spans.len() as f64;
    let mut svg = format!(
        "<svg class=\"spans\" viewBox=\"0 0 {WIDTH} {height}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"Time line of processes\" style=\"height:{height}px\">"
    );
    for (number, span) in spans.iter().enumerate() {
        let x = span.began_us as f64 / end * WIDTH;
        let width = (span.elapsed_us as f64 / end * WIDTH).max(1.5);
        let _ = write!(
            svg,
            "<rect x=\"{x:.2}\" y=\"{:.0}\" width=\"{width:.2}\" height=\"{:.0}\"><title>{} (process {}): from {} for {}</title></rect>",
            number as f64 * BAR + 1.0,
            BAR - 3.0,
            escaped(&path_text(&span.command)),
            span.pid,
            seconds(span.began_us / 1000),
            seconds(span.elapsed_us / 1000)
        );
    }
    svg.push_str("</svg>");
    let _ = write!(svg, "<p class=\"axis\"><span>0 s</span><span>{}</span></p>", seconds(end as u64 / 1000));
    svg
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
