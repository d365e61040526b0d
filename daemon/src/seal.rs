//! Staged becomes sealed, on the kernel's word that no writer is left: some files at a time, with one write to the
//! journal. First the bytes are in the store, then the journal has the hash, then the file is in the hot tier:
//! whatever a power cut leaves of the journal, it names no content that the store does not have (RFC 0006).

use crate::daemon::{Daemon, Spaces, cas_errno};
use crate::kill_points;
use crate::record::{Change, Origin};
use nix::errno::Errno;
use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::MetadataExt;
use vrift_cas::{CasError, CommitOutcome, PrepareOutcome, Prepared};
use vrift_manifest::{Content, SetAttr, VnodeNo};

/// Files with one write to the journal: the core lock is held for their renames, some 50 us each. Their bytes share the
/// store's blocks.
pub const AT_ONCE: usize = 16;
/// With so many bytes no further file joins: who opens one for writing waits until all are sealed.
const BYTES_AT_ONCE: u64 = 1 << 20;

/// What became of an attempt to seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealOutcome {
    Sealed,
    /// Somebody still writes it.
    Busy,
    /// It is not staged (any more).
    Gone,
}

type Outcome = Result<SealOutcome, Errno>;

/// Times of a staging file, in nanoseconds since 1970, and its mode, that sealing must not lose.
#[derive(Clone, Copy)]
struct KernelTimes {
    atime_ns: i64,
    ctime_ns: i64,
    mode: u32,
}

/// A file whose bytes are in the store.
struct Ready<'a> {
    vnode: VnodeNo,
    prepared: Prepared<'a>,
    times: Option<KernelTimes>,
    is_new: bool,
}

/// Files that nobody else seals, or opens for writing, as long as this lives.
struct Claims<'a> {
    daemon: &'a Daemon,
    workspace: u32,
    vnodes: Vec<VnodeNo>,
}

enum Claim {
    Ours,
    /// Another thread seals it; with claims of our own we do not wait for it, as it may wait for one of them.
    Elsewhere,
    Gone,
}

impl Claims<'_> {
    fn claim(&mut self, vnode: VnodeNo) -> Result<Claim, Errno> {
        let key = (self.workspace, vnode.0);
        let mut spaces = self.daemon.spaces();
        while spaces.sealing.contains(&key) {
            if !self.vnodes.is_empty() {
                return Ok(Claim::Elsewhere);
            }
            spaces = self.daemon.wait_for_seal(spaces, key);
        }
        let attr = spaces.get(self.workspace)?.index.attr(vnode);
        if attr.is_none_or(|attr| attr.content != Content::Staged) {
            return Ok(Claim::Gone);
        }
        spaces.sealing.insert(key);
        self.vnodes.push(vnode);
        Ok(Claim::Ours)
    }

    /// Gives up those that `which` says.
    fn release(&mut self, spaces: &mut Spaces<'_>, which: impl Fn(VnodeNo) -> bool) {
        let workspace = self.workspace;
        self.vnodes.retain(|vnode| {
            let released = which(*vnode);
            if released {
                spaces.sealing.remove(&(workspace, vnode.0));
            }
            !released
        });
        self.daemon.announce_seal();
    }
}

impl Drop for Claims<'_> {
    fn drop(&mut self) {
        if !self.vnodes.is_empty() {
            let mut spaces = self.daemon.spaces();
            self.release(&mut spaces, |_| true);
        }
    }
}

impl Daemon {
    /// Seals one staged vnode if no writer is left. Hashes outside the core lock.
    pub fn seal(&self, workspace: u32, vnode: VnodeNo) -> Outcome {
        let mut became = Ok(SealOutcome::Gone);
        self.seal_some(workspace, &[vnode], &mut |_, outcome| became = outcome);
        became
    }

    /// Seals everything in a workspace that has no writer left; what still has one stays staged.
    ///
    /// # Errors
    /// The first failure, after all others were tried.
    pub fn seal_all(&self, workspace: u32) -> Result<(), Errno> {
        let staged: Vec<VnodeNo> =
            self.spaces().get(workspace)?.staged.keys().map(|vnode| VnodeNo(*vnode)).collect();
        let mut all = Ok(());
        self.seal_some(workspace, &staged, &mut |_, outcome| {
            if let (Err(errno), Ok(())) = (outcome, all) {
                all = Err(errno);
            }
        });
        all
    }

