//! The report's text. Names and paths come from outside: everything is escaped.

use super::charts;
use crate::commands::history::{command_text, seconds, when};
use crate::commands::stats::dedup_ratio;
use crate::text::{count, path_text, size};
use std::fmt::Write;
use vrift_protocol::history::{RunDetail, RunRow, Stats};

/// Files of a run, the largest first.
const FILES_SHOWN: usize = 100;

const STYLE: &str = "
:root{color-scheme:light dark;--bg:#fff;--fg:#1d2329;--dim:#5b6570;--line:#d9dee3;--bar:#2f6fde;--soft:#9dbcf3;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--bg:#14181c;--fg:#e4e8ec;--dim:#9aa5b0;--line:#323a42;--bar:#6ea1ff;--soft:#34507f;--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:62rem;padding:1rem;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.15rem;margin:2rem 0 .5rem}
p{margin:.3rem 0}.note,.axis,.none{color:var(--dim);font-size:.85rem}
code,td.cmd,.path{font-family:ui-monospace,monospace;font-size:.85rem;overflow-wrap:anywhere;word-break:break-word}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.5rem;margin:1rem 0;padding:0}
.facts div{border:1px solid var(--line);border-radius:.4rem;padding:.5rem .7rem}
.facts b{display:block;font-size:1.2rem}.facts span{color:var(--dim);font-size:.85rem}
svg{display:block;width:100%;border:1px solid var(--line);border-radius:.4rem}
.spans rect{fill:var(--bar)}.spans .open{fill:var(--soft)}details{margin:.5rem 0}summary{cursor:pointer;color:var(--dim)}.sizes rect{fill:var(--soft)}
polyline{fill:none;stroke:var(--bar);stroke-width:2;vector-effect:non-scaling-stroke}
.axis{display:flex;justify-content:space-between}
.share{display:grid;grid-template-columns:7.5rem 1fr 6rem;gap:.5rem;align-items:center;margin:.3rem 0}
.share div{background:var(--line);border-radius:.2rem;height:.9rem}.share i{display:block;height:100%;border-radius:.2rem}
.there{background:var(--soft)}.stored{background:var(--bar)}.share b{text-align:right;font-weight:600}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.25rem .5rem;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--dim);font-weight:600;font-size:.85rem}td.n,th.n{text-align:right;white-space:nowrap}
.bad{color:var(--bad);font-weight:600}
@media(max-width:600px){
 .runs thead{display:none}.runs tr{display:flex;flex-wrap:wrap;gap:0 .8rem;border-bottom:1px solid var(--line);padding:.4rem 0}
 .runs td{border:0;padding:0}.runs td.cmd{flex-basis:100%;order:9}
 .share{grid-template-columns:6rem 1fr 5rem}
}";

/// Text between tags and in attributes.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}

/// The whole page: runs oldest first, one run in detail, sums.
pub fn render(rows: &[RunRow], shown: Option<&RunDetail>, sums: &Stats) -> String {
    let mut html = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>vrift report</title><style>",
    );
    html.push_str(STYLE);
    html.push_str("</style></head><body><h1>vrift report</h1>");
    facts(&mut html, sums);
    if let Some(shown) = shown {
        detail(&mut html, shown);
    }
    html.push_str("<h2>Sizes over time</h2>");
    if rows.is_empty() {
        html.push_str("<p class=\"none\">No run is remembered.</p>");
    } else {
        html.push_str(&charts::sizes(rows));
    }
    html.push_str("<h2>Stored once</h2>");
    html.push_str(&charts::shared(sums.bytes, sums.blob_bytes));
    projects(&mut html, sums);
    runs(&mut html, rows);
    html.push_str("</body></html>\n");
    html
}

fn facts(html: &mut String, sums: &Stats) {
    let facts = [
        (sums.runs.to_string(), "runs"),
        (sums.failed_runs.to_string(), "of them failed"),
        (size(sums.store_bytes), "store"),
        (format!("{:.1}×", dedup_ratio(sums)), "shown of what is stored"),
        (sums.files.to_string(), "files in workspaces"),
        (sums.snapshots.to_string(), "snapshots"),
    ];
    html.push_str("<div class=\"facts\">");
    for (value, label) in facts {
        let _ = write!(html, "<div><b>{value}</b><span>{label}</span></div>");
    }
    html.push_str("</div>");
}

