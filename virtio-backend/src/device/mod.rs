//! The block device: channels to it, memory for it, and what the store calls.

mod block_device;
mod buffers;
mod channel;
mod core;
mod layout;
mod negotiate;
mod open;
mod stream;
#[cfg(all(test, not(loom)))]
pub(crate) mod testing;

pub use block_device::VirtioBlk;
pub use buffers::Buffer;
pub use stream::{Completion, Stream};
