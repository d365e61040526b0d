//! The split virtqueue: the ring that both sides share, and who owns which place in it.

pub(crate) mod ring;
pub(crate) mod slots;

pub(crate) use ring::{ArenaCells, Ring};
pub(crate) use slots::{Finished, Slots, Token};
