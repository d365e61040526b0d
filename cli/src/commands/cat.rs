//! `vrift cat`: bytes of files in a workspace.

use crate::error::{CliError, Result};
use crate::session::Session;
use crate::target::{Chosen, Spot, Which};
use clap::Args;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use vrift_protocol::admin::AdminRequest;

/// Large enough that a system call is cheap beside the copy.
const CHUNK_LEN: usize = 128 * 1024;

/// Writes files of a workspace to stdout
#[derive(Args, Debug)]
pub struct Cat {
    #[command(flatten)]
    pub which: Which,
    /// Relative to the current directory in the workspace; W@SNAP:PATH looks into a snapshot
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
}

impl Cat {
    pub fn run(self, quiet: bool) -> Result<u8> {
        let mut session = Session::open(quiet)?;
        let mut code = 0;
        for path in &self.paths {
            match cat(&mut session, &self.which, path) {
                Ok(()) => {}
                Err(error @ CliError::Output(_)) => return Err(error),
                // As cat(1): the others are still printed.
                Err(error) => {
                    error.report();
                    code = code.max(error.exit_code());
                }
            }
        }
        Ok(code)
    }
}

fn cat(session: &mut Session, which: &Which, path: &Path) -> Result<()> {
    let Spot { target, snapshot, path: spot } = Chosen::spot(session, which, path)?;
    let request = AdminRequest::Cat { target, snapshot, path: spot };
    let (_, Some(fd)) = session.ask(&request, &mut |_| {})? else {
        return Err(CliError::Unexpected { request: "Cat" });
    };
    copy(fd).map_err(|error| match error {
        Side::From(source) => CliError::path(path, source),
        Side::To(error) => CliError::Output(error),
    })
}

enum Side {
    From(io::Error),
    To(io::Error),
}

fn copy(from: OwnedFd) -> std::result::Result<(), Side> {
    let mut from = File::from(from);
    let mut to = io::stdout().lock();
    let mut buffer = vec![0; CHUNK_LEN];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return to.flush().map_err(Side::To),
            Ok(len) => to.write_all(&buffer[..len]).map_err(Side::To)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Side::From(error)),
        }
    }
}
