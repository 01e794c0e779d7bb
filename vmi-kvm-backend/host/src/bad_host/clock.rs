//! The clock page, spoiled.
//!
//! The guest's registrations of the page come to this program, which writes the page instead of KVM, once right and
//! with one thing wrong. Source of the page's form: KVM documentation, "KVM-specific MSRs".

#[cfg(any(test, feature = "hostile"))]
pub(crate) mod hostile;

use std::str::FromStr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use kvm_ioctls::VcpuFd;

use super::msr::{self, MsrAction};
use crate::error::{Error, Result};
use crate::memory::Memory;
use crate::port_call::GuestRam;
use crate::shared::lock;

/// The registers: of the wall clock and of the system time, by their old numbers and by their new ones.
const WALL_CLOCK: [u32; 2] = [0x11, 0x4b56_4d00];
const SYSTEM_TIME: [u32; 2] = [0x12, 0x4b56_4d01];
const TSC: u32 = 0x10;
const ENABLED: u64 = 1;
/// Where the flags are in the page, and what they say.
const FLAGS: u64 = 29;
const STABLE: u8 = 1 << 0;
const PAUSED: u8 = 1 << 1;
/// How often a page that does not stay as it is changes.
const PERIOD: Duration = Duration::from_millis(2);
/// How far the clock steps back, and how long it stays there.
const STEP_NS: u64 = 1_000_000_000;
const STEP_PERIODS: u64 = 25;
/// How far a clock is ahead that will start anew, or step back, and after how many periods it starts anew.
const AHEAD_NS: u64 = 60_000_000_000;
const AHEAD_PERIODS: u64 = 250;
/// After how many periods the wall clock's page is no longer what it was.
const STALE_PERIODS: u64 = 5;

/// What is wrong with the clock page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ClockFault {
    /// `odd`: its version is odd for ever, as if it were being written.
    Odd,
    /// `torn`: it is always being written, and half of it is wrong meanwhile.
    Torn,
    /// `back`: the time steps back by a second, again and again.
    Back,
    /// `shift=N`: the shift is this.
    Shift(i8),
    /// `zero`: the multiplier is 0.
    Zero,
    /// `future`: the counter's value in it is yet to come.
    Future,
    /// `paused`: it says all the time that the guest was paused.
    Paused,
    /// `apart`: the CPUs' pages are seconds apart, and do not claim to agree.
    Apart,
    /// `end`: the time is half a second before the end of its 64 bits.
    End,
    /// `anew`: half a second after the guest registered it, the time starts anew a minute lower, once.
    Anew,
    /// `stale`: the wall clock's page turns into garbage soon after it was asked for.
    Stale,
}

impl FromStr for ClockFault {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "odd" => Self::Odd,
            "torn" => Self::Torn,
            "back" => Self::Back,
            "zero" => Self::Zero,
            "future" => Self::Future,
            "paused" => Self::Paused,
            "apart" => Self::Apart,
            "end" => Self::End,
            "anew" => Self::Anew,
            "stale" => Self::Stale,
            _ => match text.strip_prefix("shift=").map(|shift| shift.parse().ok()) {
                Some(Some(shift)) => Self::Shift(shift),
                _ => {
                    return Err(Error::Option(format!(
                        "there is no fault `{text}` of the clock page; the faults are odd, torn, back, shift=N, zero, \
                         future, paused, apart, end, anew, stale"
                    )));
                }
            },
        })
    }
}

/// The pages that are spoiled.
#[derive(Debug)]
pub(crate) struct Clock {
    fault: ClockFault,
    start: Instant,
    pages: Box<[Mutex<Registered>]>,
    /// The page of the wall clock, and for how many periods it has been right.
    wall_clock: Mutex<Option<(u64, u64)>>,
}

/// What the guest registered for a CPU.
#[derive(Clone, Copy, Debug, Default)]
struct Registered {
    msr: u64,
    info: Info,
    /// Where the page is, while it is enabled, and for how many periods it has been.
    page: Option<u64>,
    periods: u64,
}

/// `pvclock_vcpu_time_info`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Info {
    version: u32,
    tsc_timestamp: u64,
    system_time: u64,
    multiplier: u32,
    shift: i8,
    flags: u8,
}

impl Info {
    /// Returns what follows the version.
    fn body(&self) -> [u8; 28] {
        let mut body = [0; 28];
        body[4..12].copy_from_slice(&self.tsc_timestamp.to_le_bytes());
        body[12..20].copy_from_slice(&self.system_time.to_le_bytes());
        body[20..24].copy_from_slice(&self.multiplier.to_le_bytes());
        body[24] = self.shift.to_le_bytes()[0];
        body[25] = self.flags;
        body
    }
}

