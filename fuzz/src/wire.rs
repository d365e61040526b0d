//! What comes over the socket, what users type, and what is in shared memory.

use std::sync::OnceLock;

use statefs_journal::Key;
use statefs_journal::state::check_prefix;
use vrift_manifest::{Content, Index, NewVnode, Params, ROOT, types};
use vrift_protocol::admin::{AdminReply, AdminRequest};
use vrift_protocol::state::{StateRequest, decode_page};
use vrift_protocol::{FrameHeader, Hello, MAX_FRAME_LEN, VnodeReply, VnodeRequest};
use vrift_protocol::{boot, identity, keystore, service, time};
use zerocopy::FromBytes;

/// A datagram as the daemon gets it.
pub fn frame_server(bytes: &[u8]) {
    let datagram = &bytes[..bytes.len().min(MAX_FRAME_LEN)];
    for body in [FrameHeader::parse(datagram).map_or(datagram, |(_, _, body)| body), datagram] {
        if let Ok((_, name, name2)) = VnodeRequest::parse(body) {
            assert!(name.len() + name2.len() <= body.len());
        }
        let _ = StateRequest::parse(body);
        let _ = Hello::read_from_prefix(body);
        let _ = serde_json::from_slice::<AdminRequest>(body);
        let json = service::parse(body).map_or(body, |(_, _, json)| json);
        let _ = serde_json::from_slice::<identity::Request>(json);
        let _ = serde_json::from_slice::<keystore::Request>(json);
        let _ = serde_json::from_slice::<boot::Request>(json);
        let _ = serde_json::from_slice::<time::Request>(json);
    }
}

/// A datagram as a client gets it.
pub fn frame_client(bytes: &[u8]) {
    let datagram = &bytes[..bytes.len().min(MAX_FRAME_LEN)];
    for body in [FrameHeader::parse(datagram).map_or(datagram, |(_, _, body)| body), datagram] {
        let _ = VnodeReply::read_from_prefix(body);
        let _ = decode_page(body);
        let _ = serde_json::from_slice::<AdminReply>(body);
    }
}

/// A key of `/state`: what is accepted has one spelling.
pub fn path(bytes: &[u8]) {
    let _ = check_prefix(bytes);
    let Ok(key) = Key::new(bytes) else { return };
    assert_eq!(key.as_bytes(), bytes, "a key is never rewritten");
    let rest = bytes.strip_prefix(b"/state/").unwrap_or_default();
    assert!(bytes.len() <= 1024 && !rest.is_empty() && !bytes.contains(&0));
    for part in rest.split(|byte| *byte == b'/') {
        assert!(!matches!(part, b"" | b"." | b"..") && part.len() <= 255);
    }
}

const PARAMS: Params<'static> = Params {
    view: b"/view",
    home: b"/home",
    workspace: 1,
    root_mode: 0o755,
    root_uid: 0,
    root_gid: 0,
    root_time_ns: 0,
};

/// An index with a little tree: its dump, and the file that readers map.
fn base() -> &'static (Vec<u8>, Vec<u8>) {
    static BASE: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    BASE.get_or_init(|| {
        let made = (|| -> Result<_, Box<dyn std::error::Error>> {
            let dir = tempfile::tempdir()?;
            let file = dir.path().join("index");
            let mut index = Index::create(&file, &PARAMS)?;
            let new = |mode, content, target| NewVnode {
                mode,
                uid: 0,
                gid: 0,
                rdev: 0,
                size: 3,
                atime_ns: 0,
                mtime_ns: 0,
                ctime_ns: 0,
                content,
                target,
            };
            let failed = |error| format!("{error:?}");
            let folder = new(types::S_IFDIR | 0o755, Content::None, &b""[..]);
            let dir = index.make(None, ROOT, b"dir", &folder, 1).map_err(failed)?;
            let sealed = new(types::S_IFREG | 0o644, Content::Sealed([7; 32]), &b""[..]);
            index.make(None, dir, b"file", &sealed, 1).map_err(failed)?;
            let link = new(types::S_IFLNK | 0o777, Content::None, &b"dir/file"[..]);
            index.make(None, ROOT, b"link", &link, 1).map_err(failed)?;
            let mut dump = Vec::new();
            index.dump(&mut dump)?;
            let mut mapped = std::fs::read(&file)?;
            mapped.truncate(MAPPED_LEN);
            Ok((dump, mapped))
        })();
        match made {
            Ok(made) => made,
            Err(error) => panic!("the index cannot be made: {error}"),
        }
    })
}

/// Enough of the file to hold what a small index uses.
const MAPPED_LEN: usize = 8 << 20;

/// Lays pieces of `bytes` over `whole`: two bytes say where, one how many follow.
fn patch(whole: &mut [u8], mut bytes: &[u8]) {
    while let [low, high, len, rest @ ..] = bytes {
        let at = usize::from(*low) | usize::from(*high) << 8;
        let len = usize::from(*len).min(rest.len());
        for (to, from) in whole.iter_mut().skip(at).zip(&rest[..len]) {
            *to = *from;
        }
        bytes = &rest[len..];
    }
}

/// The stream that an index is loaded from when the daemon starts.
pub fn index_dump(bytes: &[u8]) {
    let Ok(dir) = tempfile::tempdir() else { return };
    let mut dump = base().0.clone();
    patch(&mut dump, bytes);
    let _ = Index::load(&dir.path().join("index"), &PARAMS, &mut &dump[..]);
}

/// The memory that every process maps, whatever is in it.
pub fn index_reader(bytes: &[u8]) {
    const STEPS_MAX: usize = 1000;
    let mut mapped = base().1.clone();
    patch(&mut mapped, bytes);
    crate::sys::with_reader(&mapped, |reader| {
        let mut text = [0; 4096];
        let _ = (reader.home(&mut text), reader.view(&mut text), reader.is_retired());
        for slot in [0, 1, 2, 3, 4, 1000, u32::MAX] {
            let _ = (reader.vnode(slot), reader.mode(slot), reader.times_ns(slot), reader.content(slot));
            let _ = (reader.target(slot, &mut text), reader.target_len(slot), reader.naming_dentry(slot));
            for name in [&b"dir"[..], b"file", b"", &[b'x'; 255]] {
                let _ = reader.lookup(slot, name);
            }
            let mut number = reader.first_child(slot);
            for _ in 0..STEPS_MAX {
                let _ = (reader.name(number, &mut text), reader.child(number));
                number = reader.next_child(number);
            }
        }
    });
}
