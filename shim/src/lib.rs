//! libvrift_shim.so: makes the file calls of any dynamically linked program see a workspace.
//!
//! Lives here: the hooks, path resolution over the index, the identity of fds and of the working directory,
//! and the client side of one request to the daemon.
//! May be imported: `core`, libc's types and constants, `vrift-protocol` and `vrift-manifest` without `std`.
//! Must never appear here: allocation on the way of a call, thread-local destructors, unwinding, a call into
//! libc by its own name (functions behind the hooks come from [`real`], system calls from [`raw`]).
//!
//! A hook sets errno as the C library would and leaves it alone on success.
#![no_std]

mod arena;
mod content;
mod creds;
mod cwd;
mod elsewhere;
mod envp;
mod errno;
mod exec_image;
mod exec_prep;
mod fds;
mod fts_entry;
mod handle;
mod heap;
pub mod hooks;
mod hot;
mod init;
mod libraries;
mod line;
mod memory;
mod outside;
mod own_code;
mod patience;
mod proc_links;
mod raw;
mod real;
mod request;
mod resolve;
mod roll;
mod run_path;
mod sample;
mod seen;
mod slot;
mod spawn_state;
mod start;
mod stream;
mod text;
mod umask;
mod unreached;
mod user_memory;
mod view;
mod wire;

vrift_protocol::only_without_std! {
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let place = info.location().map_or("", |location| location.file());
    init::complain(&[b"internal error in the preload library at ", place.as_bytes()]);
    // SAFETY: abort(3) takes no arguments and does not return.
    unsafe { libc::abort() }
}

/// Core was built with unwinding; nothing here unwinds, but its tables name this function.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
}
