//! The terminal: given to the guest, and put back whatever happens.
//!
//! "Whatever" is the end of the run, an error, a panic, and every signal that ends a process and can be caught. What
//! cannot be caught (`SIGKILL`) leaves the terminal as it was then; nothing can be done about that.

// UNSAFETY: restores the terminal from within signal handlers.
#![expect(unsafe_code)]

use std::io::{self, IsTerminal};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::OnceLock;

use libc::{c_int, c_void, siginfo_t};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use vmm_sys_util::signal::{block_signal, create_sigset, register_signal_handler};

use crate::error::{Error, Result};

/// Signals that end a run in order, each by the event loop.
const ENDING: [c_int; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];
/// Signals that end the process at once, for it has gone wrong.
const FATAL: [c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGSYS];

/// How the terminal was, for handlers that can be called at any time.
static BEFORE: OnceLock<Termios> = OnceLock::new();

/// The terminal while the guest has it: keys go through one by one, unseen and unchanged. Ctrl-C still ends the run,
/// and the other keys that send signals do nothing of the kind.
#[derive(Debug)]
#[must_use = "the terminal is put back when this is dropped"]
pub struct Raw(());

impl Raw {
    /// Gives the terminal to the guest; does nothing where the input is none.
    ///
    /// # Errors
    ///
    /// Fails where the terminal does.
    pub fn take() -> Result<Option<Self>> {
        let input = io::stdin();
        if !input.is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(&input).map_err(Error::system("read the terminal's mode"))?;
        let before = BEFORE.get_or_init(|| before);
        for signal in FATAL {
            register_signal_handler(signal, restore_and_die)
                .map_err(Error::system("install a signal handler"))?;
        }
        let ordinary = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            ordinary(info);
        }));
        let mut raw = before.clone();
        raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN);
        // The guest's keys; Ctrl-C alone is ours.
        for key in [
            SpecialCodeIndex::VSUSP,
            SpecialCodeIndex::VQUIT,
            SpecialCodeIndex::VSTART,
            SpecialCodeIndex::VSTOP,
        ] {
            raw.special_codes[key] = 0;
        }
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        let raw_mode = tcsetattr(&input, OptionalActions::Now, &raw);
        raw_mode.map_err(Error::system("set the terminal's mode"))?;
        Ok(Some(Self(())))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the terminal back. One system call, which may be made in a signal handler.
fn restore() {
    if let Some(before) = BEFORE.get() {
        // SAFETY: descriptor 0 is open or not; a wrong one is refused.
        let input = unsafe { std::os::fd::BorrowedFd::borrow_raw(0) };
        let _ = tcsetattr(input, OptionalActions::Now, before);
    }
}

extern "C" fn restore_and_die(signal: c_int, _: *mut siginfo_t, _: *mut c_void) {
    restore();
    // SAFETY: both may be called in a handler; the signal, pending again, ends the process once the handler returns.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: as above.
    unsafe { libc::raise(signal) };
}

/// Has the signals that end a run arrive at the returned descriptor, and nowhere else. To be called before any thread
/// is started, for threads inherit it.
///
/// # Errors
///
/// Fails where the operating system does.
pub fn take_signals() -> Result<OwnedFd> {
    for signal in ENDING {
        block_signal(signal).map_err(|error| Error::System {
            what: "block a signal",
            reason: io::Error::other(format!("{error:?}")),
        })?;
    }
    let signals = create_sigset(&ENDING).map_err(Error::system("name the signals"))?;
    // SAFETY: the set is initialised, and -1 asks for a new descriptor.
    let descriptor =
        unsafe { libc::signalfd(-1, &raw const signals, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if descriptor < 0 {
        return Err(Error::System { what: "wait for signals", reason: io::Error::last_os_error() });
    }
    // SAFETY: the descriptor was just made and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
