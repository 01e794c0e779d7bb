//! Batches that no guest should send. The host refuses them, answers the next good one, and writes nowhere else.

// UNSAFETY: writes batches and ports by hand.
#![expect(unsafe_code)]

use core::sync::atomic::{Ordering::SeqCst, compiler_fence};

use vmi_abi::{
    Io,
    port_call::{
        Announcement, CALLS_MAX, Call, Features, Header, MAGIC, Number, Status, Version, block_bytes,
    },
};
use vmi_host_backend::port_call::Caller;
use vmi_native::Native;

use super::{Check, done, effect::soon, statistics};
use crate::kernel::{
    checks::PASSED,
    paging::Page,
    platform::machine,
    tally::{Failure, Verdict, equal, holds, present},
};

pub(super) const CHECKS: &[Check] = &[
    ("a wrong header is refused whole", wrong_headers),
    ("what is no batch is not answered", no_batches),
    ("random batches are answered", random_batches),
    ("a posted batch may change meanwhile", changing_batches),
    ("random writes to the ports do no harm", random_writes),
];

/// Random batches, and calls in each.
const BATCHES: usize = 500;
const CALLS: usize = 64;
/// Posted batches that change.
const ROUNDS: usize = 50;
/// Writes to ports.
const WRITES: u64 = 500;
/// No machine of ours has memory there.
const NOWHERE: u64 = 1 << 43;

/// A block written by hand; the last page is nobody's, and the host must leave it alone.
static ARENA: [Page; 6] = [const { Page::new() }; 6];
const GUARD: usize = 5;
const GUARD_WORD: u64 = 0x0123_4567_89ab_cdef;

/// Returns the address of the word of eight bytes at `at`.
fn word(at: usize) -> *mut u64 {
    assert!(at.is_multiple_of(8) && at < GUARD * 4096);
    ARENA[at / 4096].entry(at % 4096 / 8)
}

/// Writes a header or a call, each word of it at once, so that no argument is ever half one and half another.
fn write(at: usize, bytes: &[u8]) {
    for (index, bytes) in bytes.as_chunks().0.iter().enumerate() {
        // SAFETY: the word is in the arena, and nobody else's in this kernel.
        unsafe { word(at + 8 * index).write_volatile(u64::from_le_bytes(*bytes)) };
    }
    compiler_fence(SeqCst);
}

/// Reads a header or a call.
fn read<const N: usize>(at: usize) -> [u8; N] {
    compiler_fence(SeqCst);
    let mut bytes = [0; N];
    for (index, bytes) in bytes.as_chunks_mut().0.iter_mut().enumerate() {
        // SAFETY: as in `write`.
        *bytes = unsafe { word(at + 8 * index).read_volatile() }.to_le_bytes();
    }
    bytes
}

fn status() -> Status {
    Status(Header::from_bytes(&read(0)).status)
}

/// A header that asks by the call port.
fn header(count: usize) -> Header {
    Header {
        magic: MAGIC,
        version: Version::CURRENT.bits(),
        features: Features::all().bits(),
        count: count as u32,
        status: Status::ASKED.0,
        ..Header::default()
    }
}

fn announcement() -> Result<Announcement, Failure> {
    present("the interface is announced", Announcement::find(&machine()))
}

/// Sends the block.
fn send() -> Result<(), Failure> {
    let page = (ARENA[0].physical() / 4096) as u32;
    let port = announcement()?.call_port;
    compiler_fence(SeqCst);
    // SAFETY: the batch is the arena's, and its calls do no harm: see `call`.
    unsafe { <Native as Io>::out32(port, page) };
    compiler_fence(SeqCst);
    Ok(())
}

fn wrong_headers(_: &Caller) -> Verdict {
    let good = header(0);
    let mut reserved = good;
    reserved.zero[3] = 1;
    let cases = [
        (good, Status::DONE),
        (Header { version: 2 << 16, ..good }, Status::UNKNOWN_VERSION),
        (Header { version: 0, ..good }, Status::UNKNOWN_VERSION),
        (Header { features: u32::MAX, ..good }, Status::UNKNOWN_FEATURE),
        (reserved, Status::INVALID),
        (Header { count: CALLS_MAX as u32 + 1, ..good }, Status::TOO_LONG),
        (Header { count: u32::MAX, ..good }, Status::TOO_LONG),
    ];
    for (sent, expected) in cases {
        write(0, &sent.to_bytes());
        send()?;
        equal("status", status().0, expected.0)?;
    }
    write(0, &Header { features: 0, ..header(1) }.to_bytes());
    write(block_bytes(0), &Call::new(Number::TRACE_MARK, 0, 0).to_bytes());
    send()?;
    equal("call", Call::from_bytes(&read(block_bytes(0))).status, Status::NOT_NEGOTIATED.0)?;
    Ok(PASSED)
}

fn no_batches(host: &Caller) -> Verdict {
    let before = statistics(host)?;
    let asked = header(0);
    let cases = [
        Header { magic: 0, ..asked },
        Header { status: Status::IDLE.0, ..asked },
        Header { status: Status::POSTED.0, ..asked },
        Header { status: Status::DONE.0, ..asked },
    ];
    for sent in cases {
        write(0, &sent.to_bytes());
        send()?;
        holds("the header is as it was", Header::from_bytes(&read(0)) == sent)?;
    }
    let after = statistics(host)?;
    equal("refused", after.refused - before.refused, cases.len() as u64)?;
    equal("batches", after.batches - before.batches, 1_u64)?;
    Ok(PASSED)
}

