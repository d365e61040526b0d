//! Known-bad variants of the engine. A test switches one on and must see it fail; without the feature `mutants` they
//! are not compiled in. A mutant that is not caught means that the tests could not have caught such a bug.

/// One planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mutant {
    /// Records and segments are bound neither to their epoch nor to a session: what is numbered right counts.
    NoEpoch = 1,
    /// A record counts whatever its checksum says.
    NoCrc,
    /// The checksum covers neither length nor payload.
    CrcWithoutLength,
    /// A superblock is written before what it refers to is durable.
    SuperblockBeforeData,
    /// The second superblock is never written again.
    OneSuperblock,
    /// A sync does not flush.
    MissingFlush,
    /// The block that a sync has covered is filled up by later records.
    BlockRewritten,
    /// Space of a removed blob is given back before the removal is durable.
    DiscardTooEarly,
    /// A checkpoint names blobs that are still gathered in memory.
    CheckpointWithoutBlobs,
    /// What an earlier session left behind the cut counts.
    NoSession,
    /// A segment is entered by the header that an earlier session wrote.
    HeaderOfAnySession,
    /// A record is kept although its blob's bytes are lost.
    LostBlobsKept,
}

/// All of them.
pub const ALL: [Mutant; 12] = [
    Mutant::NoEpoch,
    Mutant::NoCrc,
    Mutant::CrcWithoutLength,
    Mutant::SuperblockBeforeData,
    Mutant::OneSuperblock,
    Mutant::MissingFlush,
    Mutant::BlockRewritten,
    Mutant::DiscardTooEarly,
    Mutant::CheckpointWithoutBlobs,
    Mutant::NoSession,
    Mutant::HeaderOfAnySession,
    Mutant::LostBlobsKept,
];

#[cfg(feature = "mutants")]
mod switch {
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<u8> = const { Cell::new(0) };
    }

    /// Plants a bug, or none, in this thread.
    pub fn plant(mutant: Option<super::Mutant>) {
        PLANTED.set(mutant.map_or(0, |mutant| mutant as u8));
    }

    pub(crate) fn planted(mutant: super::Mutant) -> bool {
        PLANTED.get() == mutant as u8
    }
}

#[cfg(feature = "mutants")]
pub use switch::plant;
#[cfg(feature = "mutants")]
pub(crate) use switch::planted;

#[cfg(not(feature = "mutants"))]
pub(crate) const fn planted(_: Mutant) -> bool {
    false
}
