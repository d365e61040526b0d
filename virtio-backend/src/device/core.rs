//! What all users of a device share: its channels, and its end.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::buffers::Pool;
use super::channel::{Channel, Io, Look};
use crate::arena::Arena;
use crate::block::config::Config;
use crate::block::request::Outcome;
use crate::queue::Token;
use crate::transport::{Transport, status};

/// A reset that is not done by then is none.
const RESET_LIMIT: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct Core {
    pub(super) name: String,
    pub(super) config: Config,
    pub(super) poll: bool,
    /// A request that takes longer is the last one.
    pub(super) timeout: Duration,
    pub(super) channels: Vec<Channel>,
    pub(super) arena: Arc<Arena>,
    pub(super) bounces: Arc<Pool>,
    pub(super) buffers: Arc<Pool>,
    /// Why the device is used no more.
    dead: OnceLock<String>,
    next_channel: AtomicUsize,
    /// None once the kernel has it back.
    transport: RwLock<Option<Box<dyn Transport>>>,
}

pub(super) struct Parts {
    pub(super) name: String,
    pub(super) config: Config,
    pub(super) poll: bool,
    pub(super) timeout: Duration,
    pub(super) channels: Vec<Channel>,
    pub(super) arena: Arc<Arena>,
    pub(super) transport: Box<dyn Transport>,
}

std::thread_local! {
    /// The channel of this thread, once it has one.
    static CHANNEL: std::cell::Cell<usize> = const { std::cell::Cell::new(usize::MAX) };
}

impl Core {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { name, config, poll, timeout, channels, arena, transport } = parts;
        Self {
            name,
            config,
            poll,
            timeout,
            channels,
            arena,
            bounces: Arc::new(Pool::of_bounces()),
            buffers: Arc::new(Pool::of_buffers()),
            dead: OnceLock::new(),
            next_channel: AtomicUsize::new(0),
            transport: RwLock::new(Some(transport)),
        }
    }

    /// Asks the device something; one that was given back is gone.
    fn ask<T>(&self, question: impl FnOnce(&dyn Transport) -> T, gone: T) -> T {
        let transport = self.transport.read().unwrap_or_else(PoisonError::into_inner);
        transport.as_deref().map_or(gone, question)
    }

    fn status(&self) -> u8 {
        self.ask(|transport| transport.status(), status::GONE)
    }

    /// Threads keep to a channel, so that those of one do not wait for those of another.
    pub(super) fn channel(&self) -> &Channel {
        &self.channels[self.channel_number()]
    }

    pub(super) fn channel_number(&self) -> usize {
        let number = CHANNEL.get();
        let number = if number == usize::MAX {
            let number = self.next_channel.fetch_add(1, Ordering::Relaxed);
            CHANNEL.set(number);
            number
        } else {
            number
        };
        number % self.channels.len()
    }

    fn is_dead(&self) -> bool {
        self.dead.get().is_some()
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn why_dead(&self) -> Option<String> {
        self.dead.get().cloned()
    }

    pub(super) fn check(&self) -> io::Result<()> {
        if self.is_dead() { Err(io::Error::from_raw_os_error(libc::EIO)) } else { Ok(()) }
    }

    /// Carries out all of them, as many at a time as there is room for; the first error.
    pub(super) fn run(&self, ios: &[Io]) -> io::Result<()> {
        let channel = self.channel();
        let mut begun = 0;
        let mut tokens = Vec::with_capacity(ios.len());
        let mut ended = 0;
        let mut result = Ok(());
        while ended < ios.len() {
            self.check().or_else(|error| if ended < tokens.len() { Ok(()) } else { Err(error) })?;
            if begun < ios.len() {
                self.submit(channel, &ios[begun..], &mut tokens);
                begun = tokens.len();
            }
            if ended == tokens.len() {
                self.wait_for_room(channel);
                continue;
            }
            let outcome = self.wait(channel, tokens[ended]);
            ended += 1;
            result = result.and(outcome.result());
        }
        result
    }

    pub(super) fn submit(&self, channel: &Channel, ios: &[Io], tokens: &mut Vec<Token>) {
        if channel.submit(ios, tokens, self.timeout, &|| self.is_dead()) {
            self.ask(|transport| transport.notify(channel.index()), ());
        }
    }

    fn wait_for_room(&self, channel: &Channel) {
        if let Err(lie) = channel.wait_for_room() {
            self.fail(&lie);
        } else if channel.is_late() {
            self.fail_late();
        }
    }

    /// Until the request has ended.
    pub(super) fn wait(&self, channel: &Channel, token: Token) -> Outcome {
        loop {
            match channel.wait(token, self.poll) {
                Look::Ended(outcome) => return outcome,
                Look::NotYet => {}
                Look::Late => self.fail_late(),
                Look::Lie(lie) => self.fail(&lie),
            }
        }
    }

    fn fail_late(&self) {
        match self.status() {
            status::GONE => self.fail("it is gone"),
            now if now & (status::NEEDS_RESET | status::FAILED) != 0 => {
                self.fail(&format!("it has given up (status {now:#x})"));
            }
            _ => self.fail(&format!("it did not answer within {} ms", self.timeout.as_millis())),
        }
    }

    /// The device is used no more: it is reset, so that it answers nothing and writes nowhere, and everything that is
    /// under way fails.
    pub(super) fn fail(&self, why: &str) {
        if self.dead.set(why.to_owned()).is_err() {
            // Who was first ends all requests; this caller's may still be waiting for that.
            std::thread::yield_now();
            return;
        }
        tracing::error!(device = %self.name, why, "virtio: the device is used no more");
        if !self.reset() {
            tracing::error!(device = %self.name, "virtio: the device does not say that it is reset");
        }
        self.channels.iter().for_each(Channel::end_all);
    }

    /// Fails, and lets go of the device: the kernel waits for that before it unplugs or unbinds it.
    pub(super) fn give_back(&self) {
        self.fail("the kernel takes it away");
        let transport = self.transport.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(transport);
    }

    /// Whoever sleeps until the device rings looks at the clock.
    pub(super) fn look_around(&self) {
        self.channels.iter().for_each(Channel::wake_listener);
    }

    fn reset(&self) -> bool {
        self.ask(|transport| transport.set_status(0), ());
        let until = Instant::now() + RESET_LIMIT;
        while ![0, status::GONE].contains(&self.status()) {
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }
}

impl Drop for Core {
    /// Nobody has a request under way; the device must forget the arena before that is gone.
    fn drop(&mut self) {
        self.reset();
    }
}
