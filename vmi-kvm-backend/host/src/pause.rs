//! A guest that stands still: no CPU is in the guest and none has an exit half served, and nobody else touches memory.
//!
//! The lock here is held for moments only, never while anybody waits for output. While a pause is wanted nobody waits
//! for room in the console either, so that a reader who does not read holds up no pause.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kvm_ioctls::VcpuFd;

use crate::error::{Error, Result};
use crate::shared::{Shared, lock};

/// How long KVM may take to get the CPUs out of the guest.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long to wait for a CPU before it is kicked again: a kick just before its entry is lost.
const AGAIN: Duration = Duration::from_millis(1);

/// What a parked CPU's thread is asked to do: KVM answers for a CPU on its own thread soonest.
type Job<C> = Box<dyn FnOnce(&C) + Send>;

/// The place where CPUs are parked; `C` is what a CPU's thread has of its CPU.
pub(crate) struct Pause<C = VcpuFd> {
    /// Changed with the lock held, and read without by CPUs between two entries.
    is_wanted: AtomicBool,
    state: Mutex<State<C>>,
    changed: Condvar,
}

struct State<C> {
    /// By CPU.
    parked: Box<[bool]>,
    jobs: Box<[Option<Job<C>>]>,
    /// How many other threads touch memory.
    busy: usize,
}

impl<C> State<C> {
    fn is_still(&self) -> bool {
        self.busy == 0 && self.parked.iter().all(|parked| *parked)
    }
}

