//! The paths in git's index (gitformat-index(5), versions 2 to 4).

/// Of the signature, the version and the count.
const HEADER_LEN: usize = 12;
/// Times, device, inode, mode, owner and size, before the object's name.
const STAT_LEN: usize = 40;
/// Object names of SHA-1 and of SHA-256 repositories: the index does not say which it has.
const HASH_LENS: [usize; 2] = [20, 32];
const EXTENDED: u16 = 0x4000;
const NAME_LEN_MASK: u16 = 0x0fff;
/// An index whose entries are in another file: not followed.
const SPLIT_EXTENSION: &[u8] = b"link";

/// Sorted, relative to the work tree.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tracked(Vec<Vec<u8>>);

impl Tracked {
    pub fn has(&self, path: &[u8]) -> bool {
        self.0.binary_search_by(|known| known[..].cmp(path)).is_ok()
    }

    /// A submodule counts: it is one entry without a slash.
    pub fn has_below(&self, dir: &[u8]) -> bool {
        if dir.is_empty() {
            return !self.0.is_empty();
        }
        let start = [dir, b"/"].concat();
        let at = self.0.partition_point(|known| known[..] < start[..]);
        self.has(dir) || self.0.get(at).is_some_and(|known| known.starts_with(&start))
    }
}

/// None: it is not an index that this understands.
pub fn parse(bytes: &[u8]) -> Option<Tracked> {
    HASH_LENS.iter().find_map(|hash_len| parse_with(bytes, *hash_len))
}

fn parse_with(bytes: &[u8], hash_len: usize) -> Option<Tracked> {
    let version = number(bytes, 4)?;
    if !bytes.starts_with(b"DIRC") || !(2..=4).contains(&version) {
        return None;
    }
    let count = number(bytes, 8)? as usize;
    let end = bytes.len().checked_sub(hash_len)?;
    let mut paths: Vec<Vec<u8>> = Vec::with_capacity(count.min(bytes.len() / STAT_LEN));
    let mut at = HEADER_LEN;
    for _ in 0..count {
        let entry = at;
        at += STAT_LEN + hash_len;
        let flags = u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?);
        at += if version >= 3 && flags & EXTENDED != 0 { 4 } else { 2 };
        let kept = if version == 4 {
            let last_len = paths.last().map_or(0, Vec::len);
            last_len.checked_sub(varint(bytes, &mut at)?)?
        } else {
            0
        };
        let rest = bytes.get(at..end)?;
        let len = rest.iter().position(|byte| *byte == 0)?;
        let mut path = paths.last().map_or(Vec::new(), |last| last[..kept].to_vec());
        path.extend_from_slice(&rest[..len]);
        at += len + 1;
        if version < 4 {
            at = entry + (at - entry).next_multiple_of(8);
        }
        let said = usize::from(flags & NAME_LEN_MASK);
        let right = said == path.len() || (said == usize::from(NAME_LEN_MASK) && path.len() > said);
        if !right || path.is_empty() || paths.last().is_some_and(|last| *last > path) {
            return None;
        }
        paths.push(path);
    }
    while at + 8 <= end {
        if bytes.get(at..at + 4)? == SPLIT_EXTENSION {
            return None;
        }
        at += 8 + number(bytes, at + 4)? as usize;
    }
    Some(Tracked(paths))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// As in pack files: seven bits a byte, each further one adds one.
fn varint(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let mut value = 0usize;
    for round in 0..5 {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value = if round == 0 { 0 } else { (value + 1) << 7 } | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(version: u32, paths: &[&str], extension: Option<&[u8]>) -> Vec<u8> {
        let mut bytes = [&b"DIRC"[..], &version.to_be_bytes(), &(paths.len() as u32).to_be_bytes()].concat();
        let mut last = "";
        for path in paths {
            let start = bytes.len();
            bytes.resize(start + STAT_LEN + 20, 7);
            bytes.extend_from_slice(&(path.len() as u16).to_be_bytes());
            if version == 4 {
                let shared = path.bytes().zip(last.bytes()).take_while(|(one, two)| one == two).count();
                bytes.push((last.len() - shared) as u8);
                bytes.extend_from_slice(&path.as_bytes()[shared..]);
                bytes.push(0);
            } else {
                bytes.extend_from_slice(path.as_bytes());
                let len = (bytes.len() - start + 1).next_multiple_of(8);
                bytes.resize(start + len, 0);
            }
            last = path;
        }
        if let Some(name) = extension {
            bytes.extend_from_slice(name);
            bytes.extend_from_slice(&3u32.to_be_bytes());
            bytes.extend_from_slice(b"abc");
        }
        bytes.resize(bytes.len() + 20, 9);
        bytes
    }

    #[test]
    fn paths_of_all_versions_are_found_and_damage_is_not_taken_for_an_index() {
        let paths = ["a", "dir/file", "dir/other", "module"];
        for version in 2..=4 {
            let bytes = index(version, &paths, Some(b"TREE"));
            let tracked = parse(&bytes).unwrap();
            assert_eq!(tracked.0, paths.map(|path| path.as_bytes().to_vec()));
            assert!(tracked.has(b"dir/file") && !tracked.has(b"dir"));
            assert!(tracked.has_below(b"dir") && tracked.has_below(b"module") && !tracked.has_below(b"di"));
            for len in 0..bytes.len() - 40 {
                assert_eq!(parse(&bytes[..len]), None, "version {version}, {len} bytes");
            }
            assert_eq!(parse(&index(version, &paths, Some(b"link"))), None);
        }
        assert_eq!(parse(&index(5, &paths, None)), None);
        assert_eq!(parse(&index(2, &[], None)), Some(Tracked::default()));
    }
}
