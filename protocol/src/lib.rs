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
pub mod path_calls;
pub mod roll;
pub mod slot;
pub mod system_folders;
pub mod vnode_op;

#[cfg(feature = "std")]
pub mod admin;
#[cfg(feature = "std")]
pub mod audit;
#[cfg(feature = "std")]
pub mod boot;
#[cfg(feature = "std")]
pub mod client;
#[cfg(feature = "std")]
pub mod history;
#[cfg(feature = "std")]
pub mod identity;
#[cfg(feature = "std")]
pub mod keystore;
#[cfg(feature = "std")]
pub mod locate;
#[cfg(feature = "std")]
pub mod pipeline;
#[cfg(feature = "std")]
pub mod service;
#[cfg(feature = "std")]
pub mod settings;
#[cfg(feature = "std")]
pub mod state;
#[cfg(feature = "std")]
mod sys;
#[cfg(feature = "std")]
pub mod time;

/// Items of a library that must not have the standard library in it: an error where cargo has joined its
/// features with those of a program that has.
#[cfg(not(feature = "std"))]
#[macro_export]
macro_rules! only_without_std {
    ($($item:item)*) => { $($item)* };
}
#[cfg(feature = "std")]
#[macro_export]
macro_rules! only_without_std {
    ($($item:item)*) => {
        compile_error!("the preload library is built by itself: cargo build --release -p vrift-shim");
    };
}

pub use frame::{FrameError, FrameHeader, HEADER_LEN, MAX_FRAME_LEN, Op, PROTOCOL_VERSION};
pub use vnode_op::{Hello, VnodeReply, VnodeRequest};
