//! `vrift.NAME=VALUE` of the kernel's command line.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

pub struct Arguments(BTreeMap<String, String>);

impl Arguments {
    pub fn of_kernel() -> Result<Arguments> {
        let text = std::fs::read_to_string("/proc/cmdline").context("cannot read the kernel's arguments")?;
        Ok(Arguments::parse(&text))
    }

    fn parse(text: &str) -> Arguments {
        let ours = text.split_whitespace().filter_map(|word| word.strip_prefix("vrift."));
        let pairs = ours.map(|word| word.split_once('=').unwrap_or((word, "1")));
        Arguments(pairs.map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    /// Empty: it was not given.
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// 0: it was not given.
    pub fn number(&self, name: &str) -> Result<u64> {
        match self.text(name) {
            "" => Ok(0),
            text => text.parse().with_context(|| format!("vrift.{name}={text} is no number")),
        }
    }

    pub fn is_set(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_words_count() {
        let arguments = Arguments::parse("quiet console=ttyS0 vrift.mode=cut vrift.init vrift.state=12\n");
        assert_eq!((arguments.text("mode"), arguments.number("state").unwrap()), ("cut", 12));
        assert!(arguments.is_set("init") && !arguments.is_set("console"));
        assert_eq!(arguments.number("none").unwrap(), 0);
    }
}
