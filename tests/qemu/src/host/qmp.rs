//! qemu's monitor, as far as it is needed: the QEMU Machine Protocol, one JSON object a line.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(60);

pub struct Monitor {
    stream: BufReader<UnixStream>,
}

impl Monitor {
    pub fn connect(path: &Path) -> Result<Monitor> {
        let stream = UnixStream::connect(path).context("cannot reach qemu's monitor")?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let mut monitor = Monitor { stream: BufReader::new(stream) };
        monitor.line()?;
        monitor.execute("qmp_capabilities", &json!({}))?;
        Ok(monitor)
    }

    /// Runs a command to success.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        writeln!(self.stream.get_mut(), "{request}")?;
        loop {
            let answer = self.line()?;
            if let Some(error) = answer.get("error") {
                bail!("{command}: {error}");
            }
            if let Some(value) = answer.get("return") {
                return Ok(value.clone());
            }
        }
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.stream.read_line(&mut line).context("the monitor says nothing")?;
        serde_json::from_str(&line).with_context(|| format!("the monitor says {line:?}"))
    }
}
