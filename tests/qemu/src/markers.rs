//! The lines that the guest prints after something was read back, in their order.

/// `blk: virtio-blk up (ss=512 nsec=131072)`: sector size in bytes, number of sectors.
pub const BLOCK: &str = "blk: virtio-blk up (ss=";
pub const READY: &str = "statefsd: ready";
pub const STATE_PUT: &str = "SELFTEST: statefs put ok";
pub const STATE_PERSIST: &str = "SELFTEST: statefs persist ok";
pub const STATE_UNAUTHORIZED: &str = "SELFTEST: statefs unauthorized access rejected";
pub const STATE_ATOMIC: &str = "SELFTEST: statefs crash-atomic ok";
pub const KEY_PERSIST: &str = "SELFTEST: device key persist ok";
pub const KEY_PRIVATE: &str = "SELFTEST: device key private export rejected ok";
pub const BOOT_PERSIST: &str = "SELFTEST: bootctl persist ok";
pub const IDENTITY_PERSIST: &str = "SELFTEST: identity persist ok";
pub const TIME_PERSIST: &str = "SELFTEST: time persist ok";
pub const BUILD: &str = "SELFTEST: build ok";
pub const BUILD_PERSIST: &str = "SELFTEST: build persist ok";

/// All of them. The first is a beginning of a line, the others are whole lines.
pub const ALL: [&str; 13] = [
    BLOCK,
    READY,
    STATE_PUT,
    STATE_PERSIST,
    STATE_UNAUTHORIZED,
    STATE_ATOMIC,
    KEY_PERSIST,
    KEY_PRIVATE,
    BOOT_PERSIST,
    IDENTITY_PERSIST,
    TIME_PERSIST,
    BUILD,
    BUILD_PERSIST,
];

/// Begins a line that says what is not as it should be.
pub const FAIL: &str = "SELFTEST: FAIL";
/// `SELFTEST: round N done`: the whole list was printed; the N-th start of the guest ends here.
pub const ROUND: &str = "SELFTEST: round";
/// After a power cut: all that was acknowledged is there, the store is whole.
pub const CUT_VERIFIED: &str = "SELFTEST: after the cut all is there";
/// The guest writes from now on, until it is cut off.
pub const WRITING: &str = "SELFTEST: writing";
/// `ACK state N`, `ACK file N`, `ACK build N`: everything up to N was synced.
pub const ACK: &str = "ACK";
/// `BUILD N`: a build began, outputs may be missing from now on.
pub const BUILD_BEGUN: &str = "BUILD";

/// `SELFTEST: NAME is refused`: with a reason that says what is wrong, and soon.
pub const REFUSED: &str = " is refused";
/// A store on the device took values and files, kept them over the daemon's death and is whole.
pub const QUICK: &str = "SELFTEST: the device holds a store";
/// What others wrote was read, and something was added.
pub const MOVED: &str = "SELFTEST: what others wrote is there";
/// After the device was taken away clients got errors, at once.
pub const UNPLUGGED: &str = "SELFTEST: clients are told that the device is gone";

/// Whether `line` is the marker.
pub fn is(line: &str, marker: &str) -> bool {
    if marker == BLOCK { line.starts_with(marker) && line.ends_with(')') } else { line == marker }
}
