//! The main thread of a run: waits for its end, for input, for signals, and for its time to be up.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, TryLockError};
use std::time::{Duration, Instant};
use std::{io, thread};

use event_manager::{EventManager, EventOps, EventSet, Events, MutEventSubscriber, SubscriberOps};
use vmm_sys_util::timerfd::TimerFd;

use crate::ending::Ending;
use crate::error::{Error, Result};
use crate::shared::{Shared, lock};
use crate::vcpu::Vcpu;

/// How often input that there is no room for, or that cannot be waited for, is tried again.
const RETRY: Duration = Duration::from_millis(10);
/// How long a busy lock is left to the thread that has it.
const BUSY: Duration = Duration::from_millis(1);
/// How long KVM may take to get a CPU out of the guest.
const PATIENCE: Duration = Duration::from_secs(3);
/// The most input taken at once.
const INPUT_MAX: usize = 64;
/// The bytes of a `signalfd_siginfo`; the first four are the signal's number.
const SIGNAL_BYTES: usize = 128;

/// What an event is about.
const OVER: u32 = 0;
const INPUT: u32 = 1;
const SIGNALS: u32 = 2;
const CONSOLE: u32 = 3;
const RETRIED: u32 = 4;
const TIME_UP: u32 = 5;

/// What a run hears from outside.
#[derive(Debug, Default)]
pub struct Outside {
    /// Input for the guest's console.
    pub input: Option<OwnedFd>,
    /// A `signalfd`: any signal that it tells of ends the run.
    pub signals: Option<OwnedFd>,
}

/// Waits until the run is over.
///
/// # Errors
///
/// Fails where the operating system does.
pub(crate) fn run(shared: &Arc<Shared>, outside: Outside, limit: Option<Duration>) -> Result<()> {
    let failed = |error| match error {
        event_manager::Error::Epoll(error) => Error::System { what: "wait for events", reason: error.into() },
        error => Error::System { what: "wait for events", reason: io::Error::other(error) },
    };
    let mut manager = EventManager::<Watch>::new().map_err(failed)?;
    manager.add_subscriber(Watch::new(Arc::clone(shared), outside, limit)?);
    while !shared.is_over() {
        match manager.run() {
            Err(event_manager::Error::Epoll(error)) if error.errno() == libc::EINTR => {}
            result => drop(result.map_err(failed)?),
        }
    }
    Ok(())
}

/// Gets every CPU out of the guest.
///
/// # Errors
///
/// Names a CPU that KVM does not let go.
pub(crate) fn stop(cpus: &[Vcpu]) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut wait = Duration::from_micros(50);
    while let Some(cpu) = cpus.iter().find(|cpu| !cpu.is_finished()) {
        if Instant::now() > deadline {
            return Err(Error::KvmStuck(cpu.number));
        }
        cpus.iter().filter(|cpu| !cpu.is_finished()).for_each(Vcpu::kick);
        thread::sleep(wait);
        wait = (wait * 2).min(RETRY);
    }
    Ok(())
}

/// Everything that is waited for.
struct Watch {
    shared: Arc<Shared>,
    input: Option<OwnedFd>,
    signals: Option<OwnedFd>,
    /// Armed while input is not waited for but tried again.
    retry: TimerFd,
    limit: Option<TimerFd>,
}

impl Watch {
    fn new(shared: Arc<Shared>, outside: Outside, limit: Option<Duration>) -> Result<Self> {
        let timer = || TimerFd::new().map_err(Error::system("make a timer"));
        let limit = limit.map(|limit| -> Result<TimerFd> {
            let mut timer = timer()?;
            // A timer of zero is one that is off.
            let limit = limit.max(Duration::from_nanos(1));
            timer.reset(limit, None).map_err(Error::system("start a timer"))?;
            Ok(timer)
        });
        let Outside { input, signals } = outside;
        // Without COM1 there is nobody to take input.
        let input = input.filter(|_| lock(&shared.devices).serial.is_some());
        Ok(Self { shared, input, signals, retry: timer()?, limit: limit.transpose()? })
    }

