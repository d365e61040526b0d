// SPDX-License-Identifier: MIT OR Apache-2.0
//! Amounts in cents of a euro.
#![deny(unsafe_code)]

mod sys;

include!(concat!(env!("OUT_DIR"), "/rates.rs"));

/// An amount.
///
/// ```
/// assert_eq!(money::Amount::of("USD", 2).unwrap().cents, 184);
/// ```
#[derive(Debug, PartialEq, money_derive::Named)]
pub struct Amount {
    pub cents: u64,
}

impl Amount {
    pub fn of(code: &str, units: u64) -> Option<Amount> {
        let (_, cents) = RATES.iter().find(|(known, _)| *known == code)?;
        Some(Amount { cents: cents * units })
    }

    pub fn rounded(&self, step: u64) -> Amount {
        Amount { cents: sys::round_to(self.cents, step) }
    }
}

#[test]
fn amounts_are_rounded() {
    assert_eq!(Amount { cents: 92 }.rounded(5).cents, 90);
    assert_eq!(Amount { cents: 93 }.rounded(5).cents, 95);
}
