//! The terminal: given to the guest, and put back whatever happens.
//!
//! "Whatever" is the end of the run, an error, a panic, and every signal that ends or stops a process and can be caught.
//! What cannot be caught (`SIGKILL`, `SIGSTOP`) leaves the terminal as it was then; nothing can be done about that.
//!
//! The guest has the terminal only while the process is in the terminal's foreground. In the background it belongs to
//! somebody else, whose modes and input are left alone.

// UNSAFETY: restores the terminal from within signal handlers.
#![expect(unsafe_code)]

use std::io::{self, IsTerminal};
use std::os::fd::BorrowedFd;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Once, OnceLock};

use libc::{c_int, c_void, sigaction, siginfo_t};
use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
};

use crate::confinement;
use crate::error::{Error, Result};
use crate::signals::FAULTS;

/// How the terminal was while the guest has it, for handlers that can be called at any time. What it points to is never
/// freed: a handler may be looking at it.
static BEFORE: AtomicPtr<Termios> = AtomicPtr::new(null_mut());

/// What was done about each of [`FAULTS`] before.
static ACTIONS: [OnceLock<sigaction>; FAULTS.len()] = [const { OnceLock::new() }; FAULTS.len()];

/// A panic puts the terminal back, too.
static HOOK: Once = Once::new();

/// The terminal that is the input. While the guest has it, keys go through one by one, unseen and unchanged. Ctrl-C
/// still ends the run, and the other keys that send signals do nothing of the kind.
#[derive(Debug)]
#[must_use = "the terminal is put back when this is dropped"]
pub struct Terminal(());

impl Terminal {
    /// Returns the terminal that is the input, which is not touched yet, or nothing where the input is none.
    ///
    /// # Errors
    ///
    /// Fails where the operating system does.
    pub fn of_input() -> Result<Option<Self>> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        // A system call that is not allowed puts the terminal back by itself.
        let is_mine = |(signal, _): &(c_int, _)| *signal != libc::SIGSYS || !confinement::is_entered();
        for (signal, before) in FAULTS.into_iter().zip(&ACTIONS).filter(is_mine) {
            let previous = handle(signal).map_err(Error::system("install a signal handler"))?;
            let _ = before.set(previous);
        }
        // A guest that starts again is given the terminal again.
        HOOK.call_once(|| {
            let ordinary = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                ordinary(info);
            }));
        });
        Ok(Some(Self(())))
    }

    /// Gives the terminal to the guest, or leaves it there, if it is ours to give; tells whether it is.
    pub(crate) fn take(&mut self) -> bool {
        if !is_ours() {
            // Whoever has the terminal now has set it as he likes.
            BEFORE.store(null_mut(), Ordering::SeqCst);
            return false;
        }
        self.is_taken() || self.set()
    }

    /// Gives the terminal to the guest after the process was stopped: others may have set it since.
    pub(crate) fn take_again(&mut self) -> bool {
        is_ours() && self.set()
    }

    /// Puts the terminal back.
    pub(crate) fn give_back(&mut self) {
        restore();
        BEFORE.store(null_mut(), Ordering::SeqCst);
    }

    fn is_taken(&self) -> bool {
        !BEFORE.load(Ordering::SeqCst).is_null()
    }

    fn set(&mut self) -> bool {
        let input = io::stdin();
        let Ok(now) = tcgetattr(&input) else { return false };
        let raw = raw(&now);
        if !self.is_taken() {
            BEFORE.store(Box::leak(Box::new(now)), Ordering::SeqCst);
        }
        tcsetattr(&input, OptionalActions::Now, &raw).is_ok()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.give_back();
    }
}

fn raw(before: &Termios) -> Termios {
    let mut raw = before.clone();
    raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN);
    // The guest's keys; Ctrl-C alone is ours.
    for key in
        [SpecialCodeIndex::VSUSP, SpecialCodeIndex::VQUIT, SpecialCodeIndex::VSTART, SpecialCodeIndex::VSTOP]
    {
        raw.special_codes[key] = 0;
    }
    raw.special_codes[SpecialCodeIndex::VMIN] = 1;
    raw.special_codes[SpecialCodeIndex::VTIME] = 0;
    raw
}

fn input() -> BorrowedFd<'static> {
    // SAFETY: nobody closes descriptor 0, which Rust opens where it is not.
    unsafe { BorrowedFd::borrow_raw(0) }
}

/// Tells whether the process is in the terminal's foreground. Where the terminal is not that of the session, there is
/// no such thing, and it is anybody's.
fn is_ours() -> bool {
    match tcgetpgrp(input()) {
        Ok(group) => group == getpgrp(),
        Err(error) => error == Errno::NOTTY,
    }
}

/// Puts the terminal back, if the guest has it. System calls alone, which may be made in a signal handler.
pub(crate) fn restore() {
    // SAFETY: null, or points to modes that are never freed or changed.
    let before = unsafe { BEFORE.load(Ordering::SeqCst).as_ref() };
    if let Some(before) = before.filter(|_| is_ours()) {
        let _ = tcsetattr(input(), OptionalActions::Now, before);
    }
}

/// Has a signal put the terminal back first; returns what was done about it before.
fn handle(signal: c_int) -> io::Result<sigaction> {
    // SAFETY: an action of zeros is one.
    let mut action: sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = restore_and_go_on as extern "C" fn(_, _, _) as usize;
    // On a stack of its own: the other one may be what is full.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: an action of zeros is one.
    let mut before: sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: both actions live through the call, and the handler does what handlers may.
    let set = unsafe { libc::sigaction(signal, &raw const action, &raw mut before) };
    if set == 0 { Ok(before) } else { Err(io::Error::last_os_error()) }
}

/// Puts the terminal back, and goes the way that leads to without this handler.
extern "C" fn restore_and_go_on(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
    restore();
    // SAFETY: the kernel hands a handler of this kind what it says of the signal.
    let is_fault = unsafe { (*info).si_code } > 0;
    let before = FAULTS.into_iter().zip(&ACTIONS).find(|(fault, _)| *fault == signal);
    // An instruction that faulted does so again when the handler returns, and then Rust tells of a full stack.
    if is_fault
        && [libc::SIGSEGV, libc::SIGBUS].contains(&signal)
        && let Some(before) = before.and_then(|(_, before)| before.get())
    {
        // SAFETY: may be called in a handler; the action is one that was in force.
        unsafe { libc::sigaction(signal, before, null_mut()) };
        return;
    }
    // SAFETY: both may be called in a handler; the signal, pending again, ends the process once the handler returns.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: as above.
    unsafe { libc::raise(signal) };
}