fn detail(html: &mut String, shown: &RunDetail) {
    let run = &shown.run;
    let _ = write!(
        html,
        "<h2>Run {} in {}</h2><p><code>{}</code></p><p class=\"note\">{}Z, {}, exit code {}, {}, {} changed, {} new</p>",
        run.number,
        escaped(&run.workspace),
        escaped(&command_text(run)),
        when(run.began_ns),
        seconds(run.elapsed_ms),
        run.exit_code,
        count(run.processes, "process", "processes"),
        count(run.files_changed, "file", "files"),
        size(run.new_bytes)
    );
    html.push_str("<h2>Time line of processes</h2>");
    if shown.spans.is_empty() {
        html.push_str(
            "<p class=\"none\">No process of this run looked at the workspace, or it is too long ago.</p>",
        );
    } else {
        html.push_str(&charts::time_line(&shown.spans));
        html.push_str(
            "<p class=\"note\">Each process from its first look at the workspace to its end; pale: when it ended is not known.</p>",
        );
        if run.unlisted > 0 {
            let more = count(run.unlisted, "process is", "processes are");
            let _ =
                write!(html, "<p class=\"note\">{more} not shown: there was no room to remember more.</p>");
        }
        html.push_str(&charts::processes(&shown.spans));
    }
    html.push_str("<h2>What changed</h2>");
    if shown.touched.is_empty() {
        html.push_str("<p class=\"none\">No file that is there still.</p>");
        return;
    }
    let mut files: Vec<_> = shown.touched.iter().collect();
    files.sort_by(|one, two| (two.bytes, &one.path).cmp(&(one.bytes, &two.path)));
    html.push_str("<table><thead><tr><th>file</th><th class=\"n\">size</th></tr></thead><tbody>");
    for file in files.iter().take(FILES_SHOWN) {
        let path = escaped(&path_text(&file.path));
        let _ =
            write!(html, "<tr><td class=\"path\">{path}</td><td class=\"n\">{}</td></tr>", size(file.bytes));
    }
    html.push_str("</tbody></table>");
    let more = (run.files_changed as usize).saturating_sub(files.len().min(FILES_SHOWN));
    if more > 0 {
        let _ = write!(html, "<p class=\"note\">and {more} more, smaller or gone again</p>");
    }
}

fn projects(html: &mut String, sums: &Stats) {
    html.push_str(
        "<h2>Workspaces</h2><div class=\"scroll\"><table><thead><tr><th>name</th><th class=\"n\">files</th>\
         <th class=\"n\">bytes</th><th class=\"n\">runs</th></tr></thead><tbody>",
    );
    for project in &sums.projects {
        let name = escaped(&project.workspace);
        let holds = match project.asleep {
            true => "<td class=\"n\" colspan=\"2\">not entered yet</td>".to_string(),
            false => {
                format!("<td class=\"n\">{}</td><td class=\"n\">{}</td>", project.files, size(project.bytes))
            }
        };
        let _ = write!(
            html,
            "<tr><td class=\"path\">{name}</td>{holds}<td class=\"n\">{}</td></tr>",
            project.runs
        );
    }
    html.push_str("</tbody></table></div>");
}

fn runs(html: &mut String, rows: &[RunRow]) {
    html.push_str(
        "<h2>Runs</h2><table class=\"runs\"><thead><tr><th class=\"n\">run</th><th>began (UTC)</th>\
         <th class=\"n\">time</th><th class=\"n\">code</th><th class=\"n\">files</th><th class=\"n\">new</th>\
         <th>workspace</th><th>command</th></tr></thead><tbody>",
    );
    for row in rows.iter().rev() {
        let bad = if row.exit_code == 0 { "n" } else { "n bad" };
        let _ = write!(
            html,
            "<tr><td class=\"n\">{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"{bad}\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"path\">{}</td><td class=\"cmd\">{}</td></tr>",
            row.number,
            when(row.began_ns),
            seconds(row.elapsed_ms),
            row.exit_code,
            row.files_changed,
            size(row.new_bytes),
            escaped(&row.workspace),
            escaped(&command_text(row))
        );
    }
    html.push_str("</tbody></table>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use vrift_protocol::admin::PathBytes;
    use vrift_protocol::history::{Span, Touched};

    #[test]
    fn what_comes_from_outside_is_text_and_the_page_needs_nothing_else() {
        let evil = PathBytes(b"<script src=http://x>&\"'".to_vec());
        let row = RunRow {
            number: 1,
            workspace: "<b>w</b>".into(),
            command: vec![evil.clone()],
            exit_code: 1,
            ..RunRow::default()
        };
        let shown = RunDetail {
            run: row.clone(),
            spans: vec![Span { command: evil.clone(), open_ended: true, ..Span::default() }],
            touched: vec![Touched { path: evil, bytes: 5 }],
        };
        let html = render(&[row], Some(&shown), &Stats::default());
        assert!(!html.contains("<script") && !html.contains("<b>w"), "{html}");
        assert!(html.contains("&lt;script src=http://x&gt;&amp;&quot;&#39;"));
        for address in ["href", "src=\"", "url(", "@import"] {
            assert!(!html.contains(address), "{address}");
        }
        assert!(render(&[], None, &Stats::default()).contains("No run is remembered"));
    }
}
