//! Checks of the clock, the calendar and the counter's rate.

// UNSAFETY: programs the legacy timer.
#![expect(unsafe_code)]

use core::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use vmi::{CommandLine, Platform};
use vmi_abi::{Cpu, Io, Time};
use vmi_native::Native;

use super::{Check, PASSED};
use crate::kernel::{
    platform::PLATFORM,
    tally::{Failure, Outcome, Verdict, between, holds},
};

pub const CHECKS: &[Check] = &[
    ("time::now_ns", now_ns),
    ("time::frequency", frequency),
    ("time::wall_clock", wall_clock),
    ("time never steps back", never_back),
];

/// Reads of the clock that are held against each other.
const READS: u32 = 10_000;
/// What two clocks of one machine may differ by, in parts of a hundred.
const PERCENT: u64 = 2;

/// The clock advances as the counter does.
pub fn now_ns() -> Verdict {
    let hertz = vmi::time::frequency().map_or(1_000_000_000, |hertz| hertz.get());
    advances_while(|passed| Ok(passed < hertz / 200))
}

/// Demands that the clock advances as the counter does, as long as `goes_on` says for the ticks that have passed. Reads of
/// the counter around both reads of the clock bound what is right, however long the machine is held up in between.
pub fn advances_while(mut goes_on: impl FnMut(u64) -> Result<bool, Failure>) -> Verdict {
    let hertz = vmi::time::frequency().map_or(1_000_000_000, |hertz| hertz.get());
    let ns = |cycles: u64| (u128::from(cycles) * 1_000_000_000 / u128::from(hertz)) as u64;
    let outer = <Native as Cpu>::cycles();
    let start = vmi::time::now_ns();
    let inner = <Native as Cpu>::cycles();
    while goes_on(<Native as Cpu>::cycles() - inner)? {
        core::hint::spin_loop();
    }
    let inner = <Native as Cpu>::cycles() - inner;
    let passed = vmi::time::now_ns().wrapping_sub(start);
    let outer = <Native as Cpu>::cycles() - outer;
    let (low, high) = (ns(inner) - ns(inner) * PERCENT / 100, ns(outer) + ns(outer) * PERCENT / 100);
    between("nanoseconds passed", low, passed, high)?;
    Ok(PASSED)
}

/// Nor over `init` and the teardown: the last read of one phase is held against the first of the next.
fn never_back() -> Verdict {
    static LAST: AtomicU64 = AtomicU64::new(0);
    for _ in 0..READS {
        let now = vmi::time::now_ns();
        holds("the next read is not less", now >= LAST.load(Relaxed))?;
        LAST.store(now, Relaxed);
    }
    Ok(PASSED)
}

/// The legacy timer's rate in hertz. Source: 8254 datasheet, and the PC's clock of 14.318 MHz over 12.
const PIT_HERTZ: u64 = 1_193_182;
/// How long it is watched, in its ticks: 10 ms.
const PIT_SPAN: u16 = 11_932;
const PIT_CHANNEL_0: u16 = 0x40;
const PIT_COMMAND: u16 = 0x43;
/// Polls within which a timer that runs has counted, and within which 10 ms have passed.
const POLLS_STILL: u32 = 1_000;
const POLLS_MAX: u32 = 10_000_000;

/// The counter's rate is what the legacy timer measures. Reads of the counter around the first and around the last
/// look bound what is right; only a hold-up of more than a turn of the timer, 55 ms, spoils a try.
fn frequency() -> Verdict {
    const TRIES: usize = 3;
    let mut verdict = Ok(PASSED);
    for _ in 0..TRIES {
        let Some((low, high)) = measured() else {
            return Ok(Outcome::Skipped("no legacy timer to measure by"));
        };
        let found = vmi::time::frequency().map_or(0, |hertz| hertz.get());
        let slack = high * PERCENT / 100;
        verdict = between("hertz", low - low * PERCENT / 100, found, high + slack).map(|()| PASSED);
        if verdict.is_ok() {
            break;
        }
    }
    verdict
}

/// Returns bounds of the counter's rate in hertz, or `None` where the legacy timer's channel 0 does not count.
fn measured() -> Option<(u64, u64)> {
    // Low byte then high byte, mode 2: counts down from 65536 over and over. Its interrupt is masked.
    port_out(PIT_COMMAND, 0x34);
    port_out(PIT_CHANNEL_0, 0);
    port_out(PIT_CHANNEL_0, 0);
    let (first, start) = look();
    for poll in 0..POLLS_MAX {
        let (last, end) = look();
        let ticks = first.wrapping_sub(last);
        if ticks == 0 && poll > POLLS_STILL {
            break;
        }
        if ticks >= PIT_SPAN {
            let hertz = |cycles: u64, ticks: u16| cycles * PIT_HERTZ / u64::from(ticks);
            return Some((hertz(end.0 - start.1, ticks + 1), hertz(end.1 - start.0, ticks - 1)));
        }
    }
    None
}

/// Returns the legacy timer's count, and the counter before and after the look.
fn look() -> (u16, (u64, u64)) {
    let before = <Native as Cpu>::cycles();
    port_out(PIT_COMMAND, 0);
    let low = port_in(PIT_CHANNEL_0);
    let high = port_in(PIT_CHANNEL_0);
    (u16::from_le_bytes([low, high]), (before, <Native as Cpu>::cycles()))
}

fn port_in(port: u16) -> u8 {
    // SAFETY: reads a count of the legacy timer, which nothing else uses.
    unsafe { <Native as Io>::in8(port) }
}

fn port_out(port: u16, value: u8) {
    // SAFETY: programs channel 0 of the legacy timer, whose interrupt is masked.
    unsafe { <Native as Io>::out8(port, value) };
}

/// What the calendar may be off by: a boot, and a calendar that counts whole seconds.
const SECONDS: u64 = 120;

/// The calendar shows what the command line says, or else what the native function reads.
fn wall_clock() -> Verdict {
    let epoch = CommandLine::new(PLATFORM.get().command_line()).value("epoch");
    let epoch = epoch.and_then(|seconds| seconds.parse::<u64>().ok());
    let native = Some(Duration::from_nanos(<Native as Time>::wall_clock()).as_secs());
    let expected = epoch.or(native.filter(|seconds| *seconds != 0));
    match (vmi::time::wall_clock(), expected) {
        (None, _) if native == Some(0) => Ok(Outcome::Skipped("this machine has no calendar")),
        (Some(_), None) => Ok(Outcome::Skipped("no second calendar to compare with")),
        (found, expected) => {
            let (found, expected) = (found.map_or(0, |found| found.as_secs()), expected.unwrap_or(0));
            between("seconds since 1970", expected.saturating_sub(SECONDS), found, expected + SECONDS)?;
            Ok(PASSED)
        }
    }
}
