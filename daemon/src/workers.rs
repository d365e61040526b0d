//! Threads for requests that would hold up the event loop.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

type Job = Box<dyn FnOnce() + Send>;

/// Jobs that wait for a thread; a job wakes one. Bounded by the number of connections, each of which waits for its one answer.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// There will be no more.
    closed: bool,
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct Workers {
    queue: Arc<Queue>,
}

impl Workers {
    pub fn start(name: &str, count: usize) -> std::io::Result<Workers> {
        // Dropped when a thread cannot be had: those before it end.
        let workers = Workers { queue: Arc::default() };
        for number in 0..count {
            let queue = Arc::clone(&workers.queue);
            std::thread::Builder::new().name(format!("{name}-{number}")).spawn(move || work(&queue))?;
        }
        Ok(workers)
    }

    /// As [`Workers::start`]; where no thread can be had, what is submitted waits in vain until its client gives up.
    pub fn start_or_none(name: &str, count: usize) -> Workers {
        Self::start(name, count).unwrap_or_else(|error| {
            tracing::error!(%error, name, "no threads");
            Workers { queue: Arc::default() }
        })
    }

    pub fn submit(&self, job: Job) {
        self.queue.waiting().jobs.push_back(job);
        self.queue.changed.notify_one();
    }
}

/// The threads end when what was submitted is done.
impl Drop for Workers {
    fn drop(&mut self) {
        self.queue.waiting().closed = true;
        self.queue.changed.notify_all();
    }
}

fn work(queue: &Queue) {
    loop {
        let idle = |waiting: &mut Waiting| waiting.jobs.is_empty() && !waiting.closed;
        let waited = queue.changed.wait_while(queue.waiting(), idle);
        let job = waited.unwrap_or_else(PoisonError::into_inner).jobs.pop_front();
        match job {
            Some(job) => job(),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn jobs_run_at_the_same_time_and_what_was_submitted_is_done() {
        let done = Arc::new(AtomicUsize::new(0));
        let together = Arc::new(Barrier::new(3));
        let workers = Workers::start("test", 3).unwrap();
        for _ in 0..30 {
            let (done, together) = (Arc::clone(&done), Arc::clone(&together));
            workers.submit(Box::new(move || {
                together.wait();
                done.fetch_add(1, Ordering::SeqCst);
            }));
        }
        let queue = Arc::clone(&workers.queue);
        drop(workers);
        while Arc::strong_count(&queue) > 1 {
            std::thread::yield_now();
        }
        assert_eq!(done.load(Ordering::SeqCst), 30);
    }
}
