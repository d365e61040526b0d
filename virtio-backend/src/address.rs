//! `vfio:0000:00:03.0,poll`: which device, and how it is driven.

use std::fmt;

use crate::error::VirtioError;

/// What the text begins with.
const SCHEME: &str = "vfio:";

/// A PCI function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    pub domain: u16,
    pub bus: u8,
    pub device: u8,
    pub function: u8,
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.device, self.function)
    }
}

/// A device and how it is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    pub address: Address,
    /// Completions are looked for, not waited for: no system call, at the price of a busy processor.
    pub poll: bool,
    /// Go on where there is no IOMMU. The device can then reach all memory.
    pub noiommu: bool,
}

impl fmt::Display for Spec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{SCHEME}{}", self.address)?;
        out.write_str(if self.poll { ",poll" } else { "" })?;
        out.write_str(if self.noiommu { ",noiommu" } else { "" })
    }
}

impl Spec {
    /// Whether the text is meant to be one.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// Whether the device is there and can be opened, as far as that can be told without opening it.
    ///
    /// # Errors
    /// `NoDevice`, `WrongDriver`, `NoDriver`.
    pub fn look(&self) -> Result<(), VirtioError> {
        crate::vfio::look(self.address).map(drop)
    }

    /// Reads what [`fmt::Display`] writes.
    ///
    /// # Errors
    /// `BadAddress`.
    pub fn parse(text: &str) -> Result<Spec, VirtioError> {
        let bad = || VirtioError::BadAddress { text: text.to_owned() };
        let mut words = text.strip_prefix(SCHEME).ok_or_else(bad)?.split(',');
        let address = words.next().and_then(parse_address).ok_or_else(bad)?;
        let mut spec = Spec { address, poll: false, noiommu: false };
        for word in words {
            let option = match word {
                "poll" => &mut spec.poll,
                "noiommu" => &mut spec.noiommu,
                _ => return Err(bad()),
            };
            if std::mem::replace(option, true) {
                return Err(bad());
            }
        }
        Ok(spec)
    }
}

fn parse_address(text: &str) -> Option<Address> {
    let (domain, rest) = text.split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    let hex = |text: &str, len: usize, max: u16| {
        let digits = text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u16::from_str_radix(text, 16).ok()).flatten().filter(|value| *value <= max)
    };
    Some(Address {
        domain: hex(domain, 4, u16::MAX)?,
        bus: u8::try_from(hex(bus, 2, 0xff)?).ok()?,
        device: u8::try_from(hex(device, 2, 0x1f)?).ok()?,
        function: u8::try_from(hex(function, 1, 7)?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in ["vfio:0000:00:03.0", "vfio:abcd:ff:1f.7,poll", "vfio:0000:00:03.0,poll,noiommu"] {
            assert_eq!(Spec::parse(text).unwrap().to_string(), text);
        }
        let spec = Spec::parse("vfio:0000:00:03.0,noiommu,poll").unwrap();
        assert!(spec.poll && spec.noiommu);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "vfio:",
            "vfio:00:03.0",
            "vfio:0000:00:03",
            "vfio:0000:00:20.0",
            "vfio:0000:00:03.8",
            "vfio:0000:00:+3.0",
            "vfio:0000:00:03.0,",
            "vfio:0000:00:03.0,spin",
            "vfio:0000:00:03.0,poll,poll",
            "vfio:0000:00:03.0/../..",
            "/dev/vda",
        ] {
            assert!(Spec::parse(text).is_err(), "{text}");
        }
    }
}
