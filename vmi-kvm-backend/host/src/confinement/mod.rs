//! Least privilege: no thread may ask the kernel for more than its work takes.
//!
//! From its first look at an image on, the process can gain no privilege any more and open few files. When everything is
//! open, before the guest runs, every thread is held to the system calls that its work takes. What a guest that breaks out
//! can do is what is left: `filters` has it all.

// UNSAFETY: tells the C library how many arenas to have.

#[allow(dead_code, reason = "the build script and the tests read all of it")]
mod filters;
mod violation;

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::set_no_new_privs;

use seccompiler::sock_filter;

pub(crate) use filters::Role;

use crate::error::{Error, Result};

/// The most files that a process may have open: two for each of the most CPUs, and what else there is.
const FILES: u64 = 1024;

thread_local! {
    /// What this thread is held to.
    static HELD: Cell<Option<Role>> = const { Cell::new(None) };
}

/// The process is confined.
static IS_ENTERED: AtomicBool = AtomicBool::new(false);

/// Confines the process to what it takes to start and run guests, for good: from the first run of a machine on, the thread
/// that runs it, and those that this starts, make the system calls only that it takes. To be called before there are other
/// threads.
///
/// A system call beyond that ends the process with a sentence and [`Ending::FAILED`](crate::Ending::FAILED).
///
/// # Errors
///
/// Fails where the operating system does.
pub fn enter() -> Result<()> {
    let files = Rlimit { current: Some(FILES), maximum: Some(FILES) };
    // Where there may be fewer already, that stays.
    if getrlimit(Resource::Nofile).maximum.is_none_or(|most| most > FILES) {
        setrlimit(Resource::Nofile, files).map_err(Error::system("limit how many files may be open"))?;
    }
    limit_arenas();
    set_no_new_privs(true).map_err(Error::system("give up gaining privileges"))?;
    violation::tell_of_it()?;
    IS_ENTERED.store(true, Ordering::SeqCst);
    Ok(())
}

/// Has glibc's allocator make do with as many arenas as it makes without a look at a file of the machine's CPUs, which
/// threads may not open. Source: mallopt(3), "M_ARENA_MAX".
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "a call of the C library")]
fn limit_arenas() {
    const ARENAS: libc::c_int = 4;
    // SAFETY: sets a parameter, and there are no other threads.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, ARENAS) };
}

#[cfg(not(target_env = "gnu"))]
fn limit_arenas() {}

/// Tells what the calling thread is held to, for a thread that it starts.
pub(crate) fn held() -> Option<Role> {
    HELD.get()
}

/// Confines this thread as [`narrow`] does, unless it was held to that by who started it.
///
/// # Errors
///
/// Fails as [`narrow`] does.
pub(crate) fn narrow_from(inherited: Option<Role>, role: Role) -> Result<()> {
    HELD.set(inherited);
    narrow(role)
}

/// Tells whether the process is confined.
pub(crate) fn is_entered() -> bool {
    IS_ENTERED.load(Ordering::SeqCst)
}

/// Confines this thread, and those that it starts, to what its work takes, if the process is confined; once a role.
///
/// # Errors
///
/// Fails where the kernel refuses a filter.
pub(crate) fn narrow(role: Role) -> Result<()> {
    if !is_entered() || HELD.get() == Some(role) {
        return Ok(());
    }
    seccompiler::apply_filter(filter(role)).map_err(|error| Error::Confinement(error.to_string()))?;
    HELD.set(Some(role));
    Ok(())
}

include!(concat!(env!("OUT_DIR"), "/filter.rs"));

#[cfg(test)]
mod tests;
