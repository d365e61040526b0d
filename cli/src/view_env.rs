//! The variables that put a process into a view.

use crate::error::{CliError, Result};
use crate::install;
use crate::places::Places;
use crate::text::escape;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::OnceLock;
use vrift_protocol::admin::View;
use vrift_protocol::names;
use vrift_protocol::system_folders::Survey;

static FOLDERS: OnceLock<Survey> = OnceLock::new();

/// Finds out what [`variables`] needs, whatever the view is: there is time for that while the daemon prepares it.
pub fn prepare() {
    FOLDERS.get_or_init(Survey::new);
}

/// Names and values, LD_PRELOAD first; what LD_PRELOAD has now is kept behind the library.
pub fn variables(view: &View, places: &Places) -> Result<Vec<(&'static str, OsString)>> {
    let shim = install::shim_library()?;
    let preload = preload_value(&shim, std::env::var_os(names::ENV_PRELOAD).as_deref());
    let mut variables = vec![
        (names::ENV_PRELOAD, preload),
        (names::ENV_VIEW, view.view.to_path_buf().into_os_string()),
        (names::ENV_RUNTIME, view.runtime.to_path_buf().into_os_string()),
        (names::ENV_WORKSPACE, view.workspace.clone().into()),
        (names::ENV_HOME, places.home.clone().into_os_string()),
        (
            names::ENV_SYSTEM,
            format!("{:x}", FOLDERS.get_or_init(Survey::new).outside(view.view.as_path())).into(),
        ),
    ];
    if view.run != 0 {
        variables.push((names::ENV_RUN, view.run.to_string().into()));
    }
    Ok(variables)
}

/// Refuses a VRIFT_FSYNC or VRIFT_SAMPLE that the library would not understand.
pub fn check_variables() -> Result<()> {
    match std::env::var_os(names::ENV_SAMPLE) {
        Some(value) if names::sample_of(value.as_bytes()).is_none() => {
            return Err(CliError::Usage {
                what: format!("{}={} is not known", names::ENV_SAMPLE, escape(value.as_bytes())),
                hint: "it is a number of processes: of so many one is looked at; 0: none is; at most 10000"
                    .into(),
            });
        }
        _ => {}
    }
    check_fsync()
}

fn check_fsync() -> Result<()> {
    let known = [names::FSYNC_EACH, names::FSYNC_END];
    match std::env::var_os(names::ENV_FSYNC) {
        Some(value) if !known.iter().any(|known| value == *known) => Err(CliError::Usage {
            what: format!("{}={} is not known", names::ENV_FSYNC, escape(value.as_bytes())),
            hint: format!("it is one of: {}", known.join(", ")),
        }),
        _ => Ok(()),
    }
}

/// LD_PRELOAD with `shim` in front, and no second copy of the library from another installation.
pub fn preload_value(shim: &Path, existing: Option<&OsStr>) -> OsString {
    let mut value = shim.as_os_str().as_bytes().to_vec();
    let existing = existing.map_or(&b""[..], OsStrExt::as_bytes);
    let others = existing
        .split(|byte| matches!(byte, b':' | b' '))
        .filter(|path| !path.is_empty())
        .filter(|path| path.rsplit(|byte| *byte == b'/').next() != Some(names::SHIM_FILE.as_bytes()));
    for path in others {
        value.push(b':');
        value.extend_from_slice(path);
    }
    OsString::from_vec(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_comes_first_and_once() {
        let value = |existing| preload_value(Path::new("/l/libvrift_shim.so"), existing);
        assert_eq!(value(None), "/l/libvrift_shim.so");
        assert_eq!(value(Some(OsStr::new(""))), "/l/libvrift_shim.so");
        assert_eq!(
            value(Some(OsStr::new("a.so /old/libvrift_shim.so:/b.so"))),
            "/l/libvrift_shim.so:a.so:/b.so"
        );
    }
}
