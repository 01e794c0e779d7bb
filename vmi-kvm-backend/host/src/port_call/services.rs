//! What calls by port have others do.

use thiserror::Error;

/// A service that cannot be given now; the guest is told no more than that.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the service cannot be given")]
pub struct Unable;

/// Exits to user space, the one being served included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exits {
    /// Of one vCPU.
    pub of_vcpu: u64,
    /// Of all.
    pub of_all: u64,
}

/// What the machine's monitor can do. Called with arguments that are checked, from the thread of the vCPU that asks,
/// or from the one that serves the doorbell; every vCPU may call at once.
pub trait Services {
    /// Prints a line, at most [`LINE_BYTES_MAX`](vmi_abi::port_call::LINE_BYTES_MAX) bytes of any kind, and ends it.
    ///
    /// # Errors
    ///
    /// Where the console does not take it.
    fn console_line(&self, vcpu: usize, line: &[u8]) -> Result<(), Unable>;

    /// Gives back whole pages, all of them guest memory, so that they read as zeros when next touched.
    ///
    /// # Errors
    ///
    /// Where the operating system does not take them.
    fn release_pages(&self, address: u64, bytes: u64) -> Result<(), Unable>;

    /// Returns nanoseconds since 1970-01-01 00:00 UTC.
    ///
    /// # Errors
    ///
    /// Where there is no such clock.
    fn wall_clock_ns(&self) -> Result<u64, Unable>;

    /// Ends the machine with this code; the vCPU is not to run on.
    fn shutdown(&self, vcpu: usize, code: u8);

    /// Returns the exits so far.
    fn exits(&self, vcpu: usize) -> Exits;

    /// Notes a mark of the guest's, and the value that goes along.
    fn trace_mark(&self, vcpu: usize, mark: u64, value: u64);
}
