//! What becomes of a system call that a thread may not make: a sentence, and the end of the process.

// UNSAFETY: a signal handler, which the kernel calls in place of the system call.
#![expect(unsafe_code)]

use std::fmt::Write as _;
use std::io;

use libc::{c_int, c_void, siginfo_t};
use syscalls::Sysno;

use crate::ending::Ending;
use crate::error::{Error, Result};
use crate::{signals, terminal};

/// Has the process end with a sentence where a thread makes a system call that it may not.
pub(super) fn tell_of_it() -> Result<()> {
    signals::let_through(libc::SIGSYS);
    // SAFETY: an action of zeros is one.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = tell_and_end as extern "C" fn(_, _, _) as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the action lives through the call, and the handler does what handlers may.
    let set = unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) };
    if set != 0 {
        return Err(Error::system("install a signal handler")(io::Error::last_os_error()));
    }
    Ok(())
}

/// A line that is made without an allocation.
struct Line {
    bytes: [u8; 256],
    length: usize,
}

impl std::fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = self.bytes.get_mut(self.length..self.length + text.len()).ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}

/// Makes only system calls that every thread may make.
extern "C" fn tell_and_end(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
    terminal::restore();
    // SAFETY: the kernel hands a handler of this kind what it says of the signal.
    if unsafe { (*info).si_code } <= 0 {
        // Somebody has sent it, who means what it does by default: pending again, it does so once the handler returns.
        // SAFETY: may be called in a handler.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        // SAFETY: as above.
        unsafe { libc::raise(signal) };
        return;
    }
    // The call's number stands behind its address in what the kernel says of SIGSYS (sigaction(2), "si_syscall").
    const CALL: usize = 24;
    // SAFETY: the kernel hands a handler of this kind what it says of the signal, which is 128 bytes.
    let call = unsafe { info.cast::<u8>().wrapping_add(CALL).cast::<c_int>().read_unaligned() };
    let mut name = [0_u8; 16];
    // SAFETY: writes at most 16 bytes, the last of them 0.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    let thread = name.split(|byte| *byte == 0).next().and_then(|name| std::str::from_utf8(name).ok());
    let (thread, call_name) =
        (thread.unwrap_or("?"), Sysno::new(call as usize).map_or("unknown", |call| call.name()));
    let mut line = Line { bytes: [0; 256], length: 0 };
    let _ = writeln!(
        line,
        "vmi-run: the thread `{thread}` may not make the system call {call} ({call_name}); --no-seccomp lets it"
    );
    // SAFETY: the bytes live through the call; what it returns changes nothing any more.
    unsafe { libc::write(2, line.bytes.as_ptr().cast(), line.length) };
    // SAFETY: ends the process, and does nothing else.
    unsafe { libc::_exit(Ending::FAILED.into()) };
}
