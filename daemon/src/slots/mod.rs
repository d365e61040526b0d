//! Clients that make many requests hand them over in a page of memory, each served by a thread of its own:
//! `vrift_protocol::slot`, RFC 0007.

mod sys;

use crate::ahead;
use crate::connection::{Connection, Greeting};
use crate::daemon::Daemon;
use crate::patience::Patience;
use crate::vnode_ops::{Answer, Call, carry_out};
use nix::errno::Errno;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use sys::SharedSlot;
use vrift_protocol::slot::{FRAME_MAX, IDLE};
use vrift_protocol::{FrameHeader, Op, VnodeReply};
use zerocopy::IntoBytes;

/// Clients served so at a time.
const SLOTS_MAX: usize = 16;
/// A page in which nothing was asked for so long is closed, and its thread ends.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// The page of one connection, shared by its thread and the event loop.
pub struct Page {
    slot: SharedSlot,
}

impl Page {
    /// The client is gone: the thread is woken, and ends.
    pub fn wake(&self) {
        sys::futex_wake(self.slot.state());
    }
}

/// A page for the client, and a thread that serves it.
pub fn open(daemon: &Arc<Daemon>, connection: &Arc<Connection>, greeting: Greeting) -> Answer {
    if RUNNING.fetch_add(1, Ordering::Relaxed) >= SLOTS_MAX {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
        return Err(Errno::EAGAIN);
    }
    let opened = SharedSlot::new().and_then(|(slot, fd)| {
        let page = Arc::new(Page { slot });
        let thread = (Arc::clone(daemon), Arc::clone(connection), Arc::clone(&page));
        connection.set_page(page);
        std::thread::Builder::new().name("slot".into()).spawn(move || {
            let (daemon, connection, page) = thread;
            serve(&daemon, &connection, greeting, &page.slot);
            RUNNING.fetch_sub(1, Ordering::Relaxed);
        })?;
        Ok((VnodeReply::default(), Some(fd)))
    });
    opened.map_err(|error| {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
        crate::namespace::errno_of(&error)
    })
}

/// Serves until the client is gone or asks no more.
fn serve(daemon: &Daemon, connection: &Connection, greeting: Greeting, slot: &SharedSlot) {
    let mut patience = Patience::new(Instant::now());
    let mut frame = [0; FRAME_MAX];
    let makes_ahead = ahead::own_umask();
    while wait(connection, slot, &mut patience) {
        daemon.stats.requests.fetch_add(1, Ordering::Relaxed);
        patience.request(Instant::now());
        let (header, answer) = answer(daemon, connection, greeting, slot.take(&mut frame));
        let (errno, body) = match &answer {
            Ok(reply) => (0, reply.as_bytes()),
            Err(errno) => (*errno as u32, &[][..]),
        };
        slot.put(&[header.reply(errno, body.len()).as_bytes(), body]);
        if slot.answer() {
            sys::futex_wake(slot.state());
        }
        // The client writes the file meanwhile.
        if makes_ahead && answer.is_ok_and(|reply| reply.created.get() != 0) {
            daemon.spares.ahead.make_one(daemon, greeting.workspace, RUNNING.load(Ordering::Relaxed));
        }
    }
}

/// Waits for a request; false: there will be none, and the page is closed.
fn wait(connection: &Connection, slot: &SharedSlot, patience: &mut Patience) -> bool {
    if let Some(mut wait) = patience.answered(Instant::now()) {
        loop {
            if slot.is_posted() {
                patience.met();
                return true;
            }
            if !patience.go_on(&mut wait, Instant::now()) {
                break;
            }
            std::hint::spin_loop();
        }
    }
    loop {
        slot.server_sleeps(true);
        let is_idle = !slot.is_posted()
            && !connection.is_closed()
            && sys::futex_wait(slot.state(), IDLE, IDLE_TIMEOUT) == Err(Errno::ETIMEDOUT);
        slot.server_sleeps(false);
        if slot.is_posted() {
            return true;
        }
        if (is_idle || connection.is_closed()) && slot.close() {
            return false;
        }
    }
}

fn answer(
    daemon: &Daemon,
    connection: &Connection,
    greeting: Greeting,
    frame: &[u8],
) -> (FrameHeader, Result<VnodeReply, Errno>) {
    let (header, op, body) = match FrameHeader::parse(frame) {
        Ok(parsed) => parsed,
        Err(error) => {
            daemon.stats.malformed.fetch_add(1, Ordering::Relaxed);
            let errno = Errno::from_raw(error.errno().cast_signed());
            return (FrameHeader::request(Op::Hello, 0, 0), Err(errno));
        }
    };
    let answer = match Call::read(daemon, connection, greeting, &header, op, body) {
        Some(call) => carry_out(daemon, call),
        None => Err(Errno::EBADMSG),
    };
    (header, answer)
}
