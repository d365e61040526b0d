//! What is virtio-blk's own (5.2): features, configuration, requests.

pub(crate) mod config;
pub(crate) mod features;
pub(crate) mod request;
