//! System calls that a program makes by its own instruction go past this library, unnoticed. In a sample of processes
//! they are looked at (RFC 0005): the kernel sends SIGSYS for calls of the main thread that do not come from the C
//! library's code (prctl(2), PR_SET_SYSCALL_USER_DISPATCH); the handler makes the call itself, and tells the daemon
//! when it leads into the view. Nothing is changed for the program, and nothing handed on by fork or exec.
//!
//! While a process is in the sample, this library makes its own calls by way of the C library too. SIGSYS must never
//! be blocked when the program makes such a call: one that may block or handle it ([`crate::hooks::signals`]) is left
//! alone from then on.

use crate::creds::Creds;
use crate::elsewhere::Elsewhere;
use crate::errno;
use crate::init;
use crate::own_code;
use crate::raw::{self, Errno};
use crate::real::{self, Symbol, real};
use crate::request::Request;
use crate::resolve::{Place, resolve_bytes};
use crate::text::Text;
use crate::user_memory;
use core::ffi::{c_int, c_long, c_void};
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};
use vrift_protocol::Op;
use vrift_protocol::path_calls::{self, At};

/// The address of the C library's syscall(2), by which calls are made in a process of the sample; 0: not in it.
pub static GATE: AtomicUsize = AtomicUsize::new(0);

/// What the kernel looks at before it sends SIGSYS.
static SELECTOR: AtomicU8 = AtomicU8::new(ALLOW);
const ALLOW: u8 = 0;
const BLOCK: u8 = 1;

/// Calls that are still looked at: each costs some 3 us.
static LEFT: AtomicU32 = AtomicU32::new(LOOKED_AT_MAX);
const LOOKED_AT_MAX: u32 = 256;
/// The daemon is told of this many: a round trip each.
static TO_TELL: AtomicU32 = AtomicU32::new(16);

const PR_SET_SYSCALL_USER_DISPATCH: usize = 59;
const PR_SYS_DISPATCH_ON: usize = 1;
/// Of siginfo_t: sent by the dispatch, not by somebody's seccomp filter.
const SYS_USER_DISPATCH: c_int = 2;

/// Calls that the handler cannot make in the program's place: they use the program's stack or leave it, or change what
/// becomes of SIGSYS. They are made where they are, and nothing is looked at after them.
const NOT_IN_ITS_PLACE: &[c_long] = &[
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigsuspend,
    libc::SYS_sigaltstack,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_prctl,
    libc::SYS_arch_prctl,
    libc::SYS_seccomp,
];

#[inline(always)]
pub fn is_on() -> bool {
    GATE.load(Ordering::Relaxed) != 0
}

/// At the start of the process: whether it is in the sample and may make such calls, and if so, that they are looked at.
/// Three system calls then, otherwise none.
pub fn begin() {
    let settings = init::settings();
    let one_in = u64::from(settings.sample);
    if settings.view.is_empty() || !settings.worktree.is_empty() || one_in == 0 {
        return;
    }
    // SAFETY: the time stamp counter can be read by every program that did not forbid itself to.
    let ticks = unsafe { core::arch::x86_64::_rdtsc() };
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let is_in = (ticks.wrapping_mul(SPREAD) >> 40).is_multiple_of(one_in);
    if is_in && (own_code::has_calls() || real::has_library(RING_LIBRARY)) {
        look();
    }
}
/// It makes its own system calls, as few libraries do.
const RING_LIBRARY: &[u8] = b"liburing";

#[cold]
fn look() {
    let Some(code) = real::libc_code() else { return };
    // Another library's syscall(2) would make calls that are looked at.
    let Some(gate) = real::address(Symbol::syscall).filter(|gate| code.contains(gate)) else { return };
    if raw::is_blocked(libc::SIGSYS) {
        return;
    }
    let saved = errno::get();
    // SAFETY: all zeros is a sigaction with an empty mask.
    let (mut new, mut old): (libc::sigaction, libc::sigaction) =
        unsafe { (core::mem::zeroed(), core::mem::zeroed()) };
    new.sa_sigaction = trapped as *const () as usize;
    new.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER | libc::SA_RESTART;
    if !set_action(&new, &mut old) || old.sa_sigaction != libc::SIG_DFL {
        set_action(&old, core::ptr::null_mut());
        errno::set(saved);
        return;
    }
    errno::set(saved);
    GATE.store(gate, Ordering::Relaxed);
    let args = [
        PR_SET_SYSCALL_USER_DISPATCH,
        PR_SYS_DISPATCH_ON,
        code.start,
        code.len(),
        SELECTOR.as_ptr() as usize,
        0,
    ];
    // SAFETY: prctl(2); the selector is never unmapped.
    if unsafe { raw::syscall(libc::SYS_prctl, args) }.is_ok() {
        SELECTOR.store(BLOCK, Ordering::Relaxed);
    } else {
        // A kernel before 5.11.
        GATE.store(0, Ordering::Relaxed);
        set_action(&old, core::ptr::null_mut());
        errno::set(saved);
    }
}

fn set_action(new: *const libc::sigaction, old: *mut libc::sigaction) -> bool {
    let signal = libc::SIGSYS;
    real!(sigaction(signal: c_int, new: *const libc::sigaction, old: *mut libc::sigaction) -> c_int) == 0
}

/// From now on nothing is looked at in this process.
pub fn stop() {
    LEFT.store(0, Ordering::Relaxed);
    SELECTOR.store(ALLOW, Ordering::Relaxed);
}

