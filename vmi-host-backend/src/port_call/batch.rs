//! A batch while it is put together, and its answers.

// UNSAFETY: hands a block to the host.
#![expect(unsafe_code)]

use core::{marker::PhantomData, mem, sync::atomic::Ordering::Relaxed};

use vmi_abi::port_call::{
    Call, Features, Header, HeaderFlags, LINE_BYTES_MAX, MAGIC, Number, PAGE_BYTES, Status, Version,
    block_bytes,
};

use super::{Caller, Error};

/// Calls that are made together. Dropped, none of them is made.
#[derive(Debug)]
#[must_use = "calls are made by `send` or `post`"]
pub struct Batch<'a> {
    caller: &'a Caller,
    calls: usize,
    data: usize,
    /// It belongs to the CPU that began it.
    not_send: PhantomData<*const ()>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(caller: &'a Caller) -> Result<Self, Error> {
        let batch = || Self { caller, calls: 0, data: 0, not_send: PhantomData };
        caller.view.take().then(batch).ok_or(Error::Busy)
    }

    /// Returns how many calls the batch has.
    pub fn len(&self) -> usize {
        self.calls
    }

    /// Tells whether the batch has no call.
    pub fn is_empty(&self) -> bool {
        self.calls == 0
    }

    /// Adds a line of the console, at most 1024 bytes; the host ends it.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] where the line is, or where the lines of this batch are more than a block has room for;
    /// [`Error::Full`], [`Error::Absent`].
    pub fn console_line(&mut self, line: &[u8]) -> Result<(), Error> {
        if line.len() > LINE_BYTES_MAX {
            return Err(Error::TooLong(line.len()));
        }
        let place = self.reserve(line)?;
        // SAFETY: the bytes are the block's own.
        unsafe { self.push(Call::new(Number::CONSOLE_LINE, place, line.len() as u64)) }
    }

    /// Adds a question for the time of day.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Absent`].
    pub fn wall_clock(&mut self) -> Result<(), Error> {
        // SAFETY: the call names no memory.
        unsafe { self.push(Call::new(Number::WALL_CLOCK, 0, 0)) }
    }

    /// Adds a mark for the host's accounting.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Absent`].
    pub fn trace_mark(&mut self, mark: u64, value: u64) -> Result<(), Error> {
        // SAFETY: the call names no memory.
        unsafe { self.push(Call::new(Number::TRACE_MARK, mark, value)) }
    }

    /// Adds any call. Of a number that this crate does not know the host is the judge.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Absent`].
    ///
    /// # Safety
    ///
    /// - Memory that the call names is the kernel's to give, and what the call does is what the kernel wants.
    pub unsafe fn push(&mut self, call: Call) -> Result<(), Error> {
        self.caller.demand(Number(call.number).needs().unwrap_or(Features::empty()))?;
        if self.calls == self.caller.announced.calls_max(&self.caller.view) {
            return Err(Error::Full(self.calls));
        }
        self.caller.view.put_call(self.calls, &call);
        self.calls += 1;
        Ok(())
    }

    /// Puts bytes into the block; returns their physical address.
    pub(super) fn reserve(&mut self, bytes: &[u8]) -> Result<u64, Error> {
        let view = &self.caller.view;
        let place = view.data[self.data..].get(..bytes.len()).ok_or(Error::TooLong(bytes.len()))?;
        for (place, byte) in place.iter().zip(bytes) {
            place.store(*byte, Relaxed);
        }
        let first = block_bytes(view.slots.len()) + self.data;
        self.data += bytes.len();
        Ok(u64::from(self.caller.page) * PAGE_BYTES + first as u64)
    }

    /// Makes the calls. One exit.
    ///
    /// # Errors
    ///
    /// [`Error::NotServed`], and [`Error::Refused`] of the whole batch. What single calls fail with is among the answers.
    pub fn send(self) -> Result<Answers<'a>, Error> {
        self.ask(&self.header(Status::ASKED))?;
        Ok(Answers { batch: self })
    }

    /// Makes the calls as [`send`](Self::send) does, and lets the host give the batch back when it has gone through some, so
    /// that interrupts are taken in between. One exit, or one for every part; a host that knows no parts takes it whole.
    ///
    /// # Errors
    ///
    /// As of [`send`](Self::send), also when the host gets no further: calls of earlier parts were made then.
    pub fn send_in_parts(self) -> Result<Answers<'a>, Error> {
        if !self.caller.announced.knows_parts() {
            return self.send();
        }
        let mut header = Header { flags: HeaderFlags::PARTIAL.bits(), ..self.header(Status::ASKED) };
        loop {
            let before = header.done;
            self.ask(&header)?;
            header.done = self.caller.view.done();
            let ended = |done: u32| self.caller.view.call(done as usize - 1).number == Number::SHUTDOWN.0;
            if header.done == header.count {
                return Ok(Answers { batch: self });
            }
            if header.done <= before || header.done > header.count {
                return Err(Error::NotServed);
            }
            if ended(header.done) {
                return Ok(Answers { batch: self });
            }
        }
    }

    /// Has the host look at the batch.
    fn ask(&self, header: &Header) -> Result<(), Error> {
        let Caller { announced, view, page, out } = *self.caller;
        view.put_header(header);
        // SAFETY: the host announced the port; block and page belong together, by the promise of `open`, and whoever
        // pushed a call vouched for what it does.
        unsafe { out(announced.call_port(), page) };
        match view.answer() {
            Status::DONE => Ok(()),
            Status::ASKED => {
                view.withdraw();
                Err(Error::NotServed)
            }
            refusal => Err(Error::Refused(refusal)),
        }
    }

    /// Has the calls made soon, without an answer and without an exit to the host's user space. The block is busy until
    /// then. It must have been told to the host: [`Caller::accept_posts`].
    ///
    /// # Errors
    ///
    /// [`Error::Absent`].
    pub fn post(self) -> Result<(), Error> {
        self.caller.demand(Features::DOORBELL)?;
        let caller = self.caller;
        caller.view.put_header(&self.header(Status::POSTED));
        caller.view.leave_posted();
        mem::forget(self);
        caller.ring()
    }

    fn header(&self, status: Status) -> Header {
        Header {
            magic: MAGIC,
            version: Version::CURRENT.bits(),
            features: self.caller.features().bits(),
            count: self.calls as u32,
            status: status.0,
            ..Header::default()
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.caller.view.give_back();
    }
}

/// What the host answered. Holds the block until it is dropped.
#[derive(Debug)]
pub struct Answers<'a> {
    batch: Batch<'a>,
}

impl Answers<'_> {
    /// Returns how many calls were made.
    pub fn len(&self) -> usize {
        self.batch.calls
    }

    /// Tells whether no call was made.
    pub fn is_empty(&self) -> bool {
        self.batch.calls == 0
    }

    /// Returns what a call returned, or `None` where there was no such call. The values are the host's word.
    pub fn get(&self, index: usize) -> Option<Result<u64, Error>> {
        (index < self.batch.calls).then(|| {
            let call = self.batch.caller.view.call(index);
            match Status(call.status) {
                Status::DONE => Ok(call.result),
                Status::ASKED => Err(Error::NotServed),
                refusal => Err(Error::Refused(refusal)),
            }
        })
    }

    /// Returns all answers, in the order of the calls.
    pub fn iter(&self) -> impl Iterator<Item = Result<u64, Error>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Returns the first answer.
    pub(super) fn first(&self) -> Result<u64, Error> {
        self.get(0).unwrap_or(Err(Error::NotServed))
    }
}
