//! What `vrift config show` tells of a setting.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// `section.key`, or the variable.
    pub name: String,
    pub value: String,
    pub default: String,
    /// `default`, `environment` or the file's path.
    pub origin: String,
    /// For people, with unit and range.
    pub what: String,
}