/// As [`stop`], before the program says itself what SIGSYS does.
pub fn stop_and_hand_over() {
    if LEFT.load(Ordering::Relaxed) == HANDED_OVER {
        return;
    }
    SELECTOR.store(ALLOW, Ordering::Relaxed);
    LEFT.store(HANDED_OVER, Ordering::Relaxed);
    // SAFETY: all zeros is the default action.
    let default: libc::sigaction = unsafe { core::mem::zeroed() };
    let saved = errno::get();
    set_action(&default, core::ptr::null_mut());
    errno::set(saved);
}
/// More than [`LOOKED_AT_MAX`].
const HANDED_OVER: u32 = u32::MAX;

/// A system call by the C library's instruction.
///
/// # Safety
/// As [`raw::syscall`].
#[cold]
#[inline(never)]
pub unsafe fn through_libc(number: c_long, args: [usize; 6]) -> Result<usize, Errno> {
    type Function = unsafe extern "C" fn(c_long, usize, usize, usize, usize, usize, usize) -> c_long;
    // SAFETY: GATE is the address of syscall(2), which takes up to six arguments.
    let gate = unsafe { core::mem::transmute::<usize, Function>(GATE.load(Ordering::Relaxed)) };
    let saved = errno::get();
    let [a, b, c, d, e, f] = args;
    // SAFETY: by contract.
    let result = unsafe { gate(number, a, b, c, d, e, f) };
    if result != -1 {
        return Ok(result as usize);
    }
    let failed = errno::get();
    errno::set(saved);
    Err(failed)
}

/// The handler of SIGSYS.
unsafe extern "C" fn trapped(_signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    const SYSCALL_LEN: i64 = 2;
    SELECTOR.store(ALLOW, Ordering::Relaxed);
    // SAFETY: the kernel's, for a handler with SA_SIGINFO.
    let (info, registers) = unsafe { (&*info, &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs) };
    let register = |which: c_int| registers.get(which as usize).copied().unwrap_or(0);
    let number = register(libc::REG_RAX);
    if info.si_code != SYS_USER_DISPATCH {
        return die();
    }
    let args = [libc::REG_RDI, libc::REG_RSI, libc::REG_RDX, libc::REG_R10, libc::REG_R8, libc::REG_R9];
    let args = args.map(|which| register(which) as usize);
    let saved = errno::get();
    if !real::is_of_loader(register(libc::REG_RIP) as usize) {
        // SAFETY: what the kernel was given; bad pointers are found.
        unsafe { look_at(number, &args) };
    }
    errno::set(saved);
    let (which, value) = if NOT_IN_ITS_PLACE.contains(&number) {
        stop();
        // Back to the instruction.
        (libc::REG_RIP, register(libc::REG_RIP) - SYSCALL_LEN)
    } else {
        // SAFETY: the program's own call with its own arguments.
        (libc::REG_RAX, unsafe { raw::by_instruction(number, args) } as i64)
    };
    if let Some(to) = registers.get_mut(which as usize) {
        *to = value;
    }
    let one_less = |left: u32| if left == HANDED_OVER { None } else { left.checked_sub(1) };
    let left = LEFT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
    if left.is_ok_and(|left| left > 1) {
        SELECTOR.store(BLOCK, Ordering::Relaxed);
    }
}

/// SIGSYS from elsewhere does what it does without this handler.
fn die() {
    stop_and_hand_over();
    raw::raise(libc::SIGSYS);
}

/// # Safety
/// The arguments of a system call, as the program gave them.
unsafe fn look_at(number: c_long, args: &[usize; 6]) {
    let Some(call) = path_calls::find(number) else { return };
    if number == libc::SYS_io_uring_setup {
        return tell(call.name(), b"");
    }
    for (at, argument) in call.paths() {
        let address = args.get(argument).copied().unwrap_or(0);
        let dirfd = match at {
            At::Cwd => libc::AT_FDCWD,
            At::Fd(argument) => args.get(usize::from(argument)).copied().unwrap_or(0) as c_int,
        };
        // SAFETY: the program waits for its call.
        let path = (address != 0).then(|| unsafe { user_memory::string(address as *const u8) }).flatten();
        if let Some(path) = path.filter(|path| !path.is_empty() && is_in_view(dirfd, path)) {
            return tell(call.name(), path);
        }
    }
}

fn is_in_view(dirfd: c_int, path: &[u8]) -> bool {
    let mut elsewhere = Elsewhere::new();
    match resolve_bytes(dirfd, path, false, &Creds::effective(), &mut elsewhere) {
        Ok(Place::Inside(_)) => true,
        Ok(_) => false,
        // The names before the last one say that it is there.
        Err(_) => path
            .strip_prefix(init::settings().view.as_bytes())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")),
    }
}

/// Failures are let be: a call less is counted.
fn tell(call: &str, path: &[u8]) {
    if TO_TELL.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
        return;
    }
    let mut program = [0; 512];
    let len = raw::readlink(c"/proc/self/exe", &mut program).unwrap_or(0);
    let program = program.get(..len).and_then(|path| path.rsplit(|byte| *byte == b'/').next()).unwrap_or(b"");
    let what: Text<{ path_calls::TOLD_MAX }> = Text::from_parts(&[call.as_bytes(), b"\0", path]);
    let mut request = Request::new(Op::OwnCall);
    request.name = program.get(..program.len().min(vrift_protocol::vnode_op::NAME_MAX)).unwrap_or(b"");
    request.name2 = what.as_bytes();
    let _ = request.send();
}
