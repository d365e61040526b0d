//! Extended attributes of vnodes: a map beside the index, which only says who has any.

use crate::codec::{Decoder, Encoder, Malformed};
use crate::daemon::Daemon;
use crate::record::Change;
use crate::vnode_ops::Call;
use nix::errno::Errno;
use std::collections::{BTreeMap, HashMap};
use vrift_manifest::VnodeNo;
use vrift_protocol::Op;
use vrift_protocol::vnode_op::{XATTR_NAME_MAX, XATTRS_LEN_MAX};

/// setxattr(2): XATTR_CREATE and XATTR_REPLACE.
const CREATE: u32 = 1;
const REPLACE: u32 = 2;

/// Names and values of one vnode.
pub type OfVnode = BTreeMap<Vec<u8>, Vec<u8>>;

/// All of a workspace's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Xattrs(HashMap<u64, OfVnode>);

impl Xattrs {
    pub fn of(&self, vnode: VnodeNo) -> Option<&OfVnode> {
        self.0.get(&vnode.0)
    }

    /// Sets, or with None removes; whether the vnode has any afterwards.
    pub fn set(&mut self, vnode: VnodeNo, name: &[u8], value: Option<&[u8]>) -> bool {
        let all = self.0.entry(vnode.0).or_default();
        match value {
            Some(value) => drop(all.insert(name.to_vec(), value.to_vec())),
            None => drop(all.remove(name)),
        }
        let has_any = !all.is_empty();
        if !has_any {
            self.0.remove(&vnode.0);
        }
        has_any
    }

    /// The vnode is gone.
    pub fn forget(&mut self, vnode: VnodeNo) {
        self.0.remove(&vnode.0);
    }

    pub fn vnodes(&self) -> impl Iterator<Item = VnodeNo> + '_ {
        self.0.keys().copied().map(VnodeNo)
    }

    /// count u32, then per vnode its number u64, count u32, and name and value texts.
    pub fn encode(&self, to: &mut Encoder) {
        to.u32(self.0.len() as u32);
        for (vnode, all) in &self.0 {
            to.u64(*vnode).u32(all.len() as u32);
            for (name, value) in all {
                to.text(name).text(value);
            }
        }
    }

    pub fn decode(from: &mut Decoder<'_>) -> Result<Xattrs, Malformed> {
        let mut xattrs = Xattrs::default();
        for _ in 0..from.u32()? {
            let vnode = VnodeNo(from.u64()?);
            for _ in 0..from.u32()? {
                let (name, value) = (from.text()?, from.text()?);
                xattrs.set(vnode, name, Some(value));
            }
        }
        Ok(xattrs)
    }
}

fn len_of(all: &OfVnode) -> usize {
    all.iter().map(|(name, value)| name.len() + 1 + value.len()).sum()
}

/// Bytes of a value, or the names, each ended by a NUL.
pub fn read(daemon: &Daemon, call: &Call) -> Result<Vec<u8>, Errno> {
    let spaces = daemon.spaces();
    let workspace = spaces.get(call.workspace)?;
    workspace.index.attr(call.vnode()).ok_or(Errno::ENOENT)?;
    let all = workspace.xattrs.of(call.vnode());
    if call.op == Op::ListXattr {
        let names = all.into_iter().flat_map(|all| all.keys());
        return Ok(names.flat_map(|name| name.iter().copied().chain([0])).collect());
    }
    all.and_then(|all| all.get(&call.name)).cloned().ok_or(Errno::ENODATA)
}

/// Sets or removes one.
pub fn write(daemon: &Daemon, call: &Call) -> Result<VnodeNo, Errno> {
    if call.name.is_empty() || call.name.len() > XATTR_NAME_MAX || call.name.contains(&0) {
        return Err(Errno::ERANGE);
    }
    let mut spaces = daemon.spaces();
    let workspace = spaces.get(call.workspace)?;
    workspace.index.attr(call.vnode()).ok_or(Errno::ENOENT)?;
    let empty = OfVnode::new();
    let all = workspace.xattrs.of(call.vnode()).unwrap_or(&empty);
    let old = all.get(&call.name);
    let value = if call.op == Op::SetXattr {
        let flags = call.request.flags.get();
        if flags & CREATE != 0 && old.is_some() {
            return Err(Errno::EEXIST);
        }
        if flags & REPLACE != 0 && old.is_none() {
            return Err(Errno::ENODATA);
        }
        let before = old.map_or(0, |old| call.name.len() + 1 + old.len());
        if len_of(all) - before + call.name.len() + 1 + call.name2.len() > XATTRS_LEN_MAX {
            return Err(Errno::ENOSPC);
        }
        Some(&call.name2[..])
    } else {
        old.ok_or(Errno::ENODATA)?;
        None
    };
    let change =
        Change::SetXattr { vnode: call.vnode(), name: &call.name, value, ctime_ns: daemon.clock.now_ns() };
    daemon.commit(&mut spaces, call.workspace, call.origin, &change).map(|_| call.vnode())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut xattrs = Xattrs::default();
        assert!(xattrs.set(VnodeNo(3), b"user.a", Some(b"one\0two")));
        assert!(xattrs.set(VnodeNo(3), b"user.b", Some(b"")));
        assert!(xattrs.set(VnodeNo(9), b"user.a", Some(b"x")));
        assert!(!xattrs.set(VnodeNo(9), b"user.a", None));
        let mut bytes = Encoder::default();
        xattrs.encode(&mut bytes);
        let mut from = Decoder::new(&bytes.0, "test");
        assert_eq!(Xattrs::decode(&mut from), Ok(xattrs.clone()));
        assert_eq!(from.finish(), Ok(()));
        for len in 0..bytes.0.len() {
            assert!(Xattrs::decode(&mut Decoder::new(&bytes.0[..len], "test")).is_err(), "cut to {len}");
        }
        assert_eq!(xattrs.vnodes().collect::<Vec<_>>(), [VnodeNo(3)]);
    }
}
