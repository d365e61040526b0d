//! Threads for requests that would hold up the event loop.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

type Job = Box<dyn FnOnce() + Send>;

/// The queue is bounded by the number of connections, each of which waits for its one answer.
pub struct Workers {
    jobs: Sender<Job>,
}

impl Workers {
    pub fn start(name: &str, count: usize) -> std::io::Result<Workers> {
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..count {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new().name(format!("{name}-{number}")).spawn(move || work(&queue))?;
        }
        Ok(Workers { jobs })
    }

    /// As [`Workers::start`]; where no thread can be had, what is submitted waits in vain until its client gives up.
    pub fn start_or_none(name: &str, count: usize) -> Workers {
        Self::start(name, count).unwrap_or_else(|error| {
            tracing::error!(%error, name, "no threads");
            Workers { jobs: channel().0 }
        })
    }

    pub fn submit(&self, job: Job) {
        // Fails only when all workers are gone, which ends the process first.
        let _ = self.jobs.send(job);
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}
