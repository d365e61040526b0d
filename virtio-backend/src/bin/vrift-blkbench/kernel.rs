//! The kernel's driver: pread(2) and pwrite(2) with O_DIRECT at depth 1, io_submit(2) for more.

use crate::cases::{Case, Offsets};
use anyhow::{Result, ensure};
use statefs_journal::device::IoBuf;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// Operations a second.
pub fn run(path: &Path, case: &Case, time: Duration) -> Result<f64> {
    let flags = libc::O_DIRECT | libc::O_EXCL;
    let mut file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
    let device_bytes = file.seek(SeekFrom::End(0))?;
    let mut offsets = Offsets::new(case, device_bytes);
    if case.depth > 1 { many(&file, case, &mut offsets, time) } else { one(&file, case, &mut offsets, time) }
}

fn one(file: &File, case: &Case, offsets: &mut Offsets, time: Duration) -> Result<f64> {
    let mut buffer = IoBuf::new(case.len_bytes);
    let (started, mut count) = (Instant::now(), 0_u32);
    while started.elapsed() < time {
        let offset = offsets.next();
        if case.writes {
            file.write_all_at(&buffer, offset)?
        } else {
            file.read_exact_at(&mut buffer, offset)?
        }
        count += 1;
    }
    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}

/// `struct iocb` of `linux/aio_abi.h`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Iocb {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    priority: i16,
    fd: u32,
    buffer: u64,
    len: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    event_fd: u32,
}

/// `struct io_event`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Event {
    data: u64,
    request: u64,
    result: i64,
    result2: i64,
}

fn check(rc: libc::c_long) -> io::Result<usize> {
    usize::try_from(rc).map_err(|_| io::Error::last_os_error())
}

fn many(file: &File, case: &Case, offsets: &mut Offsets, time: Duration) -> Result<f64> {
    let mut buffers: Vec<IoBuf> = (0..case.depth).map(|_| IoBuf::new(case.len_bytes)).collect();
    let mut requests = vec![Iocb::default(); case.depth];
    let mut context: libc::c_ulong = 0;
    // SAFETY: io_setup(2) writes one aio_context_t, which lives until the call returns.
    check(unsafe { libc::syscall(libc::SYS_io_setup, case.depth as libc::c_long, &raw mut context) })?;
    for (number, request) in requests.iter_mut().enumerate() {
        *request = Iocb {
            data: number as u64,
            opcode: u16::from(case.writes),
            fd: file.as_raw_fd() as u32,
            buffer: buffers[number].as_mut_ptr() as u64,
            len: case.len_bytes as u64,
            ..Iocb::default()
        };
    }
    let mut idle: Vec<usize> = (0..case.depth).collect();
    let mut events = vec![Event::default(); case.depth];
    let (started, mut count) = (Instant::now(), 0_u32);
    while started.elapsed() < time {
        for number in &idle {
            requests[*number].offset = offsets.next() as i64;
        }
        let mut pointers: Vec<*mut Iocb> = idle.iter().map(|number| &raw mut requests[*number]).collect();
        while !pointers.is_empty() {
            // SAFETY: so many pointers to requests that are not under way, with buffers of their own; all outlive the
            // requests, which have ended before this function returns.
            let taken = check(unsafe {
                libc::syscall(libc::SYS_io_submit, context, pointers.len(), pointers.as_mut_ptr())
            })?;
            pointers.drain(..taken);
        }
        let ended = wait(context, 1, &mut events)?;
        idle.clear();
        for event in &events[..ended] {
            ensure!(event.result == case.len_bytes as i64, "a request ended with {}", event.result);
            idle.push(usize::try_from(event.data)?);
        }
        count += u32::try_from(ended)?;
    }
    let taken = started.elapsed().as_secs_f64();
    let mut left = case.depth - idle.len();
    while left > 0 {
        left -= wait(context, left, &mut events)?;
    }
    // SAFETY: takes the context, which nobody uses afterwards.
    check(unsafe { libc::syscall(libc::SYS_io_destroy, context) })?;
    drop(buffers);
    Ok(f64::from(count) / taken)
}

fn wait(context: libc::c_ulong, at_least: usize, events: &mut [Event]) -> io::Result<usize> {
    // SAFETY: room for so many events, which lives until the call returns; no limit of time.
    check(unsafe {
        libc::syscall(
            libc::SYS_io_getevents,
            context,
            at_least,
            events.len(),
            events.as_mut_ptr(),
            std::ptr::null_mut::<libc::timespec>(),
        )
    })
}
