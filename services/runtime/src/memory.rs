//! A key-value space in memory, whose records somebody else can change: for tests.

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use vrift_protocol::pipeline::{Blocking, Endpoint, Pipeline};
use vrift_protocol::state::{Row, StateRequest, Verb, encode_page};
use vrift_protocol::{FrameHeader, MAX_FRAME_LEN, Op};
use zerocopy::IntoBytes;

/// Keys and values.
pub type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// A request to another service, as the daemon takes it, and its answer.
pub type Ask = dyn FnMut(&[u8]) -> Result<Vec<u8>, Errno> + Send;

/// A connection to the space; requests to services go to `ask`.
///
/// # Errors
/// No sockets.
pub fn space(map: &Arc<Mutex<Map>>, mut ask: Box<Ask>) -> nix::Result<Blocking> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    let map = Arc::clone(map);
    std::thread::spawn(move || serve(&map, &theirs, &mut ask));
    Ok(Blocking::new(Pipeline::new(Endpoint::Given(ours)), Duration::from_secs(10)))
}

fn serve(map: &Mutex<Map>, socket: &impl AsRawFd, ask: &mut Ask) {
    let mut buffer = vec![0; MAX_FRAME_LEN];
    let mut held = None;
    while let Ok(len @ 1..) = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
        let Ok((header, op, body)) = FrameHeader::parse(&buffer[..len]) else { return };
        let answer = match (op, StateRequest::parse(body)) {
            (Op::Service, _) => ask(body),
            (_, Some(request)) => {
                state(&mut map.lock().unwrap_or_else(PoisonError::into_inner), &mut held, &request)
            }
            (_, None) => return,
        };
        let (errno, body) = answer.map_or_else(|errno| (errno as u32, Vec::new()), |body| (0, body));
        let frame = [header.reply(errno, body.len()).as_bytes(), &body].concat();
        if send(socket.as_raw_fd(), &frame, MsgFlags::MSG_NOSIGNAL).is_err() {
            return;
        }
    }
}

type Held = Option<Vec<(Vec<u8>, Option<Vec<u8>>)>>;

fn apply(map: &mut Map, key: Vec<u8>, value: Option<Vec<u8>>) {
    match value {
        Some(value) => drop(map.insert(key, value)),
        None => drop(map.remove(&key)),
    }
}

fn state(map: &mut Map, held: &mut Held, request: &StateRequest<'_>) -> Result<Vec<u8>, Errno> {
    let key = request.key.to_vec();
    let mut change = |value| match held {
        Some(held) => held.push((key.clone(), value)),
        None => apply(map, key.clone(), value),
    };
    match request.verb {
        Verb::Get => return map.get(&key).cloned().ok_or(Errno::ENOENT),
        Verb::Put => change(Some(request.bytes.to_vec())),
        Verb::Delete => change(None),
        Verb::List => {
            let row =
                |(key, value): (&Vec<u8>, &Vec<u8>)| Row { key: key.clone(), len_bytes: value.len() as u32 };
            return Ok(encode_page(map.iter().filter(|(one, _)| one.starts_with(&key)).map(row), false));
        }
        Verb::Begin => *held = Some(Vec::new()),
        Verb::Commit => {
            held.take().unwrap_or_default().into_iter().for_each(|(key, value)| apply(map, key, value));
        }
        _ => {}
    }
    Ok(Vec::new())
}
