//! Namespace operations, each all or nothing: checks first, then one write section.
//! Rules: POSIX.1-2017 and the Linux manual pages of the calls of the same name.

use super::libc_errno::*;
use super::{Index, NewVnode, OpError, SetAttr, Unlinked};
use crate::layout::inode;
use crate::types::{Content, S_IFDIR, S_IFLNK, S_IFMT, S_ISGID, VnodeNo};

/// As ext4: the most names a file may have.
const NLINK_MAX: u32 = 65_000;
/// Longest name, as NAME_MAX.
const NAME_MAX: usize = 255;

pub(super) fn errno<T>(errno: i32) -> Result<T, OpError> {
    Err(OpError::Errno(errno))
}

impl Index {
    /// The slot of a directory that is still there.
    pub(super) fn dir_slot(&self, dir: VnodeNo) -> Result<u32, OpError> {
        let slot = self.reader.slot(dir).ok_or(OpError::Errno(ENOENT))?;
        if self.reader.is_dir(slot) { Ok(slot) } else { errno(ENOTDIR) }
    }

    pub(super) fn check_name(name: &[u8]) -> Result<(), OpError> {
        match name {
            [] => errno(ENOENT),
            b"." | b".." => errno(EINVAL),
            _ if name.len() > NAME_MAX => errno(ENAMETOOLONG),
            _ if name.iter().any(|byte| matches!(byte, b'/' | 0)) => errno(EINVAL),
            _ => Ok(()),
        }
    }

    /// Makes a vnode with its first name. `at`: exactly this number, for replay of a journal.
    pub fn make(
        &mut self,
        at: Option<VnodeNo>,
        dir: VnodeNo,
        name: &[u8],
        new: &NewVnode<'_>,
        now_ns: i64,
    ) -> Result<VnodeNo, OpError> {
        let parent = self.dir_slot(dir)?;
        Index::check_name(name)?;
        if self.reader.lookup(parent, name).is_some() {
            return errno(EEXIST);
        }
        self.has_room(1, 1, name.len() + new.target.len())?;
        let vnode = at.unwrap_or_else(|| self.next_vnode());
        let is_dir = new.mode & S_IFMT == S_IFDIR;
        let mut new = *new;
        if self.reader.mode(parent) & S_ISGID != 0 {
            new.gid = self.reader.gid(parent);
            if is_dir {
                new.mode |= S_ISGID;
            }
        }
        let _section = self.write_section();
        if !self.take_slot(vnode) {
            return Err(OpError::Full);
        }
        let target_offset = if new.mode & S_IFMT == S_IFLNK { self.arena_append(new.target) } else { 0 };
        self.fill_inode(vnode, &new, target_offset);
        self.add_dentry(parent, name, vnode.slot());
        if is_dir {
            self.add_nlink(parent, 1);
        }
        self.touch_dir(parent, now_ns);
        Ok(vnode)
    }

    /// A further name for a file.
    pub fn link(&mut self, vnode: VnodeNo, dir: VnodeNo, name: &[u8], now_ns: i64) -> Result<(), OpError> {
        let slot = self.reader.slot(vnode).ok_or(OpError::Errno(ENOENT))?;
        let parent = self.dir_slot(dir)?;
        Index::check_name(name)?;
        if self.reader.lookup(parent, name).is_some() {
            return errno(EEXIST);
        }
        if self.reader.is_dir(slot) {
            return errno(EPERM);
        }
        if self.reader.nlink(slot) >= NLINK_MAX {
            return errno(EMLINK);
        }
        self.has_room(0, 1, name.len())?;
        let _section = self.write_section();
        self.add_dentry(parent, name, slot);
        self.add_nlink(slot, 1);
        self.set_time(slot, inode::CTIME, now_ns);
        self.touch_dir(parent, now_ns);
        Ok(())
    }

    /// Removes a name of something that is not a directory.
    pub fn unlink(&mut self, dir: VnodeNo, name: &[u8], now_ns: i64) -> Result<Unlinked, OpError> {
        let parent = self.dir_slot(dir)?;
        let number = self.reader.lookup_dentry(parent, name).ok_or(OpError::Errno(ENOENT))?;
        if self.reader.is_dir(self.reader.child(number)) {
            return errno(EISDIR);
        }
        let _section = self.write_section();
        self.touch_dir(parent, now_ns);
        Ok(self.drop_name(number, now_ns))
    }

