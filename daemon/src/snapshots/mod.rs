//! Snapshots and forks: whole trees by the address of their root, shared until something changes (RFC 0008).

pub mod compare;
mod fork;
pub mod inside;
pub mod kept;
pub mod model;
pub mod nodes;
mod objects;
mod remove;
mod rollback;
mod sleep;
mod take;

pub use fork::fork;
pub use model::{Asleep, Deferred, Snapshot};
pub use objects::{Marked, mark};
pub use remove::remove;
pub use rollback::rollback;
pub use sleep::{load_all, wake};
pub use take::{list, prepare, snapshot};
