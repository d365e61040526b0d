//! The functions of a shared library: those that it offers to others, as `nm -D --defined-only` lists them, and those in one of
//! its sections.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use object::elf::{STT_FUNC, STT_GNU_IFUNC};
use object::read::elf::{ElfFile64, Sym};
use object::{Endianness, Object, ObjectSection, ObjectSymbol};

/// Names without their versions.
pub fn functions(library: &Path) -> Result<BTreeSet<String>> {
    let bytes = fs::read(library).with_context(|| format!("cannot read {}", library.display()))?;
    let file = ElfFile64::<Endianness>::parse(&*bytes)
        .with_context(|| format!("{} is no 64-bit ELF file", library.display()))?;
    let mut names = BTreeSet::new();
    for symbol in file.dynamic_symbols().filter(|symbol| symbol.is_definition() || is_indirect(symbol)) {
        if matches!(symbol.elf_symbol().st_type(), STT_FUNC | STT_GNU_IFUNC) {
            names.insert(symbol.name()?.to_string());
        }
    }
    if names.is_empty() {
        bail!("{} offers no function", library.display());
    }
    Ok(names)
}

/// All functions in the section of this name, as the linker knows them.
pub fn in_section(library: &Path, section: &str) -> Result<Vec<String>> {
    let bytes = fs::read(library).with_context(|| format!("cannot read {}", library.display()))?;
    let file = ElfFile64::<Endianness>::parse(&*bytes)
        .with_context(|| format!("{} is no 64-bit ELF file", library.display()))?;
    let Some(section) = file.section_by_name(section) else { return Ok(vec![]) };
    let there = file.symbols().filter(|symbol| symbol.section_index() == Some(section.index()));
    Ok(there.map(|symbol| symbol.name().map(str::to_string)).collect::<Result<_, _>>()?)
}

/// A function that the loader chooses by processor: defined, but no plain text symbol.
fn is_indirect<'data>(symbol: &object::read::elf::ElfSymbol64<'data, '_, Endianness>) -> bool {
    let raw = symbol.elf_symbol();
    raw.st_type() == STT_GNU_IFUNC && !raw.is_undefined(Endianness::Little)
}

/// The C library that this very process runs with.
pub fn c_library() -> Result<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    maps.lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|path| path.ends_with("/libc.so.6"))
        .map(PathBuf::from)
        .context("this process has no libc.so.6")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_indirect_and_older_functions_are_all_listed() {
        let names = functions(&c_library().expect("a C library")).expect("its functions");
        for name in ["open", "memcpy", "__xstat"] {
            assert!(names.contains(name), "{name}");
        }
        assert!(!names.contains("environ"), "data is no function");
    }
}