    /// Removes a dentry of a file, and the vnode with its last name. Inside a write section.
    pub(super) fn drop_name(&self, number: u32, now_ns: i64) -> Unlinked {
        let slot = self.reader.child(number);
        let vnode = self.reader.vnode(slot);
        let content = self.reader.content(slot);
        let (mode, uid, gid) = (self.reader.mode(slot), self.reader.uid(slot), self.reader.gid(slot));
        let last = self.reader.nlink(slot) <= 1;
        self.remove_dentry(number);
        if last {
            self.free_vnode(vnode);
        } else {
            self.add_nlink(slot, -1);
            self.set_time(slot, inode::CTIME, now_ns);
        }
        Unlinked { vnode, last, content, mode, uid, gid }
    }

    /// Removes an empty directory.
    pub fn rmdir(&mut self, dir: VnodeNo, name: &[u8], now_ns: i64) -> Result<VnodeNo, OpError> {
        let parent = self.dir_slot(dir)?;
        let number = self.reader.lookup_dentry(parent, name).ok_or(OpError::Errno(ENOENT))?;
        let slot = self.reader.child(number);
        if !self.reader.is_dir(slot) {
            return errno(ENOTDIR);
        }
        if self.reader.child_count(slot) != 0 {
            return errno(ENOTEMPTY);
        }
        let _section = self.write_section();
        self.touch_dir(parent, now_ns);
        Ok(self.drop_dir(number, parent))
    }

    /// Removes the dentry and vnode of an empty directory. Inside a write section.
    pub(super) fn drop_dir(&self, number: u32, parent: u32) -> VnodeNo {
        let vnode = self.reader.vnode(self.reader.child(number));
        self.remove_dentry(number);
        self.free_vnode(vnode);
        self.add_nlink(parent, -1);
        vnode
    }

    /// Sets attributes; the change time is the caller's to give.
    pub fn set_attr(&mut self, vnode: VnodeNo, set: &SetAttr) -> Result<(), OpError> {
        let slot = self.reader.slot(vnode).ok_or(OpError::Errno(ENOENT))?;
        let mode =
            set.mode.map(|mode| self.reader.mode(slot) & S_IFMT | mode & 0o7777 | self.xattr_flag(slot));
        let window = self.window();
        self.note_change(slot, false);
        let _section = self.write_section();
        for (field, value) in [(inode::MODE, mode), (inode::UID, set.uid), (inode::GID, set.gid)] {
            if let Some(value) = value {
                window.set_u32(self.reader.inode_field(slot, field), value);
            }
        }
        if let Some(size) = set.size {
            window.set_u64(self.reader.inode_field(slot, inode::SIZE), size);
        }
        for (field, value) in
            [(inode::ATIME, set.atime_ns), (inode::MTIME, set.mtime_ns), (inode::CTIME, set.ctime_ns)]
        {
            if let Some(time_ns) = value {
                self.set_time(slot, field, time_ns);
            }
        }
        Ok(())
    }

    fn xattr_flag(&self, slot: u32) -> u32 {
        if self.reader.has_xattrs(slot) { inode::HAS_XATTRS } else { 0 }
    }

    /// Whether a vnode has extended attributes now. No change time: after a load, nothing changed.
    pub fn note_xattrs(
        &mut self,
        vnode: VnodeNo,
        has_any: bool,
        ctime_ns: Option<i64>,
    ) -> Result<(), OpError> {
        let slot = self.reader.slot(vnode).ok_or(OpError::Errno(ENOENT))?;
        let mode = self.reader.mode(slot) | if has_any { inode::HAS_XATTRS } else { 0 };
        self.note_change(slot, false);
        let _section = self.write_section();
        self.window().set_u32(self.reader.inode_field(slot, inode::MODE), mode);
        if let Some(ctime_ns) = ctime_ns {
            self.set_time(slot, inode::CTIME, ctime_ns);
        }
        Ok(())
    }

    /// What a regular file's bytes are now. `blocks` of 512 bytes.
    pub fn set_content(
        &mut self,
        vnode: VnodeNo,
        content: Content,
        size: u64,
        blocks: u64,
        mtime_ns: i64,
        ctime_ns: i64,
    ) -> Result<(), OpError> {
        let slot = self.reader.slot(vnode).ok_or(OpError::Errno(ENOENT))?;
        self.note_change(slot, false);
        let _section = self.write_section();
        self.fill_content(slot, content, blocks);
        self.window().set_u64(self.reader.inode_field(slot, inode::SIZE), size);
        self.set_time(slot, inode::MTIME, mtime_ns);
        self.set_time(slot, inode::CTIME, ctime_ns);
        Ok(())
    }
}
