//! stdout: buffered, as JSON on request, in colour on a terminal alone.

use crate::error::Result;
use serde::Serialize;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

pub struct Output {
    to: BufWriter<StdoutLock<'static>>,
    colour: bool,
}

/// SGR parameters.
#[derive(Clone, Copy)]
pub enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
}

impl Output {
    pub fn new() -> Output {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let colour = io::stdout().is_terminal() && !no_colour && !dumb;
        Output { to: BufWriter::new(io::stdout().lock()), colour }
    }

    pub fn line(&mut self, line: &str) -> Result<()> {
        Ok(writeln!(self.to, "{line}")?)
    }

    pub fn text(&mut self, text: &str) -> Result<()> {
        Ok(self.to.write_all(text.as_bytes())?)
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.to.write_all(bytes)?)
    }

    /// `text`, in colour if the terminal shows it.
    pub fn paint(&self, colour: Colour, text: &str) -> String {
        match self.colour {
            true => format!("\x1b[{}m{text}\x1b[0m", colour as u8),
            false => text.to_string(),
        }
    }

    /// One JSON document, and a line end.
    pub fn json(&mut self, value: &impl Serialize) -> Result<()> {
        serde_json::to_writer_pretty(&mut self.to, value).map_err(io::Error::from)?;
        self.line("")
    }

    /// Everything is written when this returns.
    pub fn finish(mut self) -> Result<()> {
        Ok(self.to.flush()?)
    }
}
