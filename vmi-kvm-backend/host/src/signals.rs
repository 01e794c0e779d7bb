//! Signals: every one that would end or stop the process is heard by the event loop instead, which does so in order.
//!
//! The rule is by what a signal does by default, not a list of those that come to mind: a signal that nobody hears would
//! leave the terminal as the guest had it.

// UNSAFETY: asks for signals by system call: the C library keeps two real-time signals back, which end a process too.
#![expect(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use libc::c_int;

use crate::error::{Error, Result};

/// The last signal.
const LAST: c_int = 64;
/// The bytes of a set of signals, as the kernel takes them.
const SET_BYTES: usize = size_of::<u64>();

/// Signals that do nothing by default.
const HARMLESS: [c_int; 3] = [libc::SIGCHLD, libc::SIGURG, libc::SIGWINCH];
/// Signals that nobody can hear.
const UNHEARD: [c_int; 2] = [libc::SIGKILL, libc::SIGSTOP];
/// Signals that say that the process has gone wrong, where it has: the kernel kills it if they are held back. Those
/// are for [`terminal`](crate::terminal).
pub(crate) const FAULTS: [c_int; 7] =
    [libc::SIGILL, libc::SIGTRAP, libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGSEGV, libc::SIGSYS];
/// Signals that stop the process by default, and can be heard.
const STOPS: [c_int; 3] = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

/// The signals that are heard now.
static HEARD: AtomicU64 = AtomicU64::new(0);

/// What a signal that was heard asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wish {
    /// To end.
    End,
    /// To stop until the process is continued.
    Stop,
    /// Nothing: it was continued.
    Continued,
}

impl Wish {
    /// Returns what a signal asks for by default.
    pub(crate) fn of(signal: c_int) -> Self {
        match signal {
            libc::SIGCONT => Self::Continued,
            _ if STOPS.contains(&signal) => Self::Stop,
            _ => Self::End,
        }
    }
}

/// Signals that are heard and do nothing else. How it was before is put back when this is dropped.
#[derive(Debug)]
#[must_use = "signals are no longer heard when this is dropped"]
pub struct Signals {
    before: u64,
}

impl Signals {
    /// Has all signals whose default ends or stops the process, and the one that continues it, arrive at the returned
    /// `signalfd` and nowhere else. Those that are ignored stay so, as `nohup` and shells have it. To be called on the
    /// thread that then runs the machine, before any other is started, for threads inherit it.
    ///
    /// # Errors
    ///
    /// Fails where the operating system does.
    pub fn take() -> Result<(Self, OwnedFd)> {
        let heard = set((1..=LAST).filter(|signal| is_heard(*signal) && !is_ignored(*signal)));
        let before = mask(libc::SIG_BLOCK, heard).map_err(Error::system("hold signals back"))?;
        HEARD.store(heard, Ordering::SeqCst);
        let signals = Self { before };
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        // SAFETY: the set lives through the call and has the size that is named; -1 asks for a new descriptor.
        let number = unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const heard, SET_BYTES, flags) };
        let number = checked(number).map_err(Error::system("hear signals"))?;
        // SAFETY: the descriptor was just made and nobody else has it.
        Ok((signals, unsafe { OwnedFd::from_raw_fd(number as c_int) }))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        HEARD.store(0, Ordering::SeqCst);
        let _ = mask(libc::SIG_SETMASK, self.before);
    }
}

/// Has a signal reach this thread, and those that it starts, whatever who started the process held back.
pub(crate) fn let_through(signal: c_int) {
    let _ = mask(libc::SIG_UNBLOCK, set([signal]));
}

/// Has this thread leave signals to where they are heard. A thread inherits that, but for the two that the C library
/// keeps back, which glibc lets go in the thread that starts another and in the one that is started.
pub(crate) fn leave_to_main() {
    let _ = mask(libc::SIG_BLOCK, HEARD.load(Ordering::SeqCst));
}

