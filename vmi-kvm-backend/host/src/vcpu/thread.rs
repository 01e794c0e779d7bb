//! The thread that runs a CPU.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use kvm_ioctls::VcpuFd;

use super::{exits, kick};
use crate::error::{Error, Result};
use crate::shared::Shared;

/// The stack of a CPU's thread: it serves exits and nothing else.
const STACK: usize = 256 << 10;

/// A CPU that runs.
pub(crate) struct Vcpu {
    /// Its number.
    pub(crate) number: usize,
    thread: JoinHandle<()>,
}

impl Vcpu {
    /// Starts a CPU.
    ///
    /// # Errors
    ///
    /// Fails where there is no thread to be had.
    pub(crate) fn start(number: usize, fd: VcpuFd, shared: Arc<Shared>) -> Result<Self> {
        let thread = Builder::new().name(format!("cpu-{number}")).stack_size(STACK);
        let thread = thread.spawn(move || exits::run(number, fd, &shared));
        Ok(Self { number, thread: thread.map_err(Error::system("start a thread"))? })
    }

    /// A CPU whose thread does something else.
    #[cfg(test)]
    pub(crate) fn of_thread(number: usize, thread: JoinHandle<()>) -> Self {
        Self { number, thread }
    }

    /// Tells whether it has left the guest for good.
    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Interrupts it. A kick between its last look around and its entry into the guest is lost, so callers kick
    /// again.
    pub(crate) fn kick(&self) {
        kick::kick_thread(&self.thread);
    }
}
