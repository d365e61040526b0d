//! Whether the kernel can tell us that no writer is left.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use crate::sys;

/// Found once by [`crate::Cas::open`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseSupport {
    /// A writer refuses the lease and its close allows it: files are adopted by rename.
    Works,
    /// Content is copied when it is sealed. The text says what was seen.
    Missing(String),
}

/// Tries it out with a file named `probe`, which is removed again.
pub(crate) fn probe(probe: &Path) -> io::Result<LeaseSupport> {
    let writer = OpenOptions::new().write(true).create(true).truncate(true).open(probe)?;
    let reader = File::open(probe)?;
    let verdict = judge(&reader, writer);
    fs::remove_file(probe)?;
    Ok(verdict)
}

fn judge(reader: &File, writer: File) -> LeaseSupport {
    match sys::take_read_lease(reader) {
        Ok(()) => return LeaseSupport::Missing("a lease was granted while a writer existed".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return LeaseSupport::Missing(format!("F_SETLEASE: {error}")),
    }
    drop(writer);
    if let Err(error) = sys::take_read_lease(reader) {
        return LeaseSupport::Missing(format!("F_SETLEASE after the writer was closed: {error}"));
    }
    if !sys::holds_read_lease(reader) {
        return LeaseSupport::Missing("F_GETLEASE does not show the lease just taken".to_owned());
    }
    LeaseSupport::Works
}
