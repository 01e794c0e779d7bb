//! A guest's memory and a monitor's services that write down what is done with them.

use std::{
    cell::{Cell, RefCell},
    ops::Range,
};

use vmi_abi::port_call::{
    CALLS_MAX, Call, Features, Header, HeaderFlags, MAGIC, Number, Status, Version, block_bytes,
};

use super::{Exits, Fault, GuestRam, Services, Unable};
use crate::hostile::Numbers;

/// Where memory is: a piece from 0 on, one behind a hole, one in the last page that a call can name, and one that ends
/// where addresses end.
pub const PIECES: [(u64, usize); 4] =
    [(0, 0x8000), (0x1_0000, 0x2000), (0xfff_ffff_f000, 0x1000), (0xffff_ffff_ffff_e000, 0x2000)];

/// One access of a call's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    Read(u64, Vec<u8>),
    Write(u64, usize),
}

/// The memory. It may change on its own before every access, as another CPU of the guest would have it.
pub struct Ram {
    pieces: RefCell<[Vec<u8>; PIECES.len()]>,
    pub accesses: RefCell<Vec<Access>>,
    /// What changes how often in 256, and where.
    changing: RefCell<Option<(Numbers, u64, Range<u64>)>>,
}

impl Default for Ram {
    fn default() -> Self {
        Self {
            pieces: RefCell::new(PIECES.map(|(_, len)| vec![0; len])),
            accesses: RefCell::new(Vec::new()),
            changing: RefCell::new(None),
        }
    }
}

impl Ram {
    /// Finds the piece and the place in it. In 128 bits, so that nothing wraps: the yardstick of what calls by port
    /// checks in 64.
    fn place(address: u64, bytes: u64) -> Option<(usize, Range<usize>)> {
        let end = u128::from(address) + u128::from(bytes);
        PIECES
            .iter()
            .position(|&(start, len)| start <= address && end <= u128::from(start) + len as u128)
            .map(|piece| {
                let from = (address - PIECES[piece].0) as usize;
                (piece, from..from + bytes as usize)
            })
    }

    /// Puts everything back to zero.
    pub fn clear(&self) {
        self.pieces.borrow_mut().iter_mut().for_each(|piece| piece.fill(0));
        self.accesses.borrow_mut().clear();
        *self.changing.borrow_mut() = None;
    }

    /// Has memory in `range` change before accesses from now on.
    pub fn change(&self, numbers: Numbers, of_256: u64, range: Range<u64>) {
        *self.changing.borrow_mut() = Some((numbers, of_256, range));
    }

    /// The guest's own store; outside of memory it is lost.
    pub fn put(&self, address: u64, bytes: &[u8]) {
        if let Some((piece, place)) = Self::place(address, bytes.len() as u64) {
            self.pieces.borrow_mut()[piece][place].copy_from_slice(bytes);
        }
    }

    /// The guest's own load.
    pub fn get<const N: usize>(&self, address: u64) -> [u8; N] {
        let (piece, place) = Self::place(address, N as u64).expect("memory");
        self.pieces.borrow()[piece][place].try_into().expect("N bytes")
    }

    /// The guest's whole block: a header for these calls, and the calls.
    pub fn put_block(&self, block: u64, status: Status, calls: &[Call]) {
        let count = calls.len() as u32;
        self.put(block, &Header { count, status: status.0, ..header() }.to_bytes());
        for (index, call) in calls.iter().enumerate() {
            self.put(block + block_bytes(index) as u64, &call.to_bytes());
        }
    }

    #[cfg(test)]
    pub fn header_at(&self, block: u64) -> Header {
        Header::from_bytes(&self.get(block))
    }

    pub fn call_at(&self, block: u64, index: usize) -> Call {
        Call::from_bytes(&self.get(block + block_bytes(index) as u64))
    }

