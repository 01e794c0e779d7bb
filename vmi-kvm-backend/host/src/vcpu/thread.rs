//! The thread that runs a CPU.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use kvm_ioctls::VcpuFd;

use super::{exits, kick};
use crate::confinement::{self, Role};
use crate::error::{Error, Result};
use crate::pins::Pins;
use crate::shared::{EndsByPanic, Shared};
use crate::signals;

/// The stack of a CPU's thread: it serves exits, and tells its state for a snapshot.
const STACK: usize = 512 << 10;

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
    fn start(number: usize, fd: VcpuFd, pins: Pins, shared: Arc<Shared>) -> Result<Self> {
        let held = confinement::held();
        Self::spawn(number, shared, move |shared| {
            // A mark that a CPU sets has it read what the kernel counted up to there.
            let role = if shared.book.is_detailed() { Role::Start } else { Role::Cpu };
            match pins.pin(number).and_then(|()| confinement::narrow_from(held, role)) {
                Ok(()) => exits::run(number, fd, shared),
                Err(error) => shared.end(Err(error)),
            }
        })
    }

    /// Starts all CPUs. Where one cannot be started the run is over, and those that were are left to be stopped.
    pub(crate) fn start_all(fds: Vec<VcpuFd>, pins: &Pins, shared: &Arc<Shared>) -> Vec<Self> {
        let starts = fds.into_iter().enumerate();
        let start = |(number, fd)| Self::start(number, fd, pins.clone(), Arc::clone(shared));
        until_one_fails(shared, starts.map(start))
    }

    fn spawn(
        number: usize,
        shared: Arc<Shared>,
        body: impl FnOnce(&Shared) + Send + 'static,
    ) -> Result<Self> {
        let thread = Builder::new().name(format!("cpu-{number}")).stack_size(STACK);
        let thread = thread.spawn(move || {
            let _ends = EndsByPanic(&shared);
            signals::leave_to_main();
            body(&shared);
        });
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

/// Takes what was started up to the first failure, which ends the run.
fn until_one_fails<T>(shared: &Shared, starts: impl Iterator<Item = Result<T>>) -> Vec<T> {
    let started = starts.map_while(|start| start.map_err(|error| shared.end(Err(error))).ok());
    started.collect()
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;
    use crate::{events, vcpu};

    fn until_over(shared: &Shared) {
        while !shared.is_over() {
            sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_cpu_that_cannot_be_started_stops_the_others() {
        vcpu::install_handler().unwrap();
        let shared = Shared::of_no_guest(3);
        let starts = (0..3).map(|number| match number {
            2 => Err(Error::Option("no thread".to_owned())),
            _ => Vcpu::spawn(number, Arc::clone(&shared), until_over),
        });
        let cpus = until_one_fails(&shared, starts);
        assert_eq!(cpus.len(), 2);
        events::stop(&cpus).unwrap();
        assert_eq!(shared.outcome().unwrap().unwrap_err().to_string(), "no thread");
    }

    #[test]
    fn a_cpu_whose_thread_panics_ends_the_run() {
        let shared = Shared::of_no_guest(2);
        let cpus = [
            Vcpu::spawn(0, Arc::clone(&shared), until_over).unwrap(),
            Vcpu::spawn(1, Arc::clone(&shared), |_| panic!("on purpose")).unwrap(),
        ];
        until_over(&shared);
        events::stop(&cpus).unwrap();
        let error = shared.outcome().unwrap().unwrap_err().to_string();
        assert!(error.starts_with("the thread `cpu-1` panicked"), "{error}");
    }
}
