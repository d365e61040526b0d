//! The wire between vrift's processes.
//!
//! Lives here: frame layouts, request and reply bodies, limits, names of environment variables and
//! runtime files, and (feature `std`) the blocking client that the command line uses.
//! May be imported by everyone; imports nothing of vrift.
//! Must never appear here: storage, policy, or anything that allocates in the `no_std` half, which
//! the preload library links.
//!
//! Normative text: `docs/spec/protocol.md`.
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(unsafe_code)]

pub mod counters;
pub mod frame;
pub mod names;
pub mod vnode_op;

#[cfg(feature = "std")]
pub mod admin;
#[cfg(feature = "std")]
pub mod client;
#[cfg(feature = "std")]
pub mod locate;
#[cfg(feature = "std")]
mod sys;

pub use frame::{FrameError, FrameHeader, HEADER_LEN, MAX_FRAME_LEN, Op, PROTOCOL_VERSION};
pub use vnode_op::{Hello, VnodeReply, VnodeRequest};