    /// Waits for input, or tries again later where it cannot be waited for: a file always has some.
    fn wait_for_input(&mut self, ops: &mut EventOps) {
        let Some(input) = &self.input else { return };
        if ops.add(Events::with_data(input, INPUT, EventSet::IN)).is_err() {
            let _ = self.retry.reset(RETRY, None);
        }
    }

    /// Passes input on. Locks that are held are left alone: a thread that waits for its console to be read holds
    /// them, and signals must be heard all the same.
    fn take_input(&mut self, ops: &mut EventOps) {
        let shared = Arc::clone(&self.shared);
        let mut devices = match shared.devices.try_lock() {
            Ok(devices) => devices,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return self.try_later(ops),
        };
        let (Some(input), Some(serial)) = (&self.input, &mut devices.serial) else { return };
        let room = serial.room().min(INPUT_MAX);
        if room == 0 {
            return self.try_later(ops);
        }
        let mut bytes = [0; INPUT_MAX];
        match rustix::io::read(input, &mut bytes[..room]) {
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Ok(read) if read != 0 => serial.input(&bytes[..read]),
            // Nothing more will come.
            _ => {
                let _ = ops.remove(Events::empty(input));
                self.input = None;
            }
        }
    }

    /// Does not wait for input for a moment.
    fn try_later(&mut self, ops: &mut EventOps) {
        if let Some(input) = &self.input {
            // Not waited for so far is fine too.
            let _ = ops.remove(Events::empty(input));
        }
        let _ = self.retry.reset(RETRY, None);
    }

    fn take_signal(&mut self) {
        let Some(signals) = &self.signals else { return };
        let mut bytes = [0; SIGNAL_BYTES];
        if let Ok(SIGNAL_BYTES) = rustix::io::read(signals.as_fd(), &mut bytes) {
            let number = i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            self.shared.end(Ok(Ending::Signal(number)));
        }
    }
}

impl MutEventSubscriber for Watch {
    fn init(&mut self, ops: &mut EventOps) {
        // Descriptors of these kinds can be waited for, and each is added once.
        let mut add = |events| drop(ops.add(events));
        add(Events::with_data(&self.shared.over, OVER, EventSet::IN));
        add(Events::with_data(&self.retry, RETRIED, EventSet::IN));
        if let Some(signals) = &self.signals {
            add(Events::with_data(signals, SIGNALS, EventSet::IN));
        }
        if let Some(limit) = &self.limit {
            add(Events::with_data(limit, TIME_UP, EventSet::IN));
        }
        if let Some(timer) = lock(&self.shared.console).timer() {
            add(Events::with_data_raw(timer.as_raw_fd(), CONSOLE, EventSet::IN));
        }
        self.wait_for_input(ops);
    }

    fn process(&mut self, events: Events, ops: &mut EventOps) {
        match events.data() {
            INPUT => self.take_input(ops),
            SIGNALS => self.take_signal(),
            CONSOLE => match self.shared.console.try_lock() {
                Ok(mut console) => console.time_is_up(),
                // Whoever has it writes, and sends what has waited.
                Err(_) => thread::sleep(BUSY),
            },
            RETRIED => {
                let _ = self.retry.wait();
                self.wait_for_input(ops);
                self.take_input_if_polled(ops);
            }
            TIME_UP => self.shared.end(Ok(Ending::TimeLimit)),
            _ => {}
        }
    }
}

impl Watch {
    /// Takes input that cannot be waited for.
    fn take_input_if_polled(&mut self, ops: &mut EventOps) {
        if self.retry.is_armed().unwrap_or(false) {
            self.take_input(ops);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kvm_that_never_returns_is_given_up_by_name_and_in_time() {
        crate::vcpu::install_handler().unwrap();
        let ended = Vcpu::of_thread(0, thread::spawn(|| ()));
        let stuck = Vcpu::of_thread(
            1,
            thread::spawn(|| {
                loop {
                    thread::park()
                }
            }),
        );
        let start = Instant::now();
        let error = stop(&[ended, stuck]).unwrap_err().to_string();
        assert_eq!(error, "KVM never returned from running CPU 1, so the guest was given up");
        assert!(start.elapsed() < PATIENCE * 2, "{:?}", start.elapsed());
    }
}