    fn before_access(&self) {
        let mut changing = self.changing.borrow_mut();
        let Some((numbers, of_256, range)) = changing.as_mut() else { return };
        if numbers.odds(*of_256) {
            let address = (range.start + numbers.below(range.end - range.start)) & !3;
            let any = numbers.next_u32();
            let word = numbers.pick(&[0, 1, 2, 3, 7, 512, u32::MAX, MAGIC, any]);
            self.put(address, &word.to_le_bytes());
        }
    }
}

/// Returns a header that asks by the call port, with every feature and no call.
pub fn header() -> Header {
    Header {
        magic: MAGIC,
        version: Version::CURRENT.bits(),
        features: Features::all().bits(),
        status: Status::ASKED.0,
        ..Header::default()
    }
}

impl GuestRam for Ram {
    fn contains(&self, address: u64, bytes: u64) -> bool {
        self.before_access();
        bytes == 0 || Self::place(address, bytes).is_some()
    }

    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Fault> {
        self.before_access();
        let fault = Fault { address, bytes: bytes.len() as u64 };
        let (piece, place) = match bytes.is_empty() {
            true => (0, 0..0),
            false => Self::place(address, fault.bytes).ok_or(fault)?,
        };
        bytes.copy_from_slice(&self.pieces.borrow()[piece][place]);
        self.accesses.borrow_mut().push(Access::Read(address, bytes.to_vec()));
        Ok(())
    }

    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.before_access();
        let fault = Fault { address, bytes: bytes.len() as u64 };
        if bytes.is_empty() {
            return Ok(());
        }
        let (piece, place) = Self::place(address, fault.bytes).ok_or(fault)?;
        self.pieces.borrow_mut()[piece][place].copy_from_slice(bytes);
        self.accesses.borrow_mut().push(Access::Write(address, bytes.len()));
        Ok(())
    }

    fn load(&self, address: u64) -> Result<u32, Fault> {
        self.before_access();
        let aligned = Self::place(address, 4).filter(|_| address.is_multiple_of(4));
        aligned.map(|_| u32::from_le_bytes(self.get(address))).ok_or(Fault { address, bytes: 4 })
    }

    fn store(&self, address: u64, value: u32) -> Result<(), Fault> {
        assert!(address.is_multiple_of(4));
        self.write(address, &value.to_le_bytes())
    }
}

/// What a service was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    Line(usize, Vec<u8>),
    Release(u64, u64),
    Clock,
    Shutdown(usize, u8),
    Exits(usize),
    Mark(usize, u64, u64),
}

/// Services that are only written down.
#[derive(Default)]
pub struct Notes {
    pub asked: RefCell<Vec<Service>>,
    /// Whether those services fail that can.
    pub fail: Cell<bool>,
}

/// What the clock of [`Notes`] shows.
pub const NOW_NS: u64 = 1_700_000_000_123_456_789;
/// The exits of vCPU 0 in [`Notes`].
pub const EXITS: Exits = Exits { of_vcpu: 77, of_all: 99 };

impl Notes {
    fn note(&self, service: Service) {
        self.asked.borrow_mut().push(service);
    }

    fn outcome<T>(&self, value: T) -> Result<T, Unable> {
        if self.fail.get() { Err(Unable) } else { Ok(value) }
    }

    pub fn take(&self) -> Vec<Service> {
        self.asked.take()
    }
}

impl Services for Notes {
    fn console_line(&self, vcpu: usize, line: &[u8]) -> Result<(), Unable> {
        self.note(Service::Line(vcpu, line.to_vec()));
        self.outcome(())
    }

    fn release_pages(&self, address: u64, bytes: u64) -> Result<(), Unable> {
        self.note(Service::Release(address, bytes));
        self.outcome(())
    }

    fn wall_clock_ns(&self) -> Result<u64, Unable> {
        self.note(Service::Clock);
        self.outcome(NOW_NS)
    }

    fn shutdown(&self, vcpu: usize, code: u8) {
        self.note(Service::Shutdown(vcpu, code));
    }

    fn exits(&self, vcpu: usize) -> Exits {
        self.note(Service::Exits(vcpu));
        EXITS
    }

