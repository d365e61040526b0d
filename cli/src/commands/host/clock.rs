//! Whether the time of day can be right: make and vrift tell by times what changed.

use super::check;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vrift_protocol::admin::Check;
use vrift_protocol::names;

/// 2024-01-01: no machine has this program before.
const EARLIEST: Duration = Duration::from_secs(1_704_067_200);
/// Clocks of virtual machines are set back by as much when they are resumed.
const SLACK: Duration = Duration::from_secs(60);

pub fn clock(home: &Path) -> Check {
    let now = SystemTime::now();
    let shown = |time: SystemTime| {
        jiff::Timestamp::try_from(time).map_or_else(|_| "out of range".into(), |time| format!("{time:.0}"))
    };
    let remedy = "set the clock (timedatectl set-ntp true): builds tell by times what changed";
    if now < UNIX_EPOCH + EARLIEST {
        return check("clock", false, format!("{}: before this program was made", shown(now)), remedy);
    }
    let written = std::fs::metadata(home.join(names::STORE_FILE)).and_then(|stat| stat.modified());
    match written {
        Ok(written) if written > now + SLACK => {
            let detail = format!("{}: the store was written later, at {}", shown(now), shown(written));
            check("clock", false, detail, remedy)
        }
        _ => check("clock", true, shown(now), ""),
    }
}