    /// Seals those of `vnodes` that have no writer left, and says of each what became of it.
    pub fn seal_some(&self, workspace: u32, vnodes: &[VnodeNo], done: &mut dyn FnMut(VnodeNo, Outcome)) {
        let mut waiting: VecDeque<VnodeNo> = vnodes.iter().copied().collect();
        while !waiting.is_empty() {
            self.seal_batch(workspace, &mut waiting, done);
        }
    }

    /// The first ones of those that wait.
    fn seal_batch(
        &self,
        workspace: u32,
        waiting: &mut VecDeque<VnodeNo>,
        done: &mut dyn FnMut(VnodeNo, Outcome),
    ) {
        // The bytes are put before anything refers to them.
        let _hold = self.gc.hold();
        let mut claims = Claims { daemon: self, workspace, vnodes: Vec::new() };
        let mut ready = Vec::new();
        let mut bytes = 0;
        while let Some(vnode) = waiting.pop_front() {
            if crate::unnamed::is_unnamed(vnode.0) {
                done(vnode, crate::unnamed::end(self, workspace, vnode.0).map(|()| SealOutcome::Gone));
                continue;
            }
            match claims.claim(vnode) {
                Ok(Claim::Ours) => {}
                Ok(Claim::Gone) => {
                    done(vnode, Ok(SealOutcome::Gone));
                    continue;
                }
                Ok(Claim::Elsewhere) => {
                    waiting.push_front(vnode);
                    break;
                }
                Err(errno) => {
                    done(vnode, Err(errno));
                    continue;
                }
            }
            match self.make_ready(workspace, vnode) {
                Ok(file) => {
                    bytes += file.prepared.sealed().size_bytes;
                    ready.push(file);
                }
                Err(outcome) => {
                    claims.release(&mut self.spaces(), |other| other == vnode);
                    done(vnode, outcome);
                }
            }
            if ready.len() >= AT_ONCE || bytes >= BYTES_AT_ONCE {
                break;
            }
        }
        if ready.is_empty() {
            return;
        }
        let mut spaces = self.spaces();
        let outcomes = self.adopt(&mut spaces, workspace, ready);
        claims.release(&mut spaces, |_| true);
        drop(spaces);
        for (vnode, outcome) in outcomes {
            done(vnode, outcome);
        }
    }

