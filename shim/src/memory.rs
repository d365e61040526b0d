//! What the hooks remember of this process beyond [`crate::hot`], in one mapping that is made when the process first has to
//! do with the view. A process that never has pays for none of it: a library with large zeroed tables of its own costs
//! each process start one more mmap(2).

use crate::fds;
use crate::line::ForkState;
use crate::outside;
use crate::raw::{self, Errno};
use crate::view;
use core::sync::atomic::{AtomicPtr, Ordering};

/// fork(2) gives the child zeros in its place. By itself, as many processes never send a request.
#[repr(C, align(4096))]
struct ForkPage(ForkState);

/// All zeros is how each of these starts.
#[repr(C, align(4096))]
pub struct Memory {
    pub generations: view::Generations,
    pub clean: outside::CleanFolders,
    pub fds: fds::Table,
}

static MEMORY: AtomicPtr<Memory> = AtomicPtr::new(core::ptr::null_mut());
static FORK_PAGE: AtomicPtr<ForkPage> = AtomicPtr::new(core::ptr::null_mut());

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
        None => {
            make(&MEMORY, |_| Ok(()))?;
            existing().ok_or(libc::ENOMEM)
        }
    }
}

/// The state of the connection, if there is any yet.
pub fn existing_fork_state() -> Option<&'static ForkState> {
    // SAFETY: as in `existing`.
    unsafe { FORK_PAGE.load(Ordering::Acquire).as_ref() }.map(|page| &page.0)
}

/// The state of the connection, made if need be.
pub fn fork_state() -> Result<&'static ForkState, Errno> {
    match existing_fork_state() {
        Some(state) => Ok(state),
        None => {
            make(&FORK_PAGE, |page| raw::wipe_on_fork(page, size_of::<ForkPage>()))?;
            existing_fork_state().ok_or(libc::ENOMEM)
        }
    }
}

/// Maps zeros for a T, unless another thread has done so.
#[cold]
fn make<T>(to: &AtomicPtr<T>, prepare: impl FnOnce(*mut u8) -> Result<(), Errno>) -> Result<(), Errno> {
    let new = raw::map_anonymous(size_of::<T>())?;
    let made = prepare(new);
    let none = core::ptr::null_mut();
    if made.is_err() || to.compare_exchange(none, new.cast(), Ordering::AcqRel, Ordering::Acquire).is_err() {
        // SAFETY: just mapped and never shown to anyone.
        unsafe { raw::unmap(new, size_of::<T>()) };
    }
    made
}
