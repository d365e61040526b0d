//! Progress on a terminal's stderr, for work that takes longer than a moment.

use crate::text::size;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};
use vrift_protocol::admin::AdminReply;

/// Work that is over sooner shows nothing.
const PATIENCE: Duration = Duration::from_millis(500);

/// Shows [`AdminReply::Progress`] frames; cleared when dropped.
pub struct Progress {
    wanted: bool,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub fn new(quiet: bool) -> Progress {
        Progress { wanted: !quiet && std::io::stderr().is_terminal(), started: Instant::now(), bar: None }
    }

    pub fn show(&mut self, reply: &AdminReply) {
        let AdminReply::Progress { stage, files, bytes, total_files } = reply else { return };
        if !self.wanted || self.started.elapsed() < PATIENCE {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
                .with_elapsed(self.started.elapsed())
        });
        if *total_files == 0 {
            bar.set_message(format!("{stage}: {files} files, {}", size(*bytes)));
            bar.set_style(ProgressStyle::default_spinner());
            bar.tick();
        } else {
            if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} files, {eta} left")
            {
                bar.set_style(style);
            }
            bar.set_length(*total_files);
            bar.set_position(*files);
            bar.set_message(format!("{stage}: {}", size(*bytes)));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
