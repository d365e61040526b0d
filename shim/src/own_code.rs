//! Whether the program has instructions for system calls in its own code, found by their bytes: most programs have none,
//! and need not be looked at.

use crate::real::real;
use core::ffi::c_ulong;
use core::slice;

/// What is looked through, in bytes: below a millisecond. Of longer code, the beginning.
const SCANNED_MAX: usize = 8 << 20;

/// Whether the executable's code seems to have system calls.
pub fn has_calls() -> bool {
    let auxiliary = |kind: c_ulong| real!(getauxval(kind: c_ulong) -> usize);
    let (headers, count) = (auxiliary(libc::AT_PHDR), auxiliary(libc::AT_PHNUM));
    if headers == 0 || count > usize::from(u16::MAX) {
        return false;
    }
    let headers_at = headers as *const libc::Elf64_Phdr;
    // SAFETY: getauxval(3): the executable's program headers, as the kernel mapped them.
    let segments = unsafe { slice::from_raw_parts(headers_at, count) };
    let Some(own) = segments.iter().find(|segment| segment.p_type == libc::PT_PHDR) else { return false };
    let base = headers.wrapping_sub(own.p_vaddr as usize);
    let is_code = |segment: &&libc::Elf64_Phdr| {
        segment.p_type == libc::PT_LOAD
            && segment.p_flags & libc::PF_X != 0
            && segment.p_flags & libc::PF_R != 0
    };
    segments.iter().filter(is_code).any(|segment| {
        let start = base.wrapping_add(segment.p_vaddr as usize) as *const u8;
        // SAFETY: a segment of the file that is mapped as readable.
        has_call(unsafe { slice::from_raw_parts(start, (segment.p_filesz as usize).min(SCANNED_MAX)) })
    })
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
