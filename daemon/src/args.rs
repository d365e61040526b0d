//! The daemon's few arguments.

use std::ffi::OsString;
use std::path::PathBuf;

/// What `vriftd` was asked to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Args {
    pub home: Option<PathBuf>,
    /// Where the store is, when it is not in the state folder.
    pub store: Option<OsString>,
    /// Make an empty store and end.
    pub init: bool,
    /// With `init`: what is at this place, which must be that of the store, may be lost.
    pub overwrite: Option<OsString>,
    /// Stay in the foreground, unsupervised, messages to stderr.
    pub foreground: bool,
    /// This is the serving process below the supervisor.
    pub serve: bool,
    /// Where to report "ok" or why not.
    pub ready_fd: Option<i32>,
    /// Look at the store and end.
    pub fsck: bool,
    /// With `fsck`: mend what can be mended.
    pub repair: bool,
    /// With `fsck`: tell how far it is as well, in further lines of JSON before the result.
    pub progress: bool,
    /// Print what is configured and end.
    pub show_config: bool,
    /// Print what is needed and whether it is there, and end.
    pub wiring: bool,
    /// Started by `vrift`: what programs need must be there, too.
    pub for_programs: bool,
    pub help: bool,
}

pub const USAGE: &str =
    "usage: vriftd [--home DIR] [--store PLACE] [--foreground] [--ready-fd N] [--fsck [--repair] [--progress]] [--show-config] [--wiring]
       vriftd --store PLACE --init [--overwrite PLACE]
PLACE is a file, a block device (/dev/vdb) or vfio:0000:00:03.0[,poll][,noiommu], a virtio block device that vfio-pci has.
--init makes an empty store there, --overwrite in place of what is there.
The daemon behind `vrift`; it is started when needed, `vrift daemon start` starts it by hand.";

impl Args {
    pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Args, String> {
        let mut parsed = Args::default();
        let mut args = args;
        while let Some(arg) = args.next() {
            match arg.to_str() {
                Some("--home") => {
                    parsed.home = Some(args.next().ok_or("--home needs a folder")?.into());
                }
                Some("--store") => parsed.store = Some(args.next().ok_or("--store needs a place")?),
                Some("--init") => parsed.init = true,
                Some("--overwrite") => {
                    parsed.overwrite = Some(args.next().ok_or("--overwrite needs the store's place again")?);
                }
                Some("--foreground") => parsed.foreground = true,
                Some("--fsck") => parsed.fsck = true,
                Some("--repair") => parsed.repair = true,
                Some("--progress") => parsed.progress = true,
                Some("--show-config") => parsed.show_config = true,
                Some("--wiring") => parsed.wiring = true,
                Some("--for-programs") => parsed.for_programs = true,
                Some("--serve") => parsed.serve = true,
                Some("--ready-fd") => {
                    let value = args.next().ok_or("--ready-fd needs a number")?;
                    let number = value.to_str().and_then(|text| text.parse().ok()).filter(|fd| *fd > 2);
                    parsed.ready_fd = Some(number.ok_or("--ready-fd needs a number above 2")?);
                }
                Some("--help" | "-h") => parsed.help = true,
                _ => return Err(format!("unknown argument {}", arg.display())),
            }
        }
        if parsed.overwrite.is_some() && !parsed.init {
            return Err("--overwrite is for --init".into());
        }
        Ok(parsed)
    }
}