/// Numbers that look random: xorshift, from Marsaglia, "Xorshift RNGs".
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[(self.next() % choices.len() as u64) as usize]
    }
}

/// Returns a call that the host must refuse, or that does nothing but count: it names no memory of the kernel's.
fn call(numbers: &mut Numbers) -> Call {
    let random = numbers.next();
    let outside = match random % 3 {
        0 => NOWHERE | random >> 21,
        1 => u64::MAX - random % 4096,
        _ => random | 1 << 63,
    };
    let length = numbers.pick(&[1, 79, 80, 1024, 1025, 4096, u64::MAX, 1 << 63, random | 1]);
    let (number, a0, a1) = match random >> 32 & 7 {
        0 => (Number::CONSOLE_LINE, outside, length),
        1 => (Number::RELEASE_PAGES, outside & !4095, length & !4095),
        2 => (Number::STATISTICS, outside, length),
        3 => (Number::SHUTDOWN, random | 256, random),
        4 => (Number::POST_BLOCK, outside, numbers.pick(&[0, 1])),
        5 => (Number::WALL_CLOCK, numbers.pick(&[0, 1]), 0),
        6 => (Number::TRACE_MARK, random, length),
        // Not one of the interface's, whatever the low bits are.
        _ => (Number(random as u32 & !(1 << 30)), outside, length),
    };
    Call { status: random as u32, ..Call::new(number, a0, a1) }
}

fn random_batches(host: &Caller) -> Verdict {
    let mut numbers = Numbers(0x1357_9bdf_2468_ace0);
    for index in 0..512 {
        // SAFETY: the guard is this check's.
        unsafe { ARENA[GUARD].entry(index).write_volatile(GUARD_WORD) };
    }
    for _ in 0..BATCHES {
        write(0, &header(CALLS).to_bytes());
        for index in 0..CALLS {
            write(block_bytes(index), &call(&mut numbers).to_bytes());
        }
        send()?;
        equal("status", status().0, Status::DONE.0)?;
        for index in 0..CALLS {
            let found = Status(Call::from_bytes(&read(block_bytes(index))).status);
            holds("the call is answered", found == Status::DONE || Status::REFUSALS.contains(&found))?;
        }
    }
    for index in 0..512 {
        // SAFETY: the guard is this check's.
        equal("guard", unsafe { ARENA[GUARD].entry(index).read_volatile() }, GUARD_WORD)?;
    }
    done("a good call", host.trace_mark(0, 0))?;
    Ok(PASSED)
}

/// The host goes through a posted batch while this CPU runs on, and writes to it.
fn changing_batches(host: &Caller) -> Verdict {
    let mut numbers = Numbers(0xfdb9_7531_eca8_6420);
    let post = |address| {
        write(0, &header(1).to_bytes());
        write(block_bytes(0), &Call::new(Number::POST_BLOCK, address, 0).to_bytes());
        send()?;
        equal("registration", Call::from_bytes(&read(block_bytes(0))).status, Status::DONE.0)
    };
    // Whatever the host makes of the number of one call and the arguments of another, it ends neither the machine nor
    // the registration, and no address leads anywhere.
    let features = Features::all() - Features::SHUTDOWN - Features::DOORBELL;
    let changing =
        Header { status: Status::POSTED.0, features: features.bits(), ..header(CALLS_MAX) }.to_bytes();
    post(ARENA[0].physical())?;
    for _ in 0..ROUNDS {
        for index in 0..CALLS_MAX {
            write(block_bytes(index), &Call::new(Number::TRACE_MARK, NOWHERE, 0).to_bytes());
        }
        write(0, &changing);
        done("ring", host.ring())?;
        let index = (numbers.next() % CALLS_MAX as u64) as usize;
        let answered = soon(|| {
            write(block_bytes(index), &call(&mut Numbers(index as u64 + 1)).to_bytes());
            // Features and count of the header: too many calls, unless the host has its copy.
            write(8, &[changing[8], changing[9], changing[10], changing[11], 0xff, 0xff, 0xff, 0xff]);
            status() != Status::POSTED
        });
        holds("the host answers soon", answered)?;
        let found = status();
        // Too long, where the change came first.
        holds("the answer is one", found == Status::DONE || found == Status::TOO_LONG)?;
    }
    post(0)?;
    Ok(PASSED)
}

fn random_writes(host: &Caller) -> Verdict {
    let mut numbers = Numbers(0x0f1e_2d3c_4b5a_6978);
    let announcement = announcement()?;
    // Nothing that waits.
    write(0, &[0; 64]);
    for _ in 0..WRITES {
        let value = numbers.next() as u32;
        let port = numbers.pick(&[announcement.call_port, announcement.doorbell_port]) + (value & 3) as u16;
        match value >> 8 & 3 {
            // SAFETY: no batch in memory waits for an answer, so the host finds none.
            0 => unsafe { <Native as Io>::out8(port, value as u8) },
            // SAFETY: as above.
            1 => unsafe { <Native as Io>::out16(port, value as u16) },
            // SAFETY: as above.
            _ => unsafe { <Native as Io>::out32(port, value) },
        }
    }
    done("a good call", host.trace_mark(0, 0))?;
    Ok(PASSED)
}
