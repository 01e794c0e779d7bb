//! The main thread of a run: waits for its end, for input, for signals, and for its time to be up.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use event_manager::{EventManager, EventOps, EventSet, Events, MutEventSubscriber, SubscriberOps};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vmm_sys_util::timerfd::TimerFd;

use crate::control::Listener;
use crate::ending::Ending;
use crate::error::{Error, Result};
use crate::shared::{Shared, lock};
use crate::signals::{self, Wish};
use crate::terminal::Terminal;
use crate::vcpu::{Vcpu, kick_thread};

/// How often input that there is no room for, or that cannot be waited for, is tried again.
const RETRY: Duration = Duration::from_millis(10);
/// How often a process in the background looks whether the terminal is its own by now.
const LOOK: Duration = Duration::from_millis(100);
/// How long output may take that was not written yet when the run was ended from outside.
const GRACE: Duration = Duration::from_millis(200);
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
const RETRIED: u32 = 3;
const TIME_UP: u32 = 4;

/// What a run hears from outside.
#[derive(Debug, Default)]
pub struct Outside {
    /// Input for the guest's console.
    pub input: Option<OwnedFd>,
    /// A `signalfd`: a signal that it tells of does what it would by default, but in order. It ends the run, or stops
    /// the process until that is continued.
    pub signals: Option<OwnedFd>,
    /// The terminal that the input is, which the guest is given.
    pub terminal: Option<Terminal>,
    /// Where commands come in.
    pub control: Option<Listener>,
}

/// Who waits on the main thread.
pub(crate) struct Watcher {
    manager: EventManager<Watch>,
    shared: Arc<Shared>,
}

impl Watcher {
    /// Begins to listen, and gives the terminal to the guest; its time begins.
    ///
    /// # Errors
    ///
    /// Fails where the operating system does.
    pub(crate) fn new(shared: &Arc<Shared>, outside: Outside, limit: Option<Duration>) -> Result<Self> {
        let mut manager = EventManager::new().map_err(failed)?;
        manager.add_subscriber(Watch::new(Arc::clone(shared), outside, limit)?);
        Ok(Self { manager, shared: Arc::clone(shared) })
    }

    /// Waits until the run is over.
    ///
    /// # Errors
    ///
    /// Fails where the operating system does.
    pub(crate) fn wait(&mut self) -> Result<()> {
        // The start of other threads has let some go.
        signals::leave_to_main();
        while !self.shared.is_over() {
            self.listen(None)?;
        }
        Ok(())
    }

    /// Waits until all output is written, as long as that takes; but for [`GRACE`] only when the run was or now is ended
    /// from outside. Returns how it was cut off then.
    ///
    /// # Errors
    ///
    /// Fails where the operating system does.
    pub(crate) fn wait_for_output(&mut self, writer: &JoinHandle<()>) -> Result<Option<Ending>> {
        let shared = Arc::clone(&self.shared);
        shared.console.close();
        let mut deadline = None;
        loop {
            // The writing that says that all is written comes behind that which said that the run is over.
            let _ = shared.over.read();
            if shared.console.is_done() {
                return Ok(None);
            }
            if deadline.is_none() && (shared.is_ended_from_outside() || shared.cut_off.get().is_some()) {
                deadline = Some(Instant::now() + GRACE);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            self.listen(left)?;
        }
        shared.console.give_up();
        // It may be in the middle of a system call, and in one that nothing interrupts.
        let deadline = Instant::now() + GRACE;
        while !shared.console.is_done() && Instant::now() < deadline {
            kick_thread(writer);
            thread::sleep(Duration::from_millis(1));
        }
        Ok(shared.cut_off.get().copied())
    }

    /// Waits for something to happen, so long at most.
    fn listen(&mut self, at_most: Option<Duration>) -> Result<()> {
        let milliseconds = at_most.map_or(-1, |at_most| at_most.as_millis() as i32 + 1);
        match self.manager.run_with_timeout(milliseconds) {
            Err(event_manager::Error::Epoll(error)) if error.errno() == libc::EINTR => Ok(()),
            result => result.map(drop).map_err(failed),
        }
    }
}

fn failed(error: event_manager::Error) -> Error {
    match error {
        event_manager::Error::Epoll(error) => Error::System { what: "wait for events", reason: error.into() },
        error => Error::System { what: "wait for events", reason: io::Error::other(error) },
    }
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
    terminal: Option<Terminal>,
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
        let Outside { input, signals, terminal, .. } = outside;
        // Without COM1 there is nobody to take input.
        let input = input.filter(|_| lock(&shared.devices).serial.is_some());
        Ok(Self { shared, input, signals, terminal, retry: timer()?, limit: limit.transpose()? })
    }

