//! A server of the Network Block Device protocol for one client, which is qemu
//! (the protocol's own document, doc/proto.md: fixed newstyle negotiation, simple replies).

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};

use crate::volatile::Volatile;

const GREETING: u64 = 0x4e42_444d_4147_4943;
const OPTION: u64 = 0x4948_4156_454f_5054;
const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
const REQUEST: u32 = 0x2560_9513;
const REPLY: u32 = 0x6744_6698;

const FIXED_NEWSTYLE: u16 = 1;
const OPT_ABORT: u32 = 2;
const OPT_GO: u32 = 7;
const REP_ACK: u32 = 1;
const REP_INFO: u32 = 3;
const REP_ERR_UNSUPPORTED: u32 = 0x8000_0001;
const INFO_EXPORT: u16 = 0;
/// HAS_FLAGS, SEND_FLUSH, SEND_TRIM, SEND_WRITE_ZEROES. Without FUA: qemu then flushes.
const EXPORT_FLAGS: u16 = 1 | 4 | 0x20 | 0x40;

const READ: u16 = 0;
const WRITE: u16 = 1;
const DISCONNECT: u16 = 2;
const FLUSH: u16 = 3;
const TRIM: u16 = 4;
const WRITE_ZEROES: u16 = 6;
const EIO: u32 = 5;
const EINVAL: u32 = 22;
/// qemu's own bound for data of one request.
const DATA_LEN_MAX_BYTES: u32 = 32 << 20;
const OPTION_LEN_MAX_BYTES: u32 = 64 << 10;

pub struct Server {
    pub socket: PathBuf,
    thread: JoinHandle<Result<Volatile>>,
}

impl Server {
    /// Serves `drive` at `socket` to the first that connects, until it goes.
    pub fn start(socket: PathBuf, mut drive: Volatile) -> Result<Server> {
        let _ = std::fs::remove_file(&socket);
        let listener =
            UnixListener::bind(&socket).with_context(|| format!("cannot bind {}", socket.display()))?;
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept()?;
            if negotiate(&mut stream, drive.len_bytes())? {
                // The end of qemu is the end of the stream, at any byte of it.
                while request(&mut stream, &mut drive).unwrap_or(false) {}
            }
            Ok(drive)
        });
        Ok(Server { socket, thread })
    }

    /// Waits until the client is gone; the drive with what was not flushed.
    pub fn finish(self) -> Result<Volatile> {
        let drive = self.thread.join().map_err(|_| anyhow!("the server of the drive panicked"))?;
        let _ = std::fs::remove_file(&self.socket);
        drive.context("the server of the drive")
    }
}

/// False: the client wants nothing.
fn negotiate(stream: &mut UnixStream, len_bytes: u64) -> io::Result<bool> {
    let mut hello = Vec::new();
    hello.extend(GREETING.to_be_bytes());
    hello.extend(OPTION.to_be_bytes());
    hello.extend(FIXED_NEWSTYLE.to_be_bytes());
    stream.write_all(&hello)?;
    u32_of(stream)?;
    loop {
        if u64_of(stream)? != OPTION {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let (option, len) = (u32_of(stream)?, u32_of(stream)?);
        if len > OPTION_LEN_MAX_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        bytes_of(stream, len)?;
        match option {
            OPT_GO => {
                let mut info = Vec::new();
                info.extend(INFO_EXPORT.to_be_bytes());
                info.extend(len_bytes.to_be_bytes());
                info.extend(EXPORT_FLAGS.to_be_bytes());
                answer(stream, option, REP_INFO, &info)?;
                answer(stream, option, REP_ACK, &[])?;
                return Ok(true);
            }
            OPT_ABORT => {
                answer(stream, option, REP_ACK, &[])?;
                return Ok(false);
            }
            _ => answer(stream, option, REP_ERR_UNSUPPORTED, &[])?,
        }
    }
}

fn answer(stream: &mut UnixStream, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
    let mut reply = Vec::new();
    reply.extend(OPTION_REPLY.to_be_bytes());
    reply.extend(option.to_be_bytes());
    reply.extend(kind.to_be_bytes());
    reply.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    reply.extend(data);
    stream.write_all(&reply)
}

/// False: the client says good-bye.
fn request(stream: &mut UnixStream, drive: &mut Volatile) -> io::Result<bool> {
    if u32_of(stream)? != REQUEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let (_flags, kind) = (u16_of(stream)?, u16_of(stream)?);
    let handle = u64_of(stream)?;
    let (offset, len) = (u64_of(stream)?, u32_of(stream)?);
    if matches!(kind, READ | WRITE) && len > DATA_LEN_MAX_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let sent = if kind == WRITE { bytes_of(stream, len)? } else { Vec::new() };
    let inside = offset.checked_add(u64::from(len)).is_some_and(|end| end <= drive.len_bytes());
    let mut data = Vec::new();
    let error = match kind {
        DISCONNECT => return Ok(false),
        FLUSH => drive.flush().map_or(EIO, |()| 0),
        _ if !inside => EINVAL,
        READ => {
            data = vec![0; usize::try_from(len).unwrap_or(0)];
            drive.read(offset, &mut data).map_or(EIO, |()| 0)
        }
        WRITE => {
            drive.write(offset, sent);
            0
        }
        TRIM | WRITE_ZEROES => {
            drive.zeros(offset, u64::from(len));
            0
        }
        _ => EINVAL,
    };
    let mut reply = Vec::with_capacity(16 + data.len());
    reply.extend(REPLY.to_be_bytes());
    reply.extend(error.to_be_bytes());
    reply.extend(handle.to_be_bytes());
    if error == 0 {
        reply.extend(data);
    }
    stream.write_all(&reply)?;
    Ok(true)
}

fn bytes_of(stream: &mut UnixStream, len: u32) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn u16_of(stream: &mut UnixStream) -> io::Result<u16> {
    let mut bytes = [0; 2];
    stream.read_exact(&mut bytes)?;
    Ok(u16::from_be_bytes(bytes))
}

fn u32_of(stream: &mut UnixStream) -> io::Result<u32> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

fn u64_of(stream: &mut UnixStream) -> io::Result<u64> {
    let mut bytes = [0; 8];
    stream.read_exact(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}
