//! Requests for the `/state` key-value space: [`crate::Op::State`] frames.
//!
//! ```text
//! request body   0  u8 verb    1  u8 flags   2  u16 key length    4  u32 limit    8  key    then bytes
//! ```
//! A value travels in pieces: [`Verb::Part`] frames gather it at the daemon, [`Verb::Put`] carries the last piece. The
//! frame with which a value begins has flag 1 ([`StateRequest::begins`]); a put after a piece that was refused is
//! refused, too, so that the pieces can be sent without waiting.
//! A reply's status is 0 or an errno; with an errno the body is a text that says what is wrong. The reply to
//! [`Verb::Get`] is the value in any number of frames, all but the last with [`crate::frame::FLAG_MORE`]; that to
//! [`Verb::List`] is one frame: u8 1 if keys follow, then rows of u16 key length, u32 value length, key.

use crate::client::{Client, ClientError};
use crate::frame::{FLAG_MORE, HEADER_LEN, MAX_FRAME_LEN, Op};
use nix::errno::Errno;

/// Bytes before the key.
const FIXED_LEN: usize = 8;
/// Bytes of a value that one frame carries, whatever its key.
pub const PIECE_LEN: usize = 48 * 1024;
/// Longest value.
pub const VALUE_LEN_MAX: usize = 1 << 20;
/// Most rows of a listing that one reply is asked for.
pub const ROWS_MAX: u32 = 1000;

/// The key of a [`Verb::Begin`] that takes over keys of an older form: an administrative act.
pub const IMPORT: &[u8] = b"state import";

/// What a request asks for. Numbers are part of the wire and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verb {
    /// The value of a key; ENOENT: there is none.
    Get = 1,
    /// Puts a key: what was gathered, then the bytes of this frame.
    Put = 2,
    /// Gathers a piece of the value of the next [`Verb::Put`] of this connection.
    Part = 3,
    /// Deletes a key; ENOENT: it was not there (not within a transaction).
    Delete = 4,
    /// At most `limit` keys that begin with the key field, behind the bytes, if there are any.
    List = 5,
    /// Returns when everything before it survives a power cut.
    Sync = 6,
    /// Begins the connection's transaction: puts and deletes are held back until [`Verb::Commit`]. It ends without
    /// effect when the connection does or when its time is over. With [`IMPORT`] as the key it goes to the audit log.
    Begin = 7,
    /// All changes of the transaction, or none.
    Commit = 8,
    /// Drops the transaction.
    Abort = 9,
}

impl Verb {
    fn from_wire(n: u8) -> Option<Verb> {
        use Verb::*;
        [Get, Put, Part, Delete, List, Sync, Begin, Commit, Abort].into_iter().find(|verb| *verb as u8 == n)
    }
}

/// A request, as both sides see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateRequest<'a> {
    pub verb: Verb,
    /// A value begins with these bytes: what was gathered before is forgotten.
    pub begins: bool,
    pub limit: u32,
    pub key: &'a [u8],
    pub bytes: &'a [u8],
}

impl<'a> StateRequest<'a> {
    /// A request without limit and bytes.
    pub fn new(verb: Verb, key: &'a [u8]) -> StateRequest<'a> {
        StateRequest { verb, begins: false, limit: 0, key, bytes: &[] }
    }

    /// None: the key is too long for the field, so it cannot be a key.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut body = vec![self.verb as u8, u8::from(self.begins)];
        body.extend_from_slice(&u16::try_from(self.key.len()).ok()?.to_le_bytes());
        body.extend_from_slice(&self.limit.to_le_bytes());
        body.extend_from_slice(self.key);
        body.extend_from_slice(self.bytes);
        (HEADER_LEN + body.len() <= MAX_FRAME_LEN).then_some(body)
    }

    /// None: the body does not have the layout.
    pub fn parse(body: &'a [u8]) -> Option<StateRequest<'a>> {
        let (fixed, rest) = body.split_first_chunk::<FIXED_LEN>()?;
        let [verb, flags @ 0..=1, k0, k1, l0, l1, l2, l3] = *fixed else { return None };
        let (key, bytes) = rest.split_at_checked(usize::from(u16::from_le_bytes([k0, k1])))?;
        Some(StateRequest {
            verb: Verb::from_wire(verb)?,
            begins: flags == 1,
            limit: u32::from_le_bytes([l0, l1, l2, l3]),
            key,
            bytes,
        })
    }
}

/// One row of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub key: Vec<u8>,
    pub len_bytes: u32,
}

/// A page of a listing as the body of a reply; rows that do not fit are left out, and `more` is set.
pub fn encode_page(rows: impl IntoIterator<Item = Row>, mut more: bool) -> Vec<u8> {
    let mut body = vec![0];
    for row in rows {
        let Ok(key_len) = u16::try_from(row.key.len()) else { continue };
        if HEADER_LEN + body.len() + 6 + row.key.len() > MAX_FRAME_LEN {
            more = true;
            break;
        }
        body.extend_from_slice(&key_len.to_le_bytes());
        body.extend_from_slice(&row.len_bytes.to_le_bytes());
        body.extend_from_slice(&row.key);
    }
    body[0] = u8::from(more);
    body
}

