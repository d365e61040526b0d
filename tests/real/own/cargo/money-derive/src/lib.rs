// SPDX-License-Identifier: MIT OR Apache-2.0
//! `#[derive(Named)]`: a constant with the type's name.
#![forbid(unsafe_code)]

use proc_macro::{TokenStream, TokenTree};

#[proc_macro_derive(Named)]
pub fn named(input: TokenStream) -> TokenStream {
    let mut words = input.into_iter();
    words.find(|word| matches!(word, TokenTree::Ident(ident) if ident.to_string() == "struct"));
    let name = words.next().expect("a name follows").to_string();
    format!("impl {name} {{ pub const NAME: &'static str = \"{name}\"; }}").parse().unwrap()
}
