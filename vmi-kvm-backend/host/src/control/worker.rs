//! What may take long, one after the other.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use rustix::event::{EventfdFlags, eventfd};

use super::command::{Answer, Body};
use crate::error::{Error, Result};
use crate::shared::{Shared, lock};
use crate::{pause, snapshot};

/// What may take long.
pub(super) enum Job {
    Pause,
    Resume,
    Snapshot(PathBuf),
}

/// Answers that are there, with the numbers of the clients that wait for them.
pub(super) struct Answers {
    answers: Mutex<Vec<(u64, Answer)>>,
    /// An event: there is one.
    pub(super) ready: OwnedFd,
}

impl Answers {
    /// Makes the place where they come in.
    ///
    /// # Errors
    ///
    /// Fails where the operating system does.
    pub(super) fn new() -> Result<Arc<Self>> {
        let ready = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC);
        let ready = ready.map_err(Error::system("make an event"))?;
        Ok(Arc::new(Self { answers: Mutex::default(), ready }))
    }

    pub(super) fn take(&self) -> Vec<(u64, Answer)> {
        let _ = rustix::io::read(&self.ready, &mut [0; 8]);
        std::mem::take(&mut *lock(&self.answers))
    }

    fn put(&self, client: u64, answer: Answer) {
        lock(&self.answers).push((client, answer));
        self.wake();
    }

    /// Wakes who waits for answers.
    pub(super) fn wake(&self) {
        let _ = rustix::io::write(&self.ready, &1_u64.to_ne_bytes());
    }
}

/// Does what is asked for until nobody can ask any more.
pub(super) fn work(shared: &Shared, jobs: &Receiver<(u64, Job)>, answers: &Answers) {
    for (client, job) in jobs {
        answers.put(client, serve(shared, &job).into());
    }
}

fn serve(shared: &Shared, job: &Job) -> Result<Body> {
    match job {
        Job::Pause => pause::pause(shared)?,
        Job::Resume => pause::resume(shared),
        Job::Snapshot(path) if shared.pause.is_still() => snapshot::save(shared, path)?,
        Job::Snapshot(path) => {
            pause::pause(shared)?;
            let saved = snapshot::save(shared, path);
            pause::resume(shared);
            saved?;
        }
    }
    Ok(Body::Done {})
}
