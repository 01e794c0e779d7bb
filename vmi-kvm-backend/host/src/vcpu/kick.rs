//! Getting a thread out of the guest: by a signal that does nothing but interrupt.

use std::thread::JoinHandle;

use libc::{c_int, c_void, siginfo_t};
use vmm_sys_util::signal::{Killable, register_signal_handler};

use crate::error::{Error, Result};
use crate::signals;

/// One that does nothing by default: whoever sends another one from outside means something by it, a real-time signal
/// too, which is therefore not taken.
const SIGNAL: c_int = libc::SIGURG;

/// Interrupts a thread.
pub(crate) fn kick_thread(thread: &JoinHandle<()>) {
    // Refused only where the thread has ended.
    let _ = thread.kill(SIGNAL);
}

extern "C" fn nothing(_: c_int, _: *mut siginfo_t, _: *mut c_void) {}

/// Has the signal interrupt and not kill this thread and those that it starts.
///
/// # Errors
///
/// Fails where the operating system does.
pub(crate) fn install_handler() -> Result<()> {
    signals::let_through(SIGNAL);
    register_signal_handler(SIGNAL, nothing).map_err(Error::system("install a signal handler"))
}
