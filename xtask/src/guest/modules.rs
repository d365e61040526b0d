//! Kernel modules in the order in which they must be loaded, from what each says of itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSection};

/// The modules that the guest loads itself, by name.
const WANTED: [&str; 4] = ["virtio_pci", "virtio_blk", "vfio_iommu_type1", "vfio-pci"];

/// Files of the wanted modules and of what they depend on, dependencies first. What is built into the kernel is not
/// among them.
pub fn in_order(modules: &Path) -> Result<Vec<PathBuf>> {
    let mut files = BTreeMap::new();
    collect(modules, &mut files)?;
    let builtin = fs::read_to_string(modules.join("modules.builtin"))?;
    let builtin: Vec<String> =
        builtin.lines().filter_map(|line| Some(name_of(Path::new(line).file_name()?.to_str()?))).collect();
    let mut order = Vec::new();
    for name in WANTED {
        place(&plain(name), &files, &builtin, &mut order)?;
    }
    Ok(order)
}

fn place(
    name: &str,
    files: &BTreeMap<String, PathBuf>,
    builtin: &[String],
    order: &mut Vec<PathBuf>,
) -> Result<()> {
    if builtin.iter().any(|known| known == name) {
        return Ok(());
    }
    let file = files.get(name).with_context(|| format!("the kernel's package has no module {name}"))?;
    if order.contains(file) {
        return Ok(());
    }
    for needed in depends(file)? {
        place(&plain(&needed), files, builtin, order)?;
    }
    order.push(file.clone());
    Ok(())
}

/// The `depends=` line of the section `.modinfo`.
fn depends(file: &Path) -> Result<Vec<String>> {
    ensure!(file.extension().is_some_and(|end| end == "ko"), "{} is compressed", file.display());
    let bytes = fs::read(file)?;
    let object = object::File::parse(&*bytes)?;
    let section = object.section_by_name(".modinfo").context("a module without .modinfo")?;
    let text = section.data()?;
    let line = text.split(|byte| *byte == 0).find_map(|line| line.strip_prefix(b"depends="));
    let line = String::from_utf8_lossy(line.unwrap_or_default()).into_owned();
    Ok(line.split(',').filter(|name| !name.is_empty()).map(str::to_string).collect())
}

fn collect(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            collect(&path, files)?;
        } else if let Some(name) = entry.file_name().to_str().filter(|name| name.contains(".ko")) {
            files.insert(name_of(name), path);
        }
    }
    Ok(())
}

fn name_of(file: &str) -> String {
    plain(file.split(".ko").next().unwrap_or_default())
}

/// The kernel takes `-` and `_` in names of modules for the same.
fn plain(name: &str) -> String {
    name.replace('-', "_")
}