    /// Hashes and stores what nobody writes any more.
    fn make_ready(&self, workspace: u32, vnode: VnodeNo) -> Result<Ready<'_>, Outcome> {
        let failed = |error: CasError| {
            tracing::error!(workspace, vnode = vnode.0, %error, "cannot seal");
            Err(cas_errno(&error))
        };
        // Before the hot tier's mode and name change the one, and hashing the other.
        let path = self.folders.staging(workspace, vnode.0);
        let times = fs::symlink_metadata(&path).ok().map(|stat| KernelTimes {
            atime_ns: stat.atime() * 1_000_000_000 + stat.atime_nsec(),
            ctime_ns: stat.ctime() * 1_000_000_000 + stat.ctime_nsec(),
            mode: stat.mode(),
        });
        let put = || -> Result<_, CasError> {
            Ok(match self.cas.prepare_seal(workspace, vnode.0)? {
                PrepareOutcome::Prepared(prepared) => {
                    let is_new = prepared.store()?;
                    Ok((prepared, is_new))
                }
                PrepareOutcome::Busy => Err(SealOutcome::Busy),
                PrepareOutcome::Gone => Err(SealOutcome::Gone),
            })
        };
        let put = match put() {
            // Files that wait to be used again have inodes, and what was in them.
            Err(CasError::NoSpace { .. }) if self.make_room() => put(),
            done => done,
        };
        match put {
            Ok(Ok((prepared, is_new))) => {
                kill_points::pass(|| "seal prepared".into());
                Ok(Ready { vnode, prepared, times, is_new })
            }
            Ok(Err(outcome)) => Err(Ok(outcome)),
            Err(CasError::SourceChanged { .. }) => Err(Ok(SealOutcome::Busy)),
            Err(error) => {
                if matches!(error, CasError::NoSpace { .. }) {
                    self.gc.want();
                }
                Err(failed(error))
            }
        }
    }

    /// Journal first, then the rename: after a crash between the two the staging file is superfluous, or, if somebody
    /// wrote it since, staged again; the other order would leave a staged vnode without its bytes.
    fn adopt(
        &self,
        spaces: &mut Spaces<'_>,
        workspace: u32,
        ready: Vec<Ready<'_>>,
    ) -> Vec<(VnodeNo, Outcome)> {
        let mut outcomes = Vec::with_capacity(ready.len());
        let mut changes = Vec::with_capacity(ready.len());
        let mut adopted = Vec::with_capacity(ready.len());
        for file in ready {
            let attr = spaces.get(workspace).map(|workspace| workspace.index.attr(file.vnode));
            match attr.map(|attr| attr.filter(|attr| attr.content == Content::Staged)) {
                Ok(Some(attr)) => {
                    let ctime_ns = changes_of(&file, &attr, &mut changes);
                    adopted.push((file, ctime_ns));
                }
                Ok(None) => outcomes.push((file.vnode, Ok(SealOutcome::Gone))),
                Err(errno) => outcomes.push((file.vnode, Err(errno))),
            }
        }
        if let Err(errno) = self.commit_all(spaces, workspace, &changes) {
            outcomes.extend(adopted.iter().map(|(file, _)| (file.vnode, Err(errno))));
            return outcomes;
        }
        for (file, ctime_ns) in adopted {
            let vnode = file.vnode;
            outcomes.push((vnode, self.rename(spaces, workspace, file, ctime_ns)));
        }
        outcomes
    }

    /// Makes the staging file the hot file, or the vnode staged again if a writer came.
    fn rename(&self, spaces: &mut Spaces<'_>, workspace: u32, file: Ready<'_>, ctime_ns: i64) -> Outcome {
        let Ready { vnode, prepared, is_new, .. } = file;
        let sealed = *prepared.sealed();
        let committed = prepared.commit();
        kill_points::pass(|| "seal committed".into());
        match committed {
            Ok(CommitOutcome::Sealed(_)) => {
                self.spares.forget_held(workspace, vnode);
                match is_new {
                    true => self.note_contents(1, sealed.size_bytes, 0),
                    false => self.note_contents(0, 0, 1),
                }
                // The name by which readers open it, so that the first of them need not ask for it.
                let blob = self.cas.hot_path(&sealed.hash);
                let _ = fs::hard_link(&blob, vrift_cas::vnode_name(&blob, vnode.0));
                if !sealed.adopted {
                    let _ = self.cas.remove_staging(workspace, vnode.0);
                }
                Ok(SealOutcome::Sealed)
            }
            refused => {
                let change = content(vnode, Content::Staged, &sealed, ctime_ns);
                self.commit(spaces, workspace, Origin::default(), &change)?;
                match refused {
                    Err(error) => {
                        tracing::error!(workspace, vnode = vnode.0, %error, "cannot seal");
                        Err(cas_errno(&error))
                    }
                    Ok(_) => Ok(SealOutcome::Busy),
                }
            }
        }
    }
}

/// What the journal is told of a file that is sealed; its change time.
fn changes_of(file: &Ready<'_>, attr: &vrift_manifest::Attr, changes: &mut Vec<Change<'_>>) -> i64 {
    let (vnode, times, sealed) = (file.vnode, file.times, file.prepared.sealed());
    // Not written since it was staged: its change time is the vnode's own.
    let ctime_ns = match times.filter(|_| sealed.mtime_ns != attr.mtime_ns) {
        Some(times) => attr.ctime_ns.max(times.ctime_ns).max(sealed.mtime_ns),
        None => attr.ctime_ns,
    };
    // As long as it was staged, the time of the last read was the staging file's.
    if let Some(times) = times.filter(|times| times.atime_ns != attr.atime_ns) {
        let set = SetAttr { atime_ns: Some(times.atime_ns), ..SetAttr::default() };
        changes.push(Change::SetAttr { vnode, set });
    }
    if let Some(mode) = times.and_then(|times| crate::set_id::left(attr.mode, times.mode)) {
        let set = SetAttr { mode: Some(mode), ..SetAttr::default() };
        changes.push(Change::SetAttr { vnode, set });
    }
    changes.push(content(vnode, Content::Sealed(sealed.hash.0), sealed, ctime_ns));
    ctime_ns
}

fn content(vnode: VnodeNo, content: Content, sealed: &vrift_cas::Sealed, ctime_ns: i64) -> Change<'static> {
    let (size, blocks, mtime_ns) = (sealed.size_bytes, sealed.blocks, sealed.mtime_ns);
    Change::SetContent { vnode, content, size, blocks, mtime_ns, ctime_ns }
}