impl Clock {
    /// Spoils the pages of so many CPUs.
    pub(crate) fn new(fault: ClockFault, cpus: usize) -> Self {
        Self {
            fault,
            start: Instant::now(),
            pages: (0..cpus).map(|_| Mutex::default()).collect(),
            wall_clock: Mutex::new(None),
        }
    }

    /// Returns the registers that must come here.
    pub(crate) fn msrs(fault: ClockFault) -> &'static [u32] {
        if fault == ClockFault::Stale { &WALL_CLOCK } else { &SYSTEM_TIME }
    }

    /// Serves a read of a register, if it is one of the page's.
    pub(crate) fn read(&self, cpu: usize, index: u32) -> Option<MsrAction> {
        SYSTEM_TIME.contains(&index).then(|| MsrAction::Done(lock(&self.pages[cpu]).msr))
    }

    /// Serves a write of a register, if it is one of the page's.
    pub(crate) fn write(
        &self,
        fd: &VcpuFd,
        memory: &Memory,
        cpu: usize,
        index: u32,
        value: u64,
    ) -> Option<MsrAction> {
        if WALL_CLOCK.contains(&index) && self.fault == ClockFault::Stale {
            if !msr::set(fd, index, value) {
                return Some(MsrAction::Fault);
            }
            *lock(&self.wall_clock) = Some((value, 0));
            return Some(MsrAction::Done(0));
        }
        if !SYSTEM_TIME.contains(&index) {
            return None;
        }
        let (multiplier, shift) = scale(fd.get_tsc_khz().unwrap_or(1_000_000));
        let tsc_timestamp = msr::get(fd, TSC).unwrap_or(0);
        let system_time = self.start.elapsed().as_nanos() as u64;
        let honest = Info { version: 2, tsc_timestamp, system_time, multiplier, shift, flags: STABLE };
        self.register(memory, cpu, value, honest);
        Some(MsrAction::Done(0))
    }

    /// Takes a registration of a CPU's page, and writes the page, if there is one, with the fault in what were right.
    fn register(&self, memory: &Memory, cpu: usize, value: u64, honest: Info) {
        let mut registered = lock(&self.pages[cpu]);
        registered.msr = value;
        registered.periods = 0;
        registered.page = (value & ENABLED != 0).then_some(value & !ENABLED);
        let Some(page) = registered.page else { return };
        let mut info = honest;
        match self.fault {
            ClockFault::Odd => info.version = 3,
            ClockFault::Shift(shift) => info.shift = shift,
            ClockFault::Zero => info.multiplier = 0,
            ClockFault::Future => info.tsc_timestamp = info.tsc_timestamp.wrapping_add(1 << 40),
            ClockFault::Paused => info.flags |= PAUSED,
            ClockFault::Apart => {
                info.flags = 0;
                info.system_time = info.system_time.wrapping_add((self.pages.len() - cpu) as u64 * STEP_NS);
            }
            ClockFault::End => info.system_time = u64::MAX - STEP_NS / 2,
            // Far enough from 0 to go back.
            ClockFault::Back | ClockFault::Anew => {
                info.system_time = info.system_time.wrapping_add(AHEAD_NS);
            }
            ClockFault::Torn | ClockFault::Stale => {}
        }
        write(memory, page, &info, info.version);
        registered.info = info;
    }

    /// Tells whether pages change by themselves, so that [`turn`](Self::turn) has to be called.
    pub(crate) fn turns(&self) -> Option<Duration> {
        let turns =
            [ClockFault::Torn, ClockFault::Back, ClockFault::Paused, ClockFault::Anew, ClockFault::Stale];
        turns.contains(&self.fault).then_some(PERIOD)
    }

    /// Changes the pages; `round` counts the periods.
    pub(crate) fn turn(&self, memory: &Memory, round: u64) {
        if let Some((page, periods)) = &mut *lock(&self.wall_clock) {
            *periods += 1;
            if *periods == STALE_PERIODS {
                let _ = memory.write(*page, &[0x55; 12]);
            }
        }
        for registered in &self.pages {
            let mut registered = lock(registered);
            let Some(page) = registered.page else { continue };
            registered.periods += 1;
            if self.fault == ClockFault::Anew {
                if registered.periods != AHEAD_PERIODS {
                    continue;
                }
                registered.info.system_time = registered.info.system_time.wrapping_sub(AHEAD_NS);
            }
            let mut info = registered.info;
            let version = info.version.wrapping_add(2) & !1;
            registered.info.version = version;
            match self.fault {
                // Right in one half of the periods, half wrong and odd in the other.
                ClockFault::Torn if round.is_multiple_of(2) => {
                    info.system_time = info.system_time.wrapping_mul(3);
                    write(memory, page, &info, version | 1);
                }
                ClockFault::Back if round / STEP_PERIODS % 2 == 1 => {
                    info.system_time = info.system_time.wrapping_sub(STEP_NS);
                    write(memory, page, &info, version);
                }
                // The guest takes the flag away when it has seen it; all else is left as it is.
                ClockFault::Paused => write_flags(memory, page, info.flags),
                _ => write(memory, page, &info, version),
            }
        }
    }
}

