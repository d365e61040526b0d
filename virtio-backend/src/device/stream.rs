//! Many requests of one thread under way, answered in any order.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use statefs_journal::device::Memory;

use super::block_device::check_range;
use super::buffers::Buffer;
use super::channel::Io;
use super::core::Core;
use crate::block::request::Kind;
use crate::queue::Token;

/// A request that has ended: its memory, and how it ended.
pub struct Completion {
    pub buffer: Buffer,
    pub result: io::Result<()>,
}

/// See the module. A request owns its memory until it has ended, so that nobody looks at what the device is writing.
pub struct Stream {
    core: Arc<Core>,
    /// Its requests are on this one, whatever thread asks.
    channel: usize,
    /// In the order in which they were begun.
    under_way: VecDeque<(Token, Buffer)>,
    /// Submitted together with the next look for an answer.
    waiting: VecDeque<(Io, Buffer)>,
}

impl Stream {
    pub(super) fn new(core: Arc<Core>) -> Self {
        let channel = core.channel_number();
        Self { core, channel, under_way: VecDeque::new(), waiting: VecDeque::new() }
    }

    /// Reads or writes the whole buffer at that byte of the device. The device is told with [`Self::next`].
    ///
    /// # Errors
    /// `InvalidInput` or `UnexpectedEof` for what is not whole blocks of the device, or another kind of request.
    pub fn push(&mut self, kind: Kind, offset: u64, buffer: Buffer) -> io::Result<()> {
        let len_bytes = buffer.bytes().len() as u64;
        check_range(&self.core, offset, len_bytes)?;
        let is_data = matches!(kind, Kind::Read | Kind::Write);
        if !is_data || len_bytes > u64::from(self.core.config.max_data_len) {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let data = buffer.start();
        self.waiting.push_back((Io { kind, offset, len_bytes, data }, buffer));
        Ok(())
    }

    /// Requests that have not been handed back.
    pub fn len(&self) -> usize {
        self.under_way.len() + self.waiting.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hands everything pushed to the device, waits for the oldest of those under way and gives it back; `None`: there is none.
    #[allow(clippy::should_implement_trait, reason = "it waits, and there is more after None")]
    pub fn next(&mut self) -> Option<Completion> {
        self.submit();
        let core = self.core.clone();
        let Some((token, buffer)) = self.under_way.pop_front() else {
            // Others have all slots, or the device is dead.
            let (io, buffer) = self.waiting.pop_front()?;
            return Some(Completion { buffer, result: core.run(&[io]) });
        };
        let result = core.wait(&core.channels[self.channel], token).result();
        Some(Completion { buffer, result })
    }

    /// Gives one back that has ended, without waiting and without handing anything to the device.
    pub fn try_next(&mut self) -> Option<Completion> {
        let channel = &self.core.channels[self.channel];
        let ended = self.under_way.iter().enumerate().find_map(|(at, (token, _))| {
            let outcome = channel.collect(*token)?;
            Some((at, outcome))
        });
        let (at, outcome) = ended?;
        let (_, buffer) = self.under_way.remove(at)?;
        Some(Completion { buffer, result: outcome.result() })
    }

    fn submit(&mut self) {
        let core = &self.core;
        let channel = &core.channels[self.channel];
        if !self.waiting.is_empty() {
            let ios: Vec<Io> = self.waiting.iter().map(|(io, _)| *io).collect();
            let mut tokens = Vec::with_capacity(ios.len());
            core.submit(channel, &ios, &mut tokens);
            let begun = self.waiting.drain(..tokens.len()).map(|(_, buffer)| buffer);
            self.under_way.extend(tokens.into_iter().zip(begun));
        }
    }
}

impl Drop for Stream {
    /// The memory goes back when the device is done with it.
    fn drop(&mut self) {
        self.waiting.clear();
        while self.next().is_some() {}
    }
}
