//! What calls cost: exits to the host's user space, as the host counts them.

// UNSAFETY: sends bytes to COM1.
#![expect(unsafe_code)]

use vmi_abi::{Io, port_call::CALLS_MAX};
use vmi_host_backend::port_call::{Caller, Error};
use vmi_native::Native;

use super::{Check, done, effect::soon, statistics};
use crate::kernel::{
    checks::PASSED,
    insn::control::trace_control,
    tally::{Failure, Verdict, equal, holds},
    trace,
};

pub(super) const CHECKS: &[Check] = &[
    ("512 calls in a batch cost 1 exit", batch_of_512),
    ("a line of 80 characters costs 1 exit", line_of_80),
    ("80 characters on the UART cost 80 exits", uart_of_80),
    ("a doorbell costs 0 exits", doorbells),
    ("cpuid costs 0 exits to user space", cpuids),
];

/// A line that is easily counted in what the host prints.
const LINE: &[u8; 80] = b"0123456789 this line of eighty characters is printed by one exit and no more ***";
const RINGS: u64 = 1000;
/// COM1's transmitter.
const COM1: u16 = 0x3f8;

/// Returns what `action` costs in exits: the least of some tries, since the host may stop the CPU for reasons of its
/// own meanwhile.
fn exits_of(host: &Caller, action: impl Fn() -> Result<(), Error>) -> Result<u64, Failure> {
    const TRIES: usize = 5;
    let mut least = u64::MAX;
    for _ in 0..TRIES {
        let before = statistics(host)?.exits;
        done("action", action())?;
        // The question for the statistics is one exit itself.
        least = least.min((statistics(host)?.exits - before).saturating_sub(1));
    }
    Ok(least)
}

fn batch_of_512(host: &Caller) -> Verdict {
    let before = statistics(host)?.trace_marks;
    let found = exits_of(host, || {
        let mut batch = host.batch()?;
        for mark in 0..CALLS_MAX as u64 {
            batch.trace_mark(mark, !mark)?;
        }
        batch.send()?.iter().try_for_each(|answer| answer.map(drop))
    })?;
    equal("exits", found, 1_u64)?;
    holds("marks are set", (statistics(host)?.trace_marks - before).is_multiple_of(CALLS_MAX as u64))?;
    holds("every mark is set", statistics(host)?.trace_marks - before >= CALLS_MAX as u64)?;
    Ok(PASSED)
}

fn line_of_80(host: &Caller) -> Verdict {
    equal("exits", exits_of(host, || host.console_line(LINE))?, 1_u64)?;
    Ok(PASSED)
}

/// Without looking whether the transmitter is empty, which would cost as many exits again.
fn uart_of_80(host: &Caller) -> Verdict {
    let found = exits_of(host, || {
        for &byte in LINE[..78].iter().chain(b"\r\n") {
            // SAFETY: COM1 sends the byte.
            unsafe { <Native as Io>::out8(COM1, byte) };
        }
        Ok(())
    })?;
    equal("exits", found, 80_u64)?;
    Ok(PASSED)
}

fn doorbells(host: &Caller) -> Verdict {
    let before = statistics(host)?.doorbells;
    let rounds = core::cell::Cell::new(0);
    let found = exits_of(host, || {
        rounds.set(rounds.get() + 1);
        (0..RINGS).try_for_each(|_| host.ring())
    })?;
    equal("exits", found, 0_u64)?;
    let heard = || host.statistics().map_or(0, |statistics| statistics.doorbells) - before;
    holds("every ring is heard soon", soon(|| heard() >= RINGS * rounds.get()))?;
    equal("rings", heard(), RINGS * rounds.get())?;
    Ok(PASSED)
}

fn cpuids(host: &Caller) -> Verdict {
    let found = exits_of(host, || {
        trace_control(trace::READS);
        Ok(())
    })?;
    equal("exits", found, 0_u64)?;
    Ok(PASSED)
}