    fn trace_mark(&self, vcpu: usize, mark: u64, value: u64) {
        self.note(Service::Mark(vcpu, mark, value));
    }
}

/// The most accesses that one batch may cost: the header's status, the header, `done` and the status; for each call a
/// copy, result, status, and one of its own.
const ACCESSES_MAX: usize = 4 + 4 * CALLS_MAX;

/// Holds what was done for the batch at `block`, which was to be `waiting`, against the rules; `asked` is what the services
/// were asked for.
///
/// # Panics
///
/// When a rule was broken.
pub fn judge(ram: &Ram, block: u64, waiting: Status, asked: &[Service]) {
    let accesses = ram.accesses.borrow();
    assert!(accesses.len() <= ACCESSES_MAX, "{} accesses", accesses.len());
    let own = u128::from(block)..u128::from(block) + block_bytes(CALLS_MAX) as u128;
    let mut named = None;
    let mut calls = 0;
    let mut line = None;
    // Where the call that was copied last wants statistics.
    let mut statistics = 0..0_u128;
    for access in accesses.iter() {
        match access {
            Access::Read(address, bytes) if named.is_none() => {
                assert_eq!(*address, block, "the header comes first");
                let header = Header::from_bytes(bytes.as_slice().try_into().expect("a header"));
                named = Some(Features::from_bits_retain(header.features));
                if header.flags == HeaderFlags::PARTIAL.bits() && waiting == Status::ASKED {
                    calls = header.done as usize;
                }
            }
            Access::Read(address, bytes) if line.take() == Some((*address, bytes.len() as u64)) => {}
            Access::Read(address, bytes) => {
                assert_eq!(*address, block + block_bytes(calls) as u64, "each call is copied once, in order");
                let call = Call::from_bytes(bytes.as_slice().try_into().expect("a call"));
                calls += 1;
                let number = Number(call.number);
                let serves = number == Number::CONSOLE_LINE
                    && named.is_some_and(|named| named.contains(Features::CONSOLE))
                    && call.a1 <= 1024
                    && (call.a1 == 0 || Ram::place(call.a0, call.a1).is_some());
                line = serves.then_some((call.a0, call.a1));
                let len = if number == Number::STATISTICS { call.a1.min(80) } else { 0 };
                statistics = u128::from(call.a0)..u128::from(call.a0) + u128::from(len);
            }
            Access::Write(address, bytes) => {
                let (from, to) = (u128::from(*address), u128::from(*address) + *bytes as u128);
                let inside = |range: &Range<u128>| range.start <= from && to <= range.end;
                assert!(inside(&own) || inside(&statistics), "a write of {bytes} bytes at {address:#x}");
            }
        }
    }
    assert!(asked.len() <= calls, "more services than calls");
    judge_services(&accesses, named.unwrap_or_default(), asked);
}

/// Holds what the services were asked for against the rules.
fn judge_services(accesses: &[Access], named: Features, asked: &[Service]) {
    for (at, service) in asked.iter().enumerate() {
        let needs = match service {
            Service::Line(_, line) => {
                let read = |access: &Access| matches!(access, Access::Read(_, bytes) if bytes == line);
                assert!(
                    line.len() <= 1024 && accesses.iter().any(read),
                    "a line that the guest did not have"
                );
                Features::CONSOLE
            }
            Service::Release(address, bytes) => {
                assert!(address % 4096 == 0 && bytes % 4096 == 0 && *bytes > 0, "{address:#x}, {bytes:#x}");
                assert!(Ram::place(*address, *bytes).is_some(), "{address:#x}, {bytes:#x} is not memory");
                Features::RELEASE
            }
            Service::Clock => Features::WALL_CLOCK,
            Service::Shutdown(..) => {
                assert_eq!(at + 1, asked.len(), "the batch went on behind the end");
                Features::SHUTDOWN
            }
            Service::Exits(_) => Features::STATISTICS,
            Service::Mark(..) => Features::TRACE_MARK,
        };
        assert!(named.contains(needs), "{service:?} without its feature");
    }
}