/// Stops the process by a signal that is heard, as it would have been stopped if it were not; returns once it is
/// continued. A process that nobody could continue, because its group has no parent in the session, is not stopped.
pub(crate) fn stop_by(signal: c_int) {
    // SAFETY: sends this thread a signal that is held back.
    unsafe { libc::raise(signal) };
    if let Ok(before) = mask(libc::SIG_UNBLOCK, set([signal])) {
        let _ = mask(libc::SIG_SETMASK, before);
    }
}

fn is_heard(signal: c_int) -> bool {
    ![&HARMLESS[..], &UNHEARD, &FAULTS].concat().contains(&signal)
}

fn is_ignored(signal: c_int) -> bool {
    // SAFETY: an action of zeros is one.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: nothing is set, and the action that is returned lives through the call. The library refuses to tell of
    // its own signals, which are not ignored.
    let told = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    told == 0 && action.sa_sigaction == libc::SIG_IGN
}

fn set(signals: impl IntoIterator<Item = c_int>) -> u64 {
    signals.into_iter().fold(0, |set, signal| set | 1 << (signal - 1))
}

/// Changes which signals are held back from this thread; returns those that were.
fn mask(how: c_int, signals: u64) -> io::Result<u64> {
    let mut before = 0_u64;
    // SAFETY: both sets live through the call and have the size that is named. The signals that the library keeps back
    // are those of `pthread_cancel` and of changing the user, neither of which is done here.
    let result = unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, how, &raw const signals, &raw mut before, SET_BYTES)
    };
    checked(result).map(|_| before)
}

fn checked(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: signal(7), "Standard signals", and "Real-time signals": the default action of each.
    #[test]
    fn a_signal_is_heard_if_its_default_ends_or_stops_the_process() {
        let ends = (1..=LAST).filter(|signal| is_heard(*signal) && Wish::of(*signal) == Wish::End);
        let core: Vec<c_int> = ends.clone().filter(|signal| *signal < 32).collect();
        // Written as numbers: those of x86.
        assert_eq!(core, [1, 2, 3, 10, 12, 13, 14, 15, 16, 24, 25, 26, 27, 29, 30]);
        assert!(ends.filter(|signal| *signal >= 32).eq(32..=64), "all real-time signals");
        let stops: Vec<c_int> = (1..=LAST).filter(|signal| Wish::of(*signal) == Wish::Stop).collect();
        assert_eq!(stops, [20, 21, 22]);
        assert!(stops.into_iter().all(is_heard));
        assert!(is_heard(18) && Wish::of(18) == Wish::Continued);
        let not: Vec<c_int> = (1..=LAST).filter(|signal| !is_heard(*signal)).collect();
        assert_eq!(not, [4, 5, 6, 7, 8, 9, 11, 17, 19, 23, 28, 31]);
    }

    #[test]
    fn what_gets_a_cpu_out_of_the_guest_is_let_through_whoever_held_it_back() {
        let kick = set([libc::SIGURG]);
        mask(libc::SIG_BLOCK, kick).unwrap();
        crate::vcpu::install_handler().unwrap();
        assert_eq!(mask(libc::SIG_BLOCK, 0).unwrap() & kick, 0);
    }

    #[test]
    fn what_is_ignored_stays_so_and_what_was_held_back_is_put_back() {
        let held_back = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
            u64::from_str_radix(line.trim(), 16).unwrap()
        };
        let before = held_back();
        let (signals, _descriptor) = Signals::take().unwrap();
        let heard = held_back();
        assert_eq!(heard & set([libc::SIGPIPE]), 0, "Rust ignores it");
        // A shell has more of them ignored where the tests run in the background.
        let all = set((1..=LAST).filter(|signal| is_heard(*signal) && !is_ignored(*signal)));
        assert_eq!(heard, before | all);
        let thread = std::thread::spawn(move || {
            leave_to_main();
            held_back()
        });
        assert_eq!(thread.join().unwrap(), heard);
        drop(signals);
        assert_eq!(held_back(), before);
    }
}
