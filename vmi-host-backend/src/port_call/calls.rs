//! The calls one by one.

// UNSAFETY: offers a call that takes memory away, and rings the doorbell.
#![expect(unsafe_code)]

use core::sync::atomic::Ordering::Relaxed;

use vmi_abi::port_call::{Call, Features, Number, PAGE_BYTES, Statistics};

use super::{Announced, Batch, Error, announced::Out, block::View};

/// One CPU's way to the host: its block, and the ports. A copy is the same way.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    pub(super) announced: Announced,
    pub(super) view: View,
    pub(super) page: u32,
    pub(super) out: Out,
}

impl Caller {
    /// Returns what can be asked for.
    pub fn features(&self) -> Features {
        self.announced.features()
    }

    /// Starts a batch.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`].
    pub fn batch(&self) -> Result<Batch<'_>, Error> {
        Batch::new(self)
    }

    /// Prints a line, at most 1024 bytes; the host ends it. One exit.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`], and whatever a batch can fail with.
    pub fn console_line(&self, line: &[u8]) -> Result<(), Error> {
        let mut batch = self.batch()?;
        batch.console_line(line)?;
        batch.send()?.first().map(drop)
    }

    /// Returns nanoseconds since 1970-01-01 00:00 UTC. One exit.
    ///
    /// # Errors
    ///
    /// Whatever a batch can fail with.
    pub fn wall_clock_ns(&self) -> Result<u64, Error> {
        let mut batch = self.batch()?;
        batch.wall_clock()?;
        batch.send()?.first()
    }

    /// Ends the machine with this code, 0 for success. Comes back only with an error.
    ///
    /// # Errors
    ///
    /// [`Error::NotServed`] where the host says it did so and did not, and whatever a batch can fail with.
    pub fn shutdown(&self, code: u8) -> Result<core::convert::Infallible, Error> {
        let mut batch = self.batch()?;
        // SAFETY: the call names no memory.
        unsafe { batch.push(Call::new(Number::SHUTDOWN, code.into(), 0)) }?;
        batch.send()?.first()?;
        Err(Error::NotServed)
    }

    /// Sets a mark in the host's accounting. One exit.
    ///
    /// # Errors
    ///
    /// Whatever a batch can fail with.
    pub fn trace_mark(&self, mark: u64, value: u64) -> Result<(), Error> {
        let mut batch = self.batch()?;
        batch.trace_mark(mark, value)?;
        batch.send()?.first().map(drop)
    }

    /// Returns what the host counted; fields that it does not have are 0. One exit.
    ///
    /// # Errors
    ///
    /// Whatever a batch can fail with.
    pub fn statistics(&self) -> Result<Statistics, Error> {
        const BYTES: usize = size_of::<Statistics>();
        let mut batch = self.batch()?;
        let place = batch.reserve(&[0; BYTES])?;
        // SAFETY: the bytes are the block's own, reserved for this.
        unsafe { batch.push(Call::new(Number::STATISTICS, place, BYTES as u64)) }?;
        let answers = batch.send()?;
        answers.first()?;
        let mut bytes = [0; BYTES];
        for (byte, place) in bytes.iter_mut().zip(self.view.data) {
            *byte = place.load(Relaxed);
        }
        Ok(Statistics::from_bytes(&bytes))
    }

    /// Gives pages back to the host: `bytes` from physical address `address` on. They read as zeros when they are next
    /// touched. One exit.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] where these are not whole pages of memory, and whatever a batch can fail with.
    ///
    /// # Safety
    ///
    /// - The pages are memory of the kernel's whose contents nobody needs, now or later.
    pub unsafe fn release_pages(&self, address: u64, bytes: u64) -> Result<(), Error> {
        let mut batch = self.batch()?;
        // SAFETY: the caller's promise.
        unsafe { batch.push(Call::new(Number::RELEASE_PAGES, address, bytes)) }?;
        batch.send()?.first().map(drop)
    }

    /// Tells the host where this CPU's block is, so that batches can be [posted](Batch::post) from it. Called on the CPU
    /// whose block it is. One exit.
    ///
    /// This is a registration: before the memory serves for anything else, it has to be undone.
    ///
    /// # Errors
    ///
    /// Whatever a batch can fail with.
    pub fn accept_posts(&self) -> Result<(), Error> {
        self.post_block(u64::from(self.page) * PAGE_BYTES)
    }

    /// Undoes [`accept_posts`](Self::accept_posts), on the same CPU: the host looks at the block no more. One exit.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] as long as the host has a posted batch, and whatever a batch can fail with.
    pub fn refuse_posts(&self) -> Result<(), Error> {
        self.post_block(0)
    }

    fn post_block(&self, address: u64) -> Result<(), Error> {
        let mut batch = self.batch()?;
        // SAFETY: the block is the host's to write to, by the promise of `open`.
        unsafe { batch.push(Call::new(Number::POST_BLOCK, address, 0)) }?;
        batch.send()?.first().map(drop)
    }

    /// Rings the doorbell: the host looks at all posted blocks soon. No exit to the host's user space.
    ///
    /// # Errors
    ///
    /// [`Error::Absent`].
    pub fn ring(&self) -> Result<(), Error> {
        self.demand(Features::DOORBELL)?;
        // SAFETY: the host announced the port, and it only has posted blocks looked at, which are waiting for that.
        unsafe { (self.out)(self.announced.doorbell_port(), 0) };
        Ok(())
    }

    /// Demands that the host announces this.
    pub(super) fn demand(&self, features: Features) -> Result<(), Error> {
        if self.features().contains(features) { Ok(()) } else { Err(Error::Absent(features)) }
    }
}
