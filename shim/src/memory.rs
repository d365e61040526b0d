//! What the hooks remember of this process, in one mapping that is made when the process first has to do with
//! the view. A process that never has pays for none of it: a library with large zeroed tables of its own costs
//! each process start one more mmap(2).

use crate::fds;
use crate::line::ForkState;
use crate::outside;
use crate::raw::{self, Errno};
use crate::view;
use core::sync::atomic::{AtomicPtr, Ordering};

/// fork(2) gives the child zeros in its place.
#[repr(C, align(4096))]
pub struct ForkPage(pub ForkState);

/// All zeros is how each of these starts.
#[repr(C, align(4096))]
pub struct Memory {
    pub fork: ForkPage,
    pub generations: view::Generations,
    pub clean: outside::CleanFolders,
    pub fds: fds::Table,
}

static MEMORY: AtomicPtr<Memory> = AtomicPtr::new(core::ptr::null_mut());

/// The tables, if there are any yet.
#[inline(always)]
pub fn existing() -> Option<&'static Memory> {
    // SAFETY: never unmapped; zeroed pages in which all of it is atomics, for which zero is a value, or is
    // written before it is read.
    unsafe { MEMORY.load(Ordering::Acquire).as_ref() }
}

/// The tables, made if need be.
#[inline(always)]
pub fn get() -> Result<&'static Memory, Errno> {
    match existing() {
        Some(memory) => Ok(memory),
        None => make(),
    }
}

#[cold]
fn make() -> Result<&'static Memory, Errno> {
    let new = raw::map_anonymous(size_of::<Memory>())?;
    let made = raw::wipe_on_fork(new, size_of::<ForkPage>());
    let none = core::ptr::null_mut();
    if made.is_err()
        || MEMORY.compare_exchange(none, new.cast(), Ordering::AcqRel, Ordering::Acquire).is_err()
    {
        // SAFETY: just mapped and never shown to anyone.
        unsafe { raw::unmap(new, size_of::<Memory>()) };
    }
    made?;
    existing().ok_or(libc::ENOMEM)
}
