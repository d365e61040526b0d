//! PCI configuration space: who the device is, and where it keeps the structures of the virtio transport (4.1.4).

/// Ids of virtio devices (4.1.2).
const VENDOR: u16 = 0x1af4;
/// A block device, and one that may also be driven as before the standard.
const BLOCK_IDS: [u16; 2] = [0x1042, 0x1001];

const COMMAND_AT: u16 = 4;
const STATUS_AT: u16 = 6;
const STATUS_HAS_CAPABILITIES: u16 = 1 << 4;
const CAPABILITIES_AT: u16 = 0x34;
const CAPABILITY_VENDOR: u8 = 9;
/// Capabilities lie in the first 256 bytes, at multiples of 4, behind the header.
const CAPABILITIES_MAX: usize = 48;
/// Answer memory accesses; be master of the bus; no INTx.
const COMMAND_BITS: u16 = 2 | 4 | 1 << 10;

/// Configuration space, read and written by the kernel's leave.
pub(crate) trait ConfigSpace {
    /// # Errors
    /// What the kernel says.
    fn read(&self, offset: u16, out: &mut [u8]) -> std::io::Result<()>;
    /// # Errors
    /// What the kernel says.
    fn write(&self, offset: u16, bytes: &[u8]) -> std::io::Result<()>;
}

/// A structure in one of the device's memory regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Structure {
    pub(crate) bar: u8,
    pub(crate) offset: u32,
    pub(crate) len: u32,
}

/// The structures that are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Structures {
    pub(crate) common: Structure,
    pub(crate) notify: Structure,
    /// Bytes between the places where two queues are notified.
    pub(crate) notify_multiplier: u32,
    pub(crate) device: Structure,
}

/// Why there are none.
#[derive(Debug)]
pub(crate) enum NotVirtio {
    Io(std::io::Error),
    Other(String),
}

impl From<std::io::Error> for NotVirtio {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

fn read_u16(space: &dyn ConfigSpace, at: u16) -> std::io::Result<u16> {
    let mut bytes = [0; 2];
    space.read(at, &mut bytes)?;
    Ok(u16::from_le_bytes(bytes))
}

/// Lets the device answer and reach memory.
///
/// # Errors
/// What the kernel says.
pub(crate) fn enable(space: &dyn ConfigSpace) -> std::io::Result<()> {
    let command = read_u16(space, COMMAND_AT)? | COMMAND_BITS;
    space.write(COMMAND_AT, &command.to_le_bytes())
}

/// Checks that it is a virtio block device and finds its structures.
pub(crate) fn find(space: &dyn ConfigSpace) -> Result<Structures, NotVirtio> {
    let (vendor, device) = (read_u16(space, 0)?, read_u16(space, 2)?);
    if vendor != VENDOR || !BLOCK_IDS.contains(&device) {
        return Err(NotVirtio::Other(format!("it is no virtio block device ({vendor:04x}:{device:04x})")));
    }
    if read_u16(space, STATUS_AT)? & STATUS_HAS_CAPABILITIES == 0 {
        return Err(NotVirtio::Other("it is a legacy device (it has no capabilities)".into()));
    }
    let mut found = [None; 5];
    let mut notify_multiplier = 0;
    let mut at = [0];
    space.read(CAPABILITIES_AT, &mut at)?;
    let mut at = u16::from(at[0] & !3);
    for _ in 0..CAPABILITIES_MAX {
        if at < 0x40 {
            break;
        }
        // vendor, next, length, type, bar, id, padding (2), offset (4), length (4), for type 2 the multiplier (4)
        let mut bytes = [0; 20];
        let len = bytes.len().min(256 - usize::from(at));
        space.read(at, &mut bytes[..len])?;
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let (kind, bar) = (usize::from(bytes[3]), bytes[4]);
        // The first one of a type that can be used is the one to use (4.1.4.1).
        if bytes[0] == CAPABILITY_VENDOR && bar < 6 && (1..5).contains(&kind) && found[kind].is_none() {
            found[kind] = Some(Structure { bar, offset: u32_at(8), len: u32_at(12) });
            if kind == 2 {
                notify_multiplier = u32_at(16);
            }
        }
        at = u16::from(bytes[1] & !3);
    }
    match found {
        [_, Some(common), Some(notify), _, Some(device)] => {
            Ok(Structures { common, notify, notify_multiplier, device })
        }
        _ => {
            Err(NotVirtio::Other("it is a legacy device (it has not all structures of the standard)".into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    struct Bytes(RefCell<[u8; 256]>);
    impl ConfigSpace for Bytes {
        fn read(&self, offset: u16, out: &mut [u8]) -> std::io::Result<()> {
            let from = usize::from(offset);
            out.copy_from_slice(&self.0.borrow()[from..from + out.len()]);
            Ok(())
        }
        fn write(&self, offset: u16, bytes: &[u8]) -> std::io::Result<()> {
            let from = usize::from(offset);
            self.0.borrow_mut()[from..from + bytes.len()].copy_from_slice(bytes);
            Ok(())
        }
    }

    fn space(capabilities: &[(u8, &[u8])]) -> Bytes {
        let mut bytes = [0; 256];
        bytes[..4].copy_from_slice(&[0xf4, 0x1a, 0x42, 0x10]);
        bytes[6] = 0x10;
        bytes[0x34] = capabilities.first().map_or(0, |(at, _)| *at);
        for (at, capability) in capabilities {
            bytes[usize::from(*at)..usize::from(*at) + capability.len()].copy_from_slice(capability);
        }
        Bytes(RefCell::new(bytes))
    }

    fn capability(kind: u8, bar: u8, next: u8) -> Vec<u8> {
        let mut bytes = vec![9, next, 20, kind, bar, 0, 0, 0];
        bytes.extend_from_slice(&(u32::from(kind) * 0x1000).to_le_bytes());
        bytes.extend_from_slice(&[0, 16, 0, 0, 4, 0, 0, 0]);
        bytes
    }

    #[test]
    fn the_first_structure_of_each_kind_is_found() {
        let space = space(&[
            (0x40, &capability(2, 4, 0x54)),
            (0x54, &capability(1, 9, 0x68)),
            (0x68, &capability(1, 4, 0x7c)),
            (0x7c, &capability(4, 4, 0x90)),
            (0x90, &capability(1, 2, 0)),
        ]);
        let found = find(&space).unwrap();
        assert_eq!(found.common, Structure { bar: 4, offset: 0x1000, len: 0x1000 });
        assert_eq!((found.notify.offset, found.notify_multiplier, found.device.offset), (0x2000, 4, 0x4000));
        enable(&space).unwrap();
        assert_eq!(space.0.borrow()[4..6], [6, 4]);
    }

    #[test]
    fn circles_ends_and_strangers_are_refused() {
        assert!(find(&space(&[(0x40, &capability(1, 4, 0x40))])).is_err());
        assert!(find(&space(&[(0xfc, &[9, 0xfc, 20, 1])])).is_err());
        assert!(find(&space(&[(0x10, &capability(1, 4, 0))])).is_err());
        assert!(find(&space(&[])).is_err());
        let stranger = space(&[(0x40, &capability(1, 4, 0))]);
        stranger.0.borrow_mut()[2] = 0x41;
        assert!(matches!(find(&stranger), Err(NotVirtio::Other(why)) if why.contains("1af4:1041")));
    }
}
