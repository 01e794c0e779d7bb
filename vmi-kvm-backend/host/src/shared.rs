//! What the threads of a run share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vmm_sys_util::eventfd::EventFd;

use crate::devices::{Console, Devices};
use crate::ending::Ending;
use crate::error::Result;
use crate::memory::Memory;

/// What the threads of a run share.
pub(crate) struct Shared {
    /// Set when the run is over.
    pub(crate) stop: Arc<AtomicBool>,
    /// Written when the run is over.
    pub(crate) over: EventFd,
    pub(crate) memory: Memory,
    pub(crate) console: Arc<Mutex<Console>>,
    pub(crate) devices: Mutex<Devices>,
    outcome: Mutex<Option<Result<Ending>>>,
}

impl Shared {
    /// Makes what the threads share.
    pub(crate) fn new(
        stop: Arc<AtomicBool>,
        over: EventFd,
        memory: Memory,
        console: Arc<Mutex<Console>>,
        devices: Devices,
    ) -> Self {
        Self { stop, over, memory, console, devices: Mutex::new(devices), outcome: Mutex::new(None) }
    }

    /// Ends the run, unless it is over already: the first reason counts.
    pub(crate) fn end(&self, outcome: Result<Ending>) {
        lock(&self.outcome).get_or_insert(outcome);
        self.stop.store(true, Ordering::SeqCst);
        // A counter that cannot take one more is not 0, which is all that matters.
        let _ = self.over.write(1);
    }

    /// Tells whether the run is over.
    pub(crate) fn is_over(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Takes the reason for which the run is over.
    pub(crate) fn outcome(&self) -> Option<Result<Ending>> {
        lock(&self.outcome).take()
    }
}

/// Locks, also where a thread panicked while it held the lock: the program ends then anyway.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
