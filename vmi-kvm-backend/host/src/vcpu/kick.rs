//! Getting a thread out of the guest: by a signal that does nothing but interrupt.

// UNSAFETY: none of its own; the handler runs between any two instructions and so may do nothing.
use libc::{c_int, c_void, siginfo_t};
use vmm_sys_util::signal::{SIGRTMIN, register_signal_handler};

use crate::error::{Error, Result};

/// Returns the signal.
pub(super) fn signal() -> c_int {
    SIGRTMIN()
}

extern "C" fn nothing(_: c_int, _: *mut siginfo_t, _: *mut c_void) {}

/// Has the signal interrupt and not kill.
///
/// # Errors
///
/// Fails where the operating system does.
pub(crate) fn install_handler() -> Result<()> {
    register_signal_handler(signal(), nothing).map_err(Error::system("install a signal handler"))
}
