//! Selection itself, with backends made for it: ranks, refusals, failures half-way, and one life after the other.

// UNSAFETY: calls `init` and `teardown`, and implements an unsafe trait.
#![expect(unsafe_code)]

use core::{
    fmt,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

use vmi::{BACKENDS_MAX, Backend, CommandLine, Error, Platform, Report};
use vmi_abi::{EnableError, Irq, Offer, Override, Overrides, Rank, Table, Time, cpuid::Cpuid};
use vmi_native::Native;

use super::{
    checks::{Check, PASSED},
    image,
    platform::PLATFORM,
    tally::{Failure, Tally, Verdict, equal, holds},
};

/// A backend with a clock that is not to be trusted, which drops the I/O delay and counts what is asked of it.
#[derive(Debug)]
struct Candidate {
    name: &'static str,
    rank: Rank,
    fails: bool,
    clock: extern "sysv64" fn() -> u64,
    enabled: AtomicU32,
    disabled: AtomicU32,
    cleared: AtomicU32,
}

impl Candidate {
    const fn new(name: &'static str, rank: u8, fails: bool, clock: extern "sysv64" fn() -> u64) -> Self {
        Self {
            name,
            rank: Rank(rank),
            fails,
            clock,
            enabled: AtomicU32::new(0),
            disabled: AtomicU32::new(0),
            cleared: AtomicU32::new(0),
        }
    }

    /// Returns how often it was enabled, disabled and told to clear what firmware left, and forgets that.
    fn take(&self) -> [u32; 3] {
        [&self.enabled, &self.disabled, &self.cleared].map(|count| count.swap(0, Relaxed))
    }
}

// SAFETY: no machine needs the delay that `io::delay` makes while these checks run.
unsafe impl Backend for Candidate {
    fn name(&self) -> &'static str {
        self.name
    }

    fn probe(&self, _: &Cpuid<'_>) -> Result<Offer, &'static str> {
        Ok(Offer { rank: self.rank, features: 0, hints: 0, base_leaf: 0 })
    }

    fn overrides(&self, _: &Offer, _: CommandLine<'_>) -> Overrides {
        let mut overrides = Overrides::KEEP;
        overrides.io.delay = Override::Nop;
        overrides.time.now_ns = Override::Call(self.clock);
        overrides
    }

    fn describe(&self, _: &Offer, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("none")
    }

    unsafe fn enable(&self, _: &Offer, _: &dyn Platform, _: &'static Table) -> Result<(), EnableError> {
        self.enabled.fetch_add(1, Relaxed);
        if self.fails { Err(EnableError::NotServed(0x1000)) } else { Ok(()) }
    }

    unsafe fn clear_inherited(&self, _: &Offer, _: &'static Table) {
        self.cleared.fetch_add(1, Relaxed);
    }

    unsafe fn disable(&self) {
        self.disabled.fetch_add(1, Relaxed);
    }
}

/// A clock that starts far behind the native one, and then hardly moves.
extern "sysv64" fn slow_clock() -> u64 {
    static READS: AtomicU64 = AtomicU64::new(0);
    READS.fetch_add(1, Relaxed)
}

/// A clock that is ahead of the native one, and gets farther.
extern "sysv64" fn fast_clock() -> u64 {
    let now = <Native as Time>::now_ns();
    now + now / 2
}

static LOW: Candidate = Candidate::new("low", 1, false, slow_clock);
static HIGH: Candidate = Candidate::new("high", 2, false, fast_clock);
static FAILING: Candidate = Candidate::new("failing", 3, true, slow_clock);

/// Runs all of it.
pub fn run(tally: &mut Tally) {
    let checks: [Check; 6] = [
        ("the highest rank is chosen", highest_rank),
        ("a backend that cannot be enabled is disabled", failing),
        ("more backends than fit are refused", too_many),
        ("interrupts are as they were", interrupts),
        ("a life ends once", ends_once),
        ("time goes on from life to life", time_goes_on),
    ];
    for (name, check) in checks {
        let hash = image::text_hash();
        tally.count("lives", name, check());
        tally.count("lives", "text", equal("hash", image::text_hash(), hash).map(|()| PASSED));
    }
}

fn start(backends: &[&'static dyn Backend]) -> Result<Report, Error> {
    // SAFETY: one CPU, ring 0, and the #GP handler asks for landings.
    unsafe { vmi::init(PLATFORM.get(), backends) }
}

fn stop() -> Result<(), Error> {
    // SAFETY: one CPU, and not in an interrupt.
    unsafe { vmi::teardown() }
}

fn ended(result: Result<(), Error>) -> Result<(), Failure> {
    holds("the teardown succeeds", result.is_ok())
}

fn counts(what: &'static str, candidate: &Candidate, expected: [u32; 3]) -> Result<(), Failure> {
    holds(what, candidate.take() == expected)
}

fn highest_rank() -> Verdict {
    let orders: [[&'static dyn Backend; 2]; 2] = [[&LOW, &HIGH], [&HIGH, &LOW]];
    for backends in orders {
        let report = start(&backends);
        holds(
            "it is the higher",
            report.is_ok_and(|report| report.backend() == "high" && report.sites.nop > 0),
        )?;
        counts("the higher is enabled", &HIGH, [1, 0, 0])?;
        counts("the lower clears what firmware left", &LOW, [0, 0, 1])?;
        ended(stop())?;
        counts("the higher is disabled", &HIGH, [0, 1, 0])?;
        counts("the lower is left alone", &LOW, [0, 0, 0])?;
    }
    Ok(PASSED)
}

fn failing() -> Verdict {
    let refused = Error::Enable { backend: "failing", error: EnableError::NotServed(0x1000) };
    for _ in 0..2 {
        holds("it is named", start(&[&FAILING]).is_err_and(|error| error == refused))?;
        counts("it is disabled", &FAILING, [1, 1, 0])?;
    }
    holds("nothing is to be torn down", stop() == Err(Error::NotInitialised))?;
    holds("another may come", start(&[&LOW]).is_ok())?;
    ended(stop())?;
    LOW.take();
    HIGH.take();
    Ok(PASSED)
}

fn too_many() -> Verdict {
    const MORE: usize = BACKENDS_MAX + 1;
    let backends: [&'static dyn Backend; MORE] = [&LOW; MORE];
    holds("too many", start(&backends).is_err_and(|error| error == Error::TooManyBackends(MORE)))?;
    holds("as many as fit", start(&backends[..BACKENDS_MAX]).is_ok())?;
    ended(stop())?;
    LOW.take();
    HIGH.take();
    Ok(PASSED)
}

fn interrupts() -> Verdict {
    for enabled in [false, true] {
        if enabled {
            <Native as Irq>::enable();
        }
        let started = start(&[&LOW]);
        let behind_start = <Native as Irq>::save();
        let stopped = stop();
        let behind_stop = <Native as Irq>::save();
        let failed = start(&[&FAILING]);
        let behind_failure = <Native as Irq>::save();
        <Native as Irq>::disable();
        holds("both work", started.is_ok() && failed.is_err())?;
        ended(stopped)?;
        for flags in [behind_start, behind_stop, behind_failure] {
            equal("interrupt flag", flags >> 9 & 1, u64::from(enabled))?;
        }
    }
    LOW.take();
    FAILING.take();
    Ok(PASSED)
}

fn ends_once() -> Verdict {
    holds("before the first", stop() == Err(Error::NotInitialised))?;
    holds("without a backend", start(&[]).is_ok_and(|report| report.backend() == "native"))?;
    ended(stop())?;
    holds("twice", stop() == Err(Error::NotInitialised))?;
    Ok(PASSED)
}

fn time_goes_on() -> Verdict {
    let mut last = 0;
    let mut step = || {
        let now = vmi::time::now_ns();
        let ascends = now > last;
        last = now;
        holds("time ascends", ascends)
    };
    let backends: [&'static dyn Backend; 4] = [&vmi_kvm_backend::Kvm, &LOW, &HIGH, &vmi_kvm_backend::Kvm];
    for backend in backends {
        step()?;
        let started = start(&[backend]);
        step()?;
        holds("it starts", started.is_ok())?;
        let stopped = stop();
        step()?;
        ended(stopped)?;
    }
    LOW.take();
    HIGH.take();
    Ok(PASSED)
}
