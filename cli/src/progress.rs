//! Progress on stderr, for work that takes longer than a moment: a line that changes on a terminal, plain lines now and
//! then elsewhere; and what an interruption leaves behind.

use crate::text::{say, size};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use signal_hook::consts::SIGINT;
use signal_hook::iterator::{Handle, Signals};
use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use vrift_protocol::admin::{AdminReply, AdminRequest};

/// Work that is over sooner shows nothing.
pub const PATIENCE: Duration = Duration::from_millis(500);
/// Between two plain lines.
const LINE_PAUSE: Duration = Duration::from_secs(2);
/// Where a bar finds no room, its text alone is shown, cut at the edge.
const BAR_COLUMNS_MIN: u16 = 72;
/// As a shell has it for a command that SIGINT ended.
const INTERRUPTED: i32 = 128 + SIGINT;

/// Shows [`AdminReply::Progress`] frames; cleared when dropped.
pub struct Progress {
    quiet: bool,
    started: Instant,
    stage: String,
    stage_began: Instant,
    line: Option<Line>,
    line_at: Option<Instant>,
    kept: Option<&'static str>,
    interrupt: Option<Handle>,
    waiting: Option<Waiting>,
    /// Asked for beside a program that has the terminal.
    beside: bool,
}

impl Progress {
    /// For the answer to `request`.
    pub fn new(quiet: bool, request: &AdminRequest) -> Progress {
        let now = Instant::now();
        let mut progress = Progress {
            quiet,
            started: now,
            stage: String::new(),
            stage_began: now,
            line: None,
            line_at: None,
            kept: what_is_kept(request),
            interrupt: None,
            waiting: None,
            beside: matches!(request, AdminRequest::Worktree { .. } | AdminRequest::ReadBack { .. }),
        };
        // Before a run nothing is said unless it takes its time: its command has the signal soon.
        if !matches!(request, AdminRequest::Enter { .. }) {
            progress.watch_interrupt();
        }
        progress
    }

    /// Whether a daemon that says nothing is to be told of.
    pub fn tells_of_silence(&self) -> bool {
        !self.quiet && !self.beside && std::io::stderr().is_terminal()
    }

    /// From now on until something comes.
    pub fn tell_of_silence(&mut self) {
        self.waiting = Some(Waiting::start(self.started));
    }

    /// What came; other frames are shown by somebody else, who finds an empty line.
    pub fn show(&mut self, reply: &AdminReply) {
        self.waiting = None;
        let AdminReply::Progress { stage, files, bytes, total_files } = reply else { return };
        self.watch_interrupt();
        if self.stage != *stage {
            self.stage.clone_from(stage);
            self.stage_began = Instant::now();
        }
        if self.quiet || self.started.elapsed() < PATIENCE {
            return;
        }
        let text = text(stage, *files, *bytes, *total_files, self.stage_began.elapsed());
        if !std::io::stderr().is_terminal() {
            if self.line_at.is_none_or(|at| at.elapsed() >= LINE_PAUSE) {
                self.line_at = Some(Instant::now());
                say!("vrift: {text}");
            }
            return;
        }
        self.line.get_or_insert_with(Line::new).draw(*files, *total_files, text);
    }

    /// From now on SIGINT ends this process with a word about what is kept. The daemon sees the connection
    /// end, and stops.
    fn watch_interrupt(&mut self) {
        let (Some(kept), None) = (self.kept, &self.interrupt) else { return };
        let Ok(mut signals) = Signals::new([SIGINT]) else { return };
        self.interrupt = Some(signals.handle());
        std::thread::spawn(move || {
            if signals.forever().next().is_some() {
                // Away from a line that is being drawn.
                let clear = if std::io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
                say!("{clear}vrift: interrupted: {kept}");
                std::process::exit(INTERRUPTED);
            }
        });
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // What is said next begins where the line was.
        self.line = None;
        if let Some(interrupt) = &self.interrupt {
            interrupt.close();
        }
    }
}

/// A line on the terminal that changes; cleared when dropped.
struct Line(ProgressBar);

impl Line {
    fn new() -> Line {
        Line(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()))
    }

    /// Draws `text`, cut at the terminal's edge, behind a bar when there is room and `total` is known.
    fn draw(&self, files: u64, total: u64, text: String) {
        let wide = console::Term::stderr().size().1 >= BAR_COLUMNS_MIN && total > 0;
        let template = if wide { "[{bar:20}] {wide_msg}" } else { "{wide_msg}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.0.set_style(style);
        }
        self.0.set_length(total.max(1));
        self.0.set_position(files.min(total.max(1)));
        self.0.set_message(text);
        self.0.tick();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A line that says that it is waited for, and for how long. Cleared when
/// dropped.
struct Waiting {
    /// Ends the thread when it is gone.
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Waiting {
    fn start(began: Instant) -> Waiting {
        let (alive, ended) = channel();
        let thread = std::thread::Builder::new().spawn(move || wait(began, &ended)).ok();
        Waiting { alive: Some(alive), thread }
    }
}

fn wait(began: Instant, ended: &Receiver<()>) {
    let line = Line::new();
    loop {
        line.draw(0, 0, format!("waiting: {} s", began.elapsed().as_secs()));
        if ended.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What there is when work is interrupted; None: it is over at once.
fn what_is_kept(request: &AdminRequest) -> Option<&'static str> {
    Some(match request {
        AdminRequest::Ingest { .. } | AdminRequest::Enter { .. } | AdminRequest::Sync { .. } => {
            "a directory is taken in as a whole or not at all; vrift status tells"
        }
        AdminRequest::Export { .. } => {
            "every file that was written is complete; the same command writes the rest"
        }
        AdminRequest::Collect { .. } => "what is in use is all there; vrift gc removes the rest",
        AdminRequest::Check { metadata: true, .. } => {
            "nothing was changed by halves; the same command looks at everything again"
        }
        AdminRequest::Check { .. } => "nothing was changed by halves; vrift scrub goes on from there",
        _ => return None,
    })
}

/// `reading: 1200 of 5000 files, 3.4 MiB, 800 files/s, 5 s left`.
fn text(stage: &str, files: u64, bytes: u64, total: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let rate = files as f64 / seconds;
    let mut text = match total {
        0 => format!("{stage}: {files} files, {}", size(bytes)),
        total => format!("{stage}: {files} of {} files, {}", total.max(files), size(bytes)),
    };
    if files > 0 && seconds > 0.2 {
        text.push_str(&format!(", {rate:.0} files/s"));
        if total > files {
            text.push_str(&format!(", {:.0} s left", ((total - files) as f64 / rate).ceil()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_tells_rate_and_time_left_where_they_are_known() {
        let second = Duration::from_secs(1);
        assert_eq!(text("reading", 10, 2048, 0, second), "reading: 10 files, 2.0 KiB, 10 files/s");
        assert_eq!(text("writing", 10, 0, 30, second), "writing: 10 of 30 files, 0 B, 10 files/s, 2 s left");
        assert_eq!(text("writing", 0, 0, 30, second), "writing: 0 of 30 files, 0 B");
        assert_eq!(text("reading", 40, 0, 30, second), "reading: 40 of 40 files, 0 B, 40 files/s");
    }
}
