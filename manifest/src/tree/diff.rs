//! What differs between two trees: equal addresses are not looked into.

use super::Address;
use super::object::{Entry, TreeRoot, decode, side_by_side};
use std::io;

/// Where objects come from.
pub type Fetch<'a> = &'a mut dyn FnMut(&Address) -> io::Result<Vec<u8>>;

/// A name whose type, permissions or content differ; None: it is not there on that side.
#[derive(Clone, Debug)]
pub struct TreeChange {
    /// Relative to the root.
    pub path: Vec<u8>,
    pub old: Option<Entry>,
    pub new: Option<Entry>,
}

/// Everything that differs, a directory before what is in it. The roots themselves are not compared.
///
/// # Errors
/// Those of `fetch`; `InvalidData` for objects that make no tree.
pub fn diff(old: &TreeRoot, new: &TreeRoot, fetch: Fetch<'_>) -> io::Result<Vec<TreeChange>> {
    let mut found = Vec::new();
    let mut pairs = vec![(Vec::new(), old.entry.object, new.entry.object)];
    while let Some((path, old, new)) = pairs.pop() {
        if old == new {
            continue;
        }
        let mut entries = |address: Option<Address>| match address {
            Some(address) => decode(&fetch(&address)?),
            None => Ok(Vec::new()),
        };
        let (old, new) = (entries(old)?, entries(new)?);
        for (one, two) in side_by_side(old, new) {
            let name = one.as_ref().or(two.as_ref()).map_or(&[][..], |entry| &entry.name);
            let path = if path.is_empty() { name.to_vec() } else { [&path, &b"/"[..], name].concat() };
            let object = |entry: &Option<Entry>| entry.as_ref().and_then(|entry| entry.object);
            let objects = (object(&one), object(&two));
            let same = matches!((&one, &two), (Some(one), Some(two)) if looks_alike(one, two));
            if !same {
                found.push(TreeChange { path: path.clone(), old: one, new: two });
            }
            if objects.0 != objects.1 {
                pairs.push((path, objects.0, objects.1));
            }
        }
    }
    Ok(found)
}

/// Same type, permissions, content and extended attributes; of directories the entries are another matter.
fn looks_alike(one: &Entry, two: &Entry) -> bool {
    one.attr.mode == two.attr.mode
        && one.attr.content == two.attr.content
        && one.target == two.target
        && one.attr.rdev == two.attr.rdev
        && one.xattrs == two.xattrs
}
