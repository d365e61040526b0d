//! rename(2) and renameat2(2) with RENAME_NOREPLACE and RENAME_EXCHANGE.

use super::libc_errno::*;
use super::ops::errno;
use super::{Index, OpError, Renamed};
use crate::layout::{dentry, inode};
use crate::types::{ROOT, VnodeNo};

const RENAME_NOREPLACE: u32 = 1;
const RENAME_EXCHANGE: u32 = 2;

impl Index {
    /// Moves (dir, name) to (dir2, name2), replacing what is there as rename(2) allows.
    pub fn rename(
        &mut self,
        dir: VnodeNo,
        name: &[u8],
        dir2: VnodeNo,
        name2: &[u8],
        flags: u32,
        now_ns: i64,
    ) -> Result<Renamed, OpError> {
        if flags & !(RENAME_NOREPLACE | RENAME_EXCHANGE) != 0 || flags == RENAME_NOREPLACE | RENAME_EXCHANGE {
            return errno(EINVAL);
        }
        let (from, to) = (self.dir_slot(dir)?, self.dir_slot(dir2)?);
        Index::check_name(name2)?;
        let number = self.reader.lookup_dentry(from, name).ok_or(OpError::Errno(ENOENT))?;
        let other = self.reader.lookup_dentry(to, name2);
        let slot = self.reader.child(number);
        let moved = self.reader.vnode(slot);
        match other {
            Some(_) if flags & RENAME_NOREPLACE != 0 => return errno(EEXIST),
            None if flags & RENAME_EXCHANGE != 0 => return errno(ENOENT),
            _ => {}
        }
        if self.reader.is_dir(slot) && self.is_within(to, slot) {
            return errno(EINVAL);
        }
        if let Some(other) = other
            && flags & RENAME_EXCHANGE == 0
            && self.reader.is_dir(self.reader.child(other))
            && self.is_within(from, self.reader.child(other))
        {
            return errno(ENOTEMPTY);
        }
        match other {
            Some(other) if self.reader.child(other) == slot => {
                return Ok(Renamed { moved, replaced: None, replaced_dir: None });
            }
            Some(other) if flags & RENAME_EXCHANGE != 0 => {
                return self.exchange(number, other, from, to, now_ns);
            }
            Some(other) => self.may_replace(slot, self.reader.child(other))?,
            None => {}
        }
        self.has_room(0, 1, name2.len())?;

        let is_dir = self.reader.is_dir(slot);
        let _section = self.write_section();
        let mut renamed = Renamed { moved, replaced: None, replaced_dir: None };
        match other {
            Some(other) if is_dir => renamed.replaced_dir = Some(self.drop_dir(other, to)),
            Some(other) => renamed.replaced = Some(self.drop_name(other, now_ns)),
            None => {}
        }
        self.remove_dentry(number);
        self.add_dentry(to, name2, slot);
        if is_dir && from != to {
            self.add_nlink(from, -1);
            self.add_nlink(to, 1);
        }
        self.set_time(slot, inode::CTIME, now_ns);
        self.touch_dir(from, now_ns);
        self.touch_dir(to, now_ns);
        Ok(renamed)
    }

    /// Whether the directory `slot` is `ancestor` or lies below it.
    fn is_within(&self, mut slot: u32, ancestor: u32) -> bool {
        loop {
            if slot == ancestor {
                return true;
            }
            match self.reader.naming_dentry(slot) {
                Some((parent, _)) if slot != ROOT.slot() => slot = parent,
                _ => return false,
            }
        }
    }

    fn may_replace(&self, slot: u32, over: u32) -> Result<(), OpError> {
        match (self.reader.is_dir(slot), self.reader.is_dir(over)) {
            (true, false) => errno(ENOTDIR),
            (false, true) => errno(EISDIR),
            (true, true) if self.reader.child_count(over) != 0 => errno(ENOTEMPTY),
            _ => Ok(()),
        }
    }

    fn exchange(&mut self, one: u32, two: u32, from: u32, to: u32, now_ns: i64) -> Result<Renamed, OpError> {
        let (slot, slot2) = (self.reader.child(one), self.reader.child(two));
        if self.reader.is_dir(slot2) && self.is_within(from, slot2) {
            return errno(EINVAL);
        }
        let window = self.window();
        self.note_change(from, true);
        self.note_change(to, true);
        let _section = self.write_section();
        for (number, child) in [(one, slot2), (two, slot)] {
            window.set_u32(self.reader.dentry_field(number, dentry::CHILD), child);
            window.set_u32(self.reader.inode_field(child, inode::DENTRY), number);
            self.set_time(child, inode::CTIME, now_ns);
        }
        let delta = i32::from(self.reader.is_dir(slot)) - i32::from(self.reader.is_dir(slot2));
        if from != to && delta != 0 {
            self.add_nlink(from, -delta);
            self.add_nlink(to, delta);
        }
        self.touch_dir(from, now_ns);
        self.touch_dir(to, now_ns);
        Ok(Renamed { moved: self.reader.vnode(slot), replaced: None, replaced_dir: None })
    }
}
