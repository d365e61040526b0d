//! A call and its answer, over a [`Pipeline`].

use super::{Completion, Failure, Pipeline, Retry, SubmitError};
use crate::frame::Op;
use crate::state::{Row, StateRequest, Verb, decode_page};
use nix::errno::Errno;
use std::time::Duration;

/// Waits for each request. The key-value space's requests, for those who do one thing after the other.
pub struct Blocking {
    pipeline: Pipeline,
    timeout: Duration,
}

impl Blocking {
    /// Each request fails with [`Failure::Deadline`] after `timeout`.
    pub fn new(pipeline: Pipeline, timeout: Duration) -> Blocking {
        Blocking { pipeline, timeout }
    }

    /// # Errors
    /// [`Failure`].
    pub fn call(&mut self, op: Op, body: &[u8], retry: Retry) -> Result<Vec<u8>, Failure> {
        let submitted = self.pipeline.submit(op, body, retry, Some(self.timeout));
        self.finish(submitted.map(drop)).and_then(|done| done.result)
    }

    fn state(&mut self, request: &StateRequest<'_>) -> Result<Completion, Failure> {
        self.state_with(request, Retry::Again)
    }

    fn state_with(&mut self, request: &StateRequest<'_>, retry: Retry) -> Result<Completion, Failure> {
        let submitted = self.pipeline.submit_state(request, retry, Some(self.timeout));
        self.finish(submitted.map(drop))
    }

    /// One request is under way at most, so the next completion is its.
    fn finish(&mut self, submitted: Result<(), SubmitError>) -> Result<Completion, Failure> {
        submitted.map_err(|error| Failure::Refused { errno: Errno::EFBIG, text: error.to_string() })?;
        loop {
            if let Some(done) = self.pipeline.next(self.timeout) {
                return Ok(done);
            }
        }
    }

    /// None: there is no such key.
    ///
    /// # Errors
    /// [`Failure`], as for all that follow.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        absent(self.state(&StateRequest::new(Verb::Get, key))?.result)
    }

    /// Puts a value of up to [`crate::state::VALUE_LEN_MAX`] bytes.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        self.state(&StateRequest { bytes: value, ..StateRequest::new(Verb::Put, key) })?.result.map(drop)
    }

    /// False: it was not there, and not deleted by an attempt whose answer was lost either.
    pub fn delete(&mut self, key: &[u8]) -> Result<bool, Failure> {
        let done = self.state(&StateRequest::new(Verb::Delete, key))?;
        Ok(absent(done.result)?.is_some() || done.retried)
    }

    /// All keys that begin with `prefix`, in order.
    pub fn list(&mut self, prefix: &[u8]) -> Result<Vec<Row>, Failure> {
        let mut rows: Vec<Row> = Vec::new();
        loop {
            let after = rows.last().map_or_else(Vec::new, |row| row.key.clone());
            let request = StateRequest {
                limit: crate::state::ROWS_MAX,
                bytes: &after,
                ..StateRequest::new(Verb::List, prefix)
            };
            let body = self.state(&request)?.result?;
            let malformed = || Failure::Refused { errno: Errno::EBADMSG, text: "a malformed listing".into() };
            let (page, more) = decode_page(&body).ok_or_else(malformed)?;
            let last = page.is_empty() || !more;
            rows.extend(page);
            if last {
                return Ok(rows);
            }
        }
    }

    /// Everything before survives a power cut when this returns.
    pub fn sync(&mut self) -> Result<(), Failure> {
        self.state(&StateRequest::new(Verb::Sync, b""))?.result.map(drop)
    }

    /// Puts (Some) and deletes (None) all of these, or none, and returns when that survives a power cut.
    pub fn change(&mut self, changes: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), Failure> {
        self.change_as(b"", changes)
    }

    /// The same; the key of [`Verb::Begin`] says what it is for.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn change_as(&mut self, what: &[u8], changes: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), Failure> {
        let begun = self.state(&StateRequest::new(Verb::Begin, what))?;
        begun.result?;
        let within = Retry::Within(begun.connection);
        let carried_out = changes.iter().try_for_each(|(key, value)| {
            let request = match value {
                Some(value) => StateRequest { bytes: value, ..StateRequest::new(Verb::Put, key) },
                None => StateRequest::new(Verb::Delete, key),
            };
            self.state_with(&request, within)?.result.map(drop)
        });
        if let Err(failure) = carried_out {
            let _ = self.state_with(&StateRequest::new(Verb::Abort, b""), within);
            return Err(failure);
        }
        self.state_with(&StateRequest::new(Verb::Commit, b""), within)?.result?;
        self.sync()
    }
}

fn absent(answer: Result<Vec<u8>, Failure>) -> Result<Option<Vec<u8>>, Failure> {
    match answer {
        Err(Failure::Refused { errno: Errno::ENOENT, .. }) => Ok(None),
        answer => answer.map(Some),
    }
}
