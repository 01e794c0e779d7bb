//! The calls, one by one: arguments are judged, then a service does it.

use std::ops::ControlFlow;

use vmi_abi::port_call::{Call, Features, LINE_BYTES_MAX, Number, OFF, PAGE_BYTES, Statistics, Status};

use super::{GuestRam, PortCalls, Services, Unable};

/// Who calls, and what serves him.
pub(super) struct Caller<'a, R, S> {
    pub(super) port_calls: &'a PortCalls,
    pub(super) ram: &'a R,
    pub(super) services: &'a S,
    pub(super) vcpu: usize,
    /// What the header of the batch names.
    pub(super) features: Features,
}

impl From<Unable> for Status {
    fn from(Unable: Unable) -> Self {
        Self::FAILED
    }
}

impl<R: GuestRam, S: Services> Caller<'_, R, S> {
    /// Answers a call: its status, its result, and whether the batch goes on.
    pub(super) fn answer(&self, call: &Call) -> (Status, u64, ControlFlow<()>) {
        let number = Number(call.number);
        match self.admit(number).and_then(|()| self.serve(number, call.a0, call.a1)) {
            Ok(result) if number == Number::SHUTDOWN => (Status::DONE, result, ControlFlow::Break(())),
            Ok(result) => (Status::DONE, result, ControlFlow::Continue(())),
            Err(status) => (status, 0, ControlFlow::Continue(())),
        }
    }

    /// Judges the number.
    fn admit(&self, number: Number) -> Result<(), Status> {
        let needs = number.needs().ok_or(Status::UNKNOWN_CALL)?;
        if !self.features.contains(needs) {
            return Err(Status::NOT_NEGOTIATED);
        }
        self.port_calls.refusal(number).map_or(Ok(()), Err)
    }

    fn serve(&self, number: Number, a0: u64, a1: u64) -> Result<u64, Status> {
        match number {
            Number::CONSOLE_LINE => self.console_line(a0, a1),
            Number::RELEASE_PAGES => self.release_pages(a0, a1),
            Number::WALL_CLOCK => {
                absent([a0, a1])?;
                Ok(self.services.wall_clock_ns()?)
            }
            Number::SHUTDOWN => {
                absent([a1])?;
                let code = u8::try_from(a0).map_err(|_| Status::INVALID)?;
                self.services.shutdown(self.vcpu, code);
                Ok(0)
            }
            Number::STATISTICS => self.statistics(a0, a1),
            Number::TRACE_MARK => {
                self.services.trace_mark(self.vcpu, a0, a1);
                self.port_calls.counters.trace_marks.add(1);
                Ok(0)
            }
            Number::POST_BLOCK => {
                absent([a1])?;
                self.post_block(a0)
            }
            _ => Err(Status::UNKNOWN_CALL),
        }
    }

    fn console_line(&self, address: u64, bytes: u64) -> Result<u64, Status> {
        let mut line = [0; LINE_BYTES_MAX];
        let line =
            usize::try_from(bytes).ok().and_then(|bytes| line.get_mut(..bytes)).ok_or(Status::TOO_LONG)?;
        self.ram.read(address, line).map_err(|_| Status::FAULT)?;
        self.services.console_line(self.vcpu, line)?;
        self.port_calls.counters.lines.add(1);
        Ok(0)
    }

    fn release_pages(&self, address: u64, bytes: u64) -> Result<u64, Status> {
        let whole = address.is_multiple_of(PAGE_BYTES) && bytes.is_multiple_of(PAGE_BYTES);
        if !whole || bytes == 0 {
            return Err(Status::INVALID);
        }
        if !self.ram.contains(address, bytes) {
            return Err(Status::FAULT);
        }
        self.services.release_pages(address, bytes)?;
        self.port_calls.counters.released_bytes.add(bytes);
        Ok(0)
    }

    fn statistics(&self, address: u64, bytes: u64) -> Result<u64, Status> {
        let counts = self.port_calls.statistics(self.services.exits(self.vcpu)).to_bytes();
        let wanted = usize::try_from(bytes).map_or(counts.len(), |bytes| bytes.min(counts.len()));
        self.ram.write(address, &counts[..wanted]).map_err(|_| Status::FAULT)?;
        Ok(size_of::<Statistics>() as u64)
    }

    fn post_block(&self, address: u64) -> Result<u64, Status> {
        let address = if address == OFF { 0 } else { address };
        if !address.is_multiple_of(PAGE_BYTES) {
            return Err(Status::INVALID);
        }
        if address != 0 && !self.ram.contains(address, PAGE_BYTES) {
            return Err(Status::FAULT);
        }
        if self.port_calls.post_block(self.vcpu, address) { Ok(0) } else { Err(Status::FAILED) }
    }
}

/// Demands that arguments which a call does not have are 0.
fn absent<const N: usize>(arguments: [u64; N]) -> Result<(), Status> {
    if arguments == [0; N] { Ok(()) } else { Err(Status::INVALID) }
}
