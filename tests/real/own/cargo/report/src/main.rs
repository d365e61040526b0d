// SPDX-License-Identifier: MIT OR Apache-2.0
#![forbid(unsafe_code)]
fn main() {
    for (code, cents) in money::RATES {
        println!("{code} {}", money::Amount { cents: *cents }.rounded(10).cents);
    }
    if let Some(path) = std::env::args_os().nth(1) {
        println!("total {}", ledger::total(path.as_ref()).unwrap());
    }
}