    /// Waits for input, or tries again later where it cannot be waited for: a file always has some.
    fn wait_for_input(&mut self, ops: &mut EventOps) {
        let Some(input) = &self.input else { return };
        if self.terminal.as_mut().is_some_and(|terminal| !terminal.take()) {
            return self.try_again(ops, LOOK);
        }
        if ops.add(Events::with_data(input, INPUT, EventSet::IN)).is_err() {
            let _ = self.retry.reset(RETRY, None);
        }
    }

    /// Passes input on. A lock that is held is left alone: signals must be heard, whatever a CPU does.
    fn take_input(&mut self, ops: &mut EventOps) {
        if self.terminal.as_mut().is_some_and(|terminal| !terminal.take()) {
            return self.try_again(ops, LOOK);
        }
        let shared = Arc::clone(&self.shared);
        let mut devices = match shared.devices.try_lock() {
            Ok(devices) => devices,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return self.try_again(ops, RETRY),
        };
        let (Some(input), Some(serial)) = (&self.input, &mut devices.serial) else { return };
        let room = serial.room().min(INPUT_MAX);
        if room == 0 {
            return self.try_again(ops, RETRY);
        }
        // A terminal that became ours this moment has not been waited for.
        if !has_input(input) {
            return self.try_again(ops, RETRY);
        }
        let mut bytes = [0; INPUT_MAX];
        match rustix::io::read(input, &mut bytes[..room]) {
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            // Somebody else has the terminal since.
            Err(rustix::io::Errno::IO) if self.terminal.is_some() => self.try_again(ops, LOOK),
            Ok(read) if read != 0 => serial.input(&bytes[..read]),
            // Nothing more will come.
            _ => {
                let _ = ops.remove(Events::empty(input));
                self.input = None;
            }
        }
    }

    /// Does not wait for input for a while.
    fn try_again(&mut self, ops: &mut EventOps, pause: Duration) {
        if let Some(input) = &self.input {
            // Not waited for so far is fine too.
            let _ = ops.remove(Events::empty(input));
        }
        let _ = self.retry.reset(pause, None);
    }

    fn take_signal(&mut self, ops: &mut EventOps) {
        let Some(signals) = &self.signals else { return };
        let mut bytes = [0; SIGNAL_BYTES];
        if let Ok(SIGNAL_BYTES) = rustix::io::read(signals.as_fd(), &mut bytes) {
            let number = i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            match Wish::of(number) {
                Wish::End => self.shared.end_from_outside(Ending::Signal(number)),
                Wish::Stop => {
                    if let Some(terminal) = &mut self.terminal {
                        terminal.give_back();
                    }
                    signals::stop_by(number);
                    self.go_on(ops);
                }
                Wish::Continued => self.go_on(ops),
            }
        }
    }

    /// Goes on after the process was stopped.
    fn go_on(&mut self, ops: &mut EventOps) {
        if let Some(terminal) = &mut self.terminal {
            terminal.take_again();
        }
        if let Some(input) = &self.input {
            let _ = ops.remove(Events::empty(input));
        }
        self.wait_for_input(ops);
    }
}

/// Tells whether reading would not wait.
fn has_input(input: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(input, PollFlags::IN)];
    poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready != 0)
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
        self.wait_for_input(ops);
    }

    fn process(&mut self, events: Events, ops: &mut EventOps) {
        match events.data() {
            INPUT => self.take_input(ops),
            SIGNALS => self.take_signal(ops),
            RETRIED => {
                // Not read: it may have been started anew since, and then reading waits.
                let _ = self.retry.clear();
                self.wait_for_input(ops);
                self.take_input_if_polled(ops);
            }
            TIME_UP => {
                if let Some(limit) = &mut self.limit {
                    let _ = limit.clear();
                }
                self.shared.end_from_outside(Ending::TimeLimit);
            }
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
    fn reading_never_waits() {
        let (reader, mut writer) = io::pipe().unwrap();
        let reader = OwnedFd::from(reader);
        assert!(!has_input(&reader));
        io::Write::write_all(&mut writer, b"x").unwrap();
        assert!(has_input(&reader));
        rustix::io::read(&reader, &mut [0; 1]).unwrap();
        assert!(!has_input(&reader));
        drop(writer);
        assert!(has_input(&reader), "the end is something to be read");
        assert!(has_input(&tempfile::tempfile().unwrap().into()), "as is that of a file");
    }

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