/// Rows, and whether there are more behind them. None: not the layout.
pub fn decode_page(body: &[u8]) -> Option<(Vec<Row>, bool)> {
    let (more, mut rest) = body.split_first()?;
    let mut rows = Vec::new();
    while !rest.is_empty() {
        let (fixed, tail) = rest.split_first_chunk::<6>()?;
        let [k0, k1, l0, l1, l2, l3] = *fixed;
        let (key, tail) = tail.split_at_checked(usize::from(u16::from_le_bytes([k0, k1])))?;
        rows.push(Row { key: key.to_vec(), len_bytes: u32::from_le_bytes([l0, l1, l2, l3]) });
        rest = tail;
    }
    Some((rows, *more != 0))
}

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The daemon refused: ENOENT (no such key), EINVAL (bad key), EFBIG (value or transaction too long), EBUSY (there
    /// is a transaction already), ENOTCONN (there is none), ETIMEDOUT (its time was over), ENOSPC, EIO.
    #[error("{text}")]
    Refused { errno: Errno, text: String },
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// The key-value space over one connection.
pub struct State<'a>(pub &'a mut Client);

impl State<'_> {
    fn ask(&mut self, request: &StateRequest<'_>) -> Result<Vec<u8>, StateError> {
        let Some(body) = request.encode() else {
            let text = format!("a key of {} bytes is too long", request.key.len());
            return Err(StateError::Refused { errno: Errno::EINVAL, text });
        };
        let id = self.0.send(Op::State, &body)?;
        let mut answer = Vec::new();
        loop {
            let (header, body, _) = self.0.receive()?;
            if header.request_id.get() != id {
                return Err(ClientError::Frame("a reply to another request".into()).into());
            }
            if header.status.get() != 0 {
                let errno = Errno::from_raw(header.status.get().cast_signed());
                let text = match body.is_empty() {
                    true => errno.desc().to_string(),
                    false => String::from_utf8_lossy(&body).into_owned(),
                };
                return Err(StateError::Refused { errno, text });
            }
            if answer.len() + body.len() > VALUE_LEN_MAX {
                return Err(ClientError::Frame("a value longer than any value".into()).into());
            }
            answer.extend_from_slice(&body);
            if header.flags.get() & FLAG_MORE == 0 {
                return Ok(answer);
            }
        }
    }

    /// None: there is no such key.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        absent(self.ask(&StateRequest::new(Verb::Get, key)))
    }

    /// Puts a value of up to [`VALUE_LEN_MAX`] bytes.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StateError> {
        let mut pieces = value.chunks(PIECE_LEN).peekable();
        let mut begins = true;
        while let Some(piece) = pieces.next_if(|piece| piece.len() == PIECE_LEN) {
            self.ask(&StateRequest { bytes: piece, begins, ..StateRequest::new(Verb::Part, b"") })?;
            begins = false;
        }
        let bytes = pieces.next().unwrap_or_default();
        self.ask(&StateRequest { bytes, begins, ..StateRequest::new(Verb::Put, key) }).map(drop)
    }

    /// False: it was not there.
    pub fn delete(&mut self, key: &[u8]) -> Result<bool, StateError> {
        Ok(absent(self.ask(&StateRequest::new(Verb::Delete, key)))?.is_some())
    }

    /// At most `limit` keys that begin with `prefix`, behind `after` (empty: from the first on), and whether there
    /// are more.
    pub fn list(&mut self, prefix: &[u8], after: &[u8], limit: u32) -> Result<(Vec<Row>, bool), StateError> {
        let request = StateRequest { limit, bytes: after, ..StateRequest::new(Verb::List, prefix) };
        let body = self.ask(&request)?;
        decode_page(&body).ok_or_else(|| ClientError::Frame("a malformed listing".into()).into())
    }

    /// Everything before survives a power cut when this returns.
    pub fn sync(&mut self) -> Result<(), StateError> {
        self.ask(&StateRequest::new(Verb::Sync, b"")).map(drop)
    }

    pub fn begin(&mut self) -> Result<(), StateError> {
        self.ask(&StateRequest::new(Verb::Begin, b"")).map(drop)
    }

    pub fn commit(&mut self) -> Result<(), StateError> {
        self.ask(&StateRequest::new(Verb::Commit, b"")).map(drop)
    }

    pub fn abort(&mut self) -> Result<(), StateError> {
        self.ask(&StateRequest::new(Verb::Abort, b"")).map(drop)
    }
}

fn absent(answer: Result<Vec<u8>, StateError>) -> Result<Option<Vec<u8>>, StateError> {
    match answer {
        Err(StateError::Refused { errno: Errno::ENOENT, .. }) => Ok(None),
        answer => answer.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_pages_survive_the_wire_and_rubbish_is_refused() {
        let request =
            StateRequest { verb: Verb::List, begins: true, limit: 77, key: b"/state/a", bytes: b"/state/ab" };
        let body = request.encode().unwrap();
        assert_eq!(StateRequest::parse(&body), Some(request));
        for len in 0..FIXED_LEN + 8 {
            assert_eq!(StateRequest::parse(&body[..len]), None, "{len}");
        }
        assert_eq!(StateRequest::parse(&[10, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(StateRequest::parse(&[0, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(StateRequest::parse(&[1, 2, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(StateRequest::new(Verb::Get, &[b'x'; 70_000]).encode(), None);
        assert_eq!(StateRequest::new(Verb::Get, &[b'x'; 65_535]).encode(), None);

        let rows: Vec<Row> = (0..200_u32).map(|i| Row { key: vec![b'k'; 1000], len_bytes: i }).collect();
        let body = encode_page(rows.clone(), false);
        assert!(HEADER_LEN + body.len() <= MAX_FRAME_LEN);
        let (found, more) = decode_page(&body).unwrap();
        assert!(more && found.len() > 60);
        assert_eq!(found, rows[..found.len()]);
        assert_eq!(decode_page(&encode_page(rows[..3].to_vec(), false)), Some((rows[..3].to_vec(), false)));
        assert_eq!(decode_page(&body[..body.len() - 1]), None);
        assert_eq!(decode_page(&[]), None);
    }
}