/// Writes a page as KVM does: under an odd version. What is not memory is not written.
fn write(memory: &Memory, page: u64, info: &Info, version: u32) {
    let during = version.wrapping_sub(1) | 1;
    let written = memory.store(page, during).and_then(|()| memory.write(page.wrapping_add(4), &info.body()));
    let _ = written.and_then(|()| memory.store(page, version));
}

/// Writes a page's flags alone.
fn write_flags(memory: &Memory, page: u64, flags: u8) {
    let _ = page.checked_add(FLAGS).map(|at| memory.write(at, &[flags]));
}

/// Returns multiplier and shift for a counter of that frequency: ns = (ticks << shift) × multiplier >> 32.
fn scale(khz: u32) -> (u32, i8) {
    // Fixed point with 32 bits behind the point: nanoseconds per tick, brought below 1 and up to a half.
    let mut per_tick = (1_000_000_u64 << 32) / u64::from(khz.max(1));
    let mut shift = 0;
    while per_tick > u64::from(u32::MAX) {
        per_tick >>= 1;
        shift += 1;
    }
    while per_tick < 1 << 31 {
        per_tick <<= 1;
        shift -= 1;
    }
    (per_tick as u32, shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_that_of_the_counter() {
        for khz in [1000, 1_000_000, 2_400_000, 3_999_999, 5_000_000] {
            let (multiplier, shift) = scale(khz);
            let ticks = u128::from(khz) * 1000;
            let shifted = if shift >= 0 { ticks << shift } else { ticks >> -shift };
            let second = (shifted * u128::from(multiplier)) >> 32;
            assert!(second.abs_diff(1_000_000_000) < 1000, "{khz} kHz: {second} ns");
        }
    }

    #[test]
    fn every_fault_has_its_name() {
        for name in
            ["odd", "torn", "back", "zero", "future", "paused", "apart", "end", "anew", "stale", "shift=-128"]
        {
            assert!(name.parse::<ClockFault>().is_ok(), "{name}");
        }
        for name in ["", "shift", "shift=", "shift=128", "even"] {
            assert!(name.parse::<ClockFault>().is_err(), "{name}");
        }
    }

    #[test]
    fn a_clock_starts_anew_once() {
        let memory = crate::memory::allocate(2 << 20).unwrap();
        let clock = Clock::new(ClockFault::Anew, 1);
        let info = Info { version: 2, system_time: AHEAD_NS + 7, ..Info::default() };
        write(&memory, 0x1000, &info, info.version);
        *lock(&clock.pages[0]) = Registered { page: Some(0x1000), info, ..Registered::default() };
        let mut times = Vec::new();
        for round in 0..AHEAD_PERIODS * 3 {
            clock.turn(&memory, round);
            let mut time = [0; 8];
            memory.read(0x1010, &mut time).unwrap();
            times.push(u64::from_le_bytes(time));
        }
        let (ahead, anew) = times.split_at(AHEAD_PERIODS as usize - 1);
        assert!(ahead.iter().all(|&time| time == AHEAD_NS + 7) && anew.iter().all(|&time| time == 7));
    }

    #[test]
    fn a_page_outside_memory_is_left_alone() {
        let memory = crate::memory::allocate(2 << 20).unwrap();
        for page in [2 << 20, u64::MAX - 3, u64::MAX - 1, (2 << 20) - 16] {
            write(&memory, page, &Info::default(), 2);
            write_flags(&memory, page, 1);
        }
        let mut last = [0; 16];
        memory.read((2 << 20) - 16, &mut last).unwrap();
        assert_eq!(last[4..], [0; 12], "a page is written whole or not at all");
    }
}