impl<C> Pause<C> {
    /// Has room for so many CPUs, none of which is to be parked.
    pub(crate) fn new(cpus: usize) -> Self {
        let state =
            State { parked: vec![false; cpus].into(), jobs: (0..cpus).map(|_| None).collect(), busy: 0 };
        Self { is_wanted: AtomicBool::new(false), state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Returns how many CPUs there are.
    pub(crate) fn cpus(&self) -> usize {
        lock(&self.state).parked.len()
    }

    /// Tells whether CPUs are to be parked.
    pub(crate) fn is_wanted(&self) -> bool {
        self.is_wanted.load(SeqCst)
    }

    /// Tells whether the guest stands still.
    pub(crate) fn is_still(&self) -> bool {
        let state = lock(&self.state);
        self.is_wanted() && state.is_still()
    }

    /// Parks a CPU, on its own thread, as long as a pause is wanted and the run is not over. Returns whether it was.
    pub(crate) fn park(&self, number: usize, cpu: &C, is_over: impl Fn() -> bool) -> bool {
        let mut state = lock(&self.state);
        if !self.is_wanted() {
            return false;
        }
        state.parked[number] = true;
        self.changed.notify_all();
        while self.is_wanted() && !is_over() {
            state = match state.jobs[number].take() {
                Some(job) => {
                    drop(state);
                    job(cpu);
                    lock(&self.state)
                }
                None => self.wait(state),
            };
        }
        state.parked[number] = false;
        // Who asked hears that nobody answers.
        state.jobs[number] = None;
        true
    }

    /// Touches memory, on a thread that is no CPU's, once no pause is wanted or the run is over.
    pub(crate) fn touch(&self, is_over: impl Fn() -> bool, touch: impl FnOnce()) {
        let mut state = lock(&self.state);
        while self.is_wanted() && !is_over() {
            state = self.wait(state);
        }
        state.busy += 1;
        drop(state);
        touch();
        lock(&self.state).busy -= 1;
        self.changed.notify_all();
    }

    /// Wants a pause, or none any more.
    fn want(&self, is_wanted: bool) {
        let state = lock(&self.state);
        self.is_wanted.store(is_wanted, SeqCst);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits a moment for all to be parked; returns the CPUs that are not, or none where there is somebody else.
    fn wait_still(&self) -> std::result::Result<(), Vec<usize>> {
        let state = lock(&self.state);
        let waited = self.changed.wait_timeout_while(state, AGAIN, |state| !state.is_still());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.is_still() {
            return Ok(());
        }
        Err((0..).zip(&state.parked).filter(|(_, parked)| !**parked).map(|(number, _)| number).collect())
    }

    /// Has a parked CPU's thread do something; the answer comes unless the CPU goes on before.
    fn ask<T: Send + 'static>(&self, cpu: usize, job: impl FnOnce(&C) -> T + Send + 'static) -> Receiver<T> {
        let (sender, receiver) = channel();
        let mut state = lock(&self.state);
        if state.parked.get(cpu) == Some(&true) {
            state.jobs[cpu] = Some(Box::new(move |cpu| drop(sender.send(job(cpu)))));
            self.changed.notify_all();
        }
        receiver
    }

    /// Has whoever is parked look whether the run is over.
    pub(crate) fn let_go(&self) {
        // Who looked before this lock is waiting, or has seen it.
        drop(lock(&self.state));
        self.changed.notify_all();
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<C>>) -> MutexGuard<'a, State<C>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has the guest stand still. To be called by one thread at a time, once the CPUs run.
///
/// # Errors
///
/// Names a CPU that KVM does not let go; the guest goes on then.
pub(crate) fn pause(shared: &Shared) -> Result<()> {
    shared.pause.want(true);
    shared.console.let_pass(true);
    let deadline = Instant::now() + PATIENCE;
    let result = loop {
        let running = match shared.pause.wait_still() {
            Ok(()) => break Ok(()),
            Err(running) => running,
        };
        if shared.is_over() {
            break Err(Error::RunOver);
        }
        if Instant::now() > deadline {
            break Err(running.first().map_or(Error::DoorbellStuck, |cpu| Error::KvmStuck(*cpu)));
        }
        let cpus = shared.cpus.get().map_or(&[][..], Vec::as_slice);
        running.iter().filter_map(|number| cpus.get(*number)).for_each(crate::vcpu::Vcpu::kick);
    };
    shared.console.let_pass(false);
    if result.is_err() {
        shared.pause.want(false);
    }
    result
}

/// Has the guest go on.
pub(crate) fn resume(shared: &Shared) {
    shared.pause.want(false);
}

/// Has the thread of a CPU that is parked do something, and waits for its answer.
///
/// # Errors
///
/// Fails where the guest goes on, or the run is over, before there is one.
pub(crate) fn on_cpu<T: Send + 'static>(
    shared: &Shared,
    cpu: usize,
    job: impl FnOnce(&VcpuFd) -> T + Send + 'static,
) -> Result<T> {
    shared.pause.ask(cpu, job).recv().map_err(|_| Error::RunOver)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;
    use std::thread;

    use super::*;

    fn until(is: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is() {
            assert!(Instant::now() < deadline);
            thread::sleep(AGAIN);
        }
    }

    #[test]
    fn nothing_moves_during_a_pause_and_everything_after_it() {
        let pause = Arc::new(Pause::<u64>::new(2));
        let (is_over, turns) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let start = |number: Option<usize>| {
            let (pause, is_over, turns) = (Arc::clone(&pause), Arc::clone(&is_over), Arc::clone(&turns));
            thread::spawn(move || {
                while !is_over.load(SeqCst) {
                    let turn = || {
                        turns.fetch_add(1, SeqCst);
                    };
                    match number {
                        Some(number) => {
                            turn();
                            pause.park(number, &(number as u64 + 40), || is_over.load(SeqCst));
                        }
                        None => pause.touch(|| is_over.load(SeqCst), turn),
                    }
                }
            })
        };
        let threads = [start(Some(0)), start(Some(1)), start(None)];
        for _ in 0..20 {
            pause.want(true);
            until(|| pause.is_still());
            let before = turns.load(SeqCst);
            assert_eq!([0, 1].map(|cpu| pause.ask(cpu, |cpu| cpu + 1).recv()), [Ok(41), Ok(42)]);
            thread::sleep(AGAIN);
            assert_eq!(turns.load(SeqCst), before);
            pause.want(false);
            assert!(!pause.is_still());
            until(|| turns.load(SeqCst) > before + 10);
        }
        pause.want(true);
        until(|| pause.is_still());
        is_over.store(true, SeqCst);
        pause.let_go();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(pause.ask(0, |_| ()).recv().is_err(), "nobody is there to answer");
    }

    #[test]
    fn who_does_not_stand_still_is_named() {
        let pause = Pause::<()>::new(2);
        pause.want(true);
        lock(&pause.state).parked[0] = true;
        assert_eq!(pause.wait_still(), Err(vec![1]));
        lock(&pause.state).parked[1] = true;
        assert_eq!(pause.wait_still(), Ok(()));
        lock(&pause.state).busy = 1;
        assert_eq!(pause.wait_still(), Err(vec![]));
    }
}
