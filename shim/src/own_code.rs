//! Whether the program has instructions for system calls in its own code, found by their bytes: most programs have none,
//! and need not be looked at. What was found in a large program is remembered for the workspace: looking through a
//! compiler takes milliseconds, and a build starts it often.

use crate::real::real;
use crate::{raw, view};
use core::ffi::c_ulong;
use core::slice;
use vrift_protocol::counters::{LOOKED_THROUGH, LOOKED_THROUGH_COUNT};

/// What is looked through, in bytes: below a millisecond. Of longer code, the beginning.
const SCANNED_MAX: usize = 8 << 20;
/// Programs with so much code or more are remembered: that takes about as long as to look through so much.
const REMEMBERED_MIN: usize = 256 << 10;

/// The executable's program headers, and what is to be added to the addresses in them.
fn program() -> Option<(&'static [libc::Elf64_Phdr], usize)> {
    let auxiliary = |kind: c_ulong| real!(getauxval(kind: c_ulong) -> usize);
    let (headers, count) = (auxiliary(libc::AT_PHDR), auxiliary(libc::AT_PHNUM));
    if headers == 0 || count > usize::from(u16::MAX) {
        return None;
    }
    let headers_at = headers as *const libc::Elf64_Phdr;
    // SAFETY: getauxval(3): as the kernel mapped them.
    let segments = unsafe { slice::from_raw_parts(headers_at, count) };
    let own = segments.iter().find(|segment| segment.p_type == libc::PT_PHDR)?;
    Some((segments, headers.wrapping_sub(own.p_vaddr as usize)))
}

/// Where the executable ends in memory. None: not known.
pub fn program_end() -> Option<usize> {
    let (segments, base) = program()?;
    let loaded = segments.iter().filter(|segment| segment.p_type == libc::PT_LOAD);
    loaded.map(|segment| base.wrapping_add(segment.p_vaddr as usize + segment.p_memsz as usize)).max()
}

/// Whether the executable's code seems to have system calls.
pub fn has_calls() -> bool {
    let Some((segments, base)) = program() else { return false };
    let is_code = |segment: &&libc::Elf64_Phdr| {
        segment.p_type == libc::PT_LOAD
            && segment.p_flags & libc::PF_X != 0
            && segment.p_flags & libc::PF_R != 0
    };
    let code = || segments.iter().filter(is_code);
    let look = || {
        code().any(|segment| {
            let start = base.wrapping_add(segment.p_vaddr as usize) as *const u8;
            // SAFETY: a segment of the file that is mapped as readable.
            has_call(unsafe { slice::from_raw_parts(start, (segment.p_filesz as usize).min(SCANNED_MAX)) })
        })
    };
    let is_large = code().any(|segment| segment.p_filesz as usize >= REMEMBERED_MIN);
    if is_large { remembered(look) } else { look() }
}

/// What is known of the file that this process executes, or what `look` finds.
fn remembered(look: impl Fn() -> bool) -> bool {
    let Ok(file) = raw::stat(c"/proc/self/exe") else { return look() };
    let parts =
        [file.st_dev, file.st_ino, file.st_size as u64, file.st_ctime as u64, file.st_ctime_nsec as u64];
    let mix = |hash: u64, part: &u64| (hash ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let hash = parts.iter().fold(1, mix) | 1;
    let place = LOOKED_THROUGH + (hash >> 32) as usize % LOOKED_THROUGH_COUNT * size_of::<u64>();
    let looked = view::with_counters(|counters| {
        let known = counters.u64(place);
        if known | 1 == hash {
            return known == hash;
        }
        let found = look();
        counters.set_u64(place, if found { hash } else { hash & !1 });
        found
    });
    looked.unwrap_or_else(|_| look())
}

/// Whether there is a system call among the instructions: its two bytes behind what is likely to come before it.
fn has_call(code: &[u8]) -> bool {
    let mut from = 0;
    while let Some(found) = code.get(from..).and_then(find_bytes) {
        let at = from + found;
        if code.get(..at).is_some_and(ends_with_argument) {
            return true;
        }
        from = at + 2;
    }
    false
}

/// Where the instruction's two bytes come first. Sixteen places are looked at in one step: a compiler's code is long, and
/// each of the bytes is frequent in it.
fn find_bytes(code: &[u8]) -> Option<usize> {
    use core::arch::x86_64::{
        _mm_and_si128, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8,
    };
    const STEP: usize = 16;
    let mut at = 0;
    while let Some(bytes) = code.get(at..at + STEP + 1) {
        // SAFETY: 17 bytes are there; SSE2 is part of every x86-64.
        let found = unsafe {
            let here = _mm_loadu_si128(bytes.as_ptr().cast());
            let next = _mm_loadu_si128(bytes.as_ptr().add(1).cast());
            let first = _mm_cmpeq_epi8(here, _mm_set1_epi8(INSTRUCTION[0]));
            let second = _mm_cmpeq_epi8(next, _mm_set1_epi8(INSTRUCTION[1]));
            _mm_movemask_epi8(_mm_and_si128(first, second))
        };
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize);
        }
        at += STEP;
    }
    let rest = code.get(at..)?;
    rest.windows(2).position(|pair| pair == INSTRUCTION.map(i8::cast_unsigned)).map(|found| at + found)
}

/// `syscall`
const INSTRUCTION: [i8; 2] = [0x0f, 0x05];

/// Whether the last instruction fills a register: what comes before a system call is its number or an argument.
fn ends_with_argument(before: &[u8]) -> bool {
    const WIDE: core::ops::RangeInclusive<u8> = 0x48..=0x4f;
    let byte =
        |back: usize| before.len().checked_sub(back).and_then(|at| before.get(at)).copied().unwrap_or(0);
    let small = |back: usize| byte(back - 1) < 4 && byte(back - 2) == 0 && byte(back - 3) == 0;
    // mov r, r; mov r, [rbp/rsp + 8 bits]; xor r, r; lea
    let moves = |opcode: u8| matches!(opcode, 0x89 | 0x8b | 0x31 | 0x33 | 0x8d);
    let wide_move = WIDE.contains(&byte(3)) && moves(byte(2)) && byte(1) >= 0xc0
        || WIDE.contains(&byte(4)) && byte(3) == 0x8b && byte(2) & 0xc0 == 0x40
        || WIDE.contains(&byte(5)) && byte(4) == 0x8b && byte(3) & 0xc7 == 0x44;
    // 32 bits of the same, and of r8 and up
    let move_32 = moves(byte(2)) && byte(1) >= 0xc0;
    // mov eax, small number; mov rax, small number
    let number = byte(5) & 0xf8 == 0xb8 && small(4) || byte(7) == 0x48 && byte(6) == 0xc7 && small(4);
    wide_move || move_32 || number
}
