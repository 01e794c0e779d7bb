//! Selection itself, with backends made for it: layers, refusals, failures half-way, and one life after the other.

// UNSAFETY: calls `init` and `teardown`, and implements an unsafe trait.
#![expect(unsafe_code)]

use core::{
    ops::Range,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use vmi::{BACKENDS_MAX, Backend, Error, Platform, Report, Text};
use vmi_abi::{EnableError, Irq, Machine, Offer, Override, Rank, Replacements, Table, Time, cpu, io, time};
use vmi_native::Native;

use super::{
    checks::{Check, PASSED},
    image, module,
    platform::PLATFORM,
    tally::{Failure, Tally, Verdict, equal, holds, present},
};

/// A backend with a clock that is not to be trusted, which drops the I/O delay and counts what is asked of it.
#[derive(Debug)]
struct Candidate {
    name: &'static str,
    rank: Rank,
    kind: Kind,
    clock: Option<extern "sysv64" fn() -> u64>,
    /// What serves the clock in the layer below, and when it was enabled and disabled.
    below: AtomicUsize,
    moments: [AtomicU32; 2],
    enabled: AtomicU32,
    disabled: AtomicU32,
    cleared: AtomicU32,
    /// It does not find its hypervisor any more.
    gone: AtomicBool,
}

/// What a candidate is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sound,
    /// It cannot be enabled.
    Failing,
    /// It would have nothing stand for an op with a result.
    Unfit,
}

/// Counts what happens to candidates.
static MOMENT: AtomicU32 = AtomicU32::new(0);

impl Candidate {
    const fn new(
        name: &'static str,
        rank: u8,
        kind: Kind,
        clock: Option<extern "sysv64" fn() -> u64>,
    ) -> Self {
        Self {
            name,
            rank: Rank(rank),
            kind,
            clock,
            below: AtomicUsize::new(0),
            moments: [const { AtomicU32::new(0) }; 2],
            enabled: AtomicU32::new(0),
            disabled: AtomicU32::new(0),
            cleared: AtomicU32::new(0),
            gone: AtomicBool::new(false),
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

    fn probe(&self, _: &Machine<'_>) -> Result<Offer, &'static str> {
        if self.gone.load(Relaxed) { Err("it is gone") } else { Ok(Offer::plain(self.rank)) }
    }

    fn replacements(&self, _: &Offer, _: &Machine<'_>) -> Replacements {
        let mut all = Replacements::KEEP;
        all.set::<io::delay>(Override::Nop);
        if let Some(clock) = self.clock {
            all.set::<time::now_ns>(Override::Call(clock));
        }
        if self.kind == Kind::Unfit {
            all.set::<cpu::read_cr0>(Override::Nop);
        }
        all
    }

    unsafe fn enable(
        &self,
        _: &Offer,
        _: &Machine<'_>,
        _: &dyn Platform,
        below: &'static Table,
    ) -> Result<(), EnableError> {
        self.enabled.fetch_add(1, Relaxed);
        self.moments[0].store(MOMENT.fetch_add(1, Relaxed), Relaxed);
        self.below.store(below.address(time::now_ns::OP), Relaxed);
        if self.kind == Kind::Failing { Err(EnableError::NotServed(0x1000)) } else { Ok(()) }
    }

    unsafe fn clear_inherited(&self, _: &Offer, _: &'static Table) {
        self.cleared.fetch_add(1, Relaxed);
    }

    unsafe fn disable(&self) {
        self.disabled.fetch_add(1, Relaxed);
        self.moments[1].store(MOMENT.fetch_add(1, Relaxed), Relaxed);
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

static LOW: Candidate = Candidate::new("low", 1, Kind::Sound, Some(slow_clock));
static HIGH: Candidate = Candidate::new("high", 2, Kind::Sound, Some(fast_clock));
static FAILING: Candidate = Candidate::new("failing", 3, Kind::Failing, Some(slow_clock));
static ABOVE: Candidate = Candidate::new("above", 4, Kind::Sound, Some(slow_clock));
static UNFIT: Candidate = Candidate::new("unfit", 4, Kind::Unfit, None);
static TIMELESS: Candidate = Candidate::new("timeless", 1, Kind::Sound, None);

/// This kernel's platform with another command line.
struct Told(&'static str);

// SAFETY: all is the platform's own.
unsafe impl Text for Told {
    fn ranges(&self) -> &[Range<*const u8>] {
        PLATFORM.get().ranges()
    }

    unsafe fn write(&self, place: *mut u8, bytes: &[u8]) {
        // SAFETY: the caller's promise.
        unsafe { PLATFORM.get().write(place, bytes) };
    }

    unsafe fn edit(&self, edit: &mut dyn FnMut()) {
        // SAFETY: the caller's promise.
        unsafe { PLATFORM.get().edit(edit) };
    }
}

// SAFETY: as above.
unsafe impl Platform for Told {
    fn physical_address(&self, pointer: *const u8) -> u64 {
        PLATFORM.get().physical_address(pointer)
    }

    fn command_line(&self) -> &str {
        self.0
    }
}

/// Runs all of it.
pub fn run(tally: &mut Tally) {
    let checks: [Check; 13] = [
        ("a clock that nobody read is not calibrated", unread),
        ("layers are stacked by rank", stacked),
        ("a word refuses a layer, and another all", refused),
        ("a restore has every layer register anew, upwards", resumed),
        ("a backend that cannot be enabled is disabled, and with it all", failing),
        ("a replacement that does not fit leaves nothing registered", unfit),
        ("more backends than fit are refused", too_many),
        ("interrupts are as they were", interrupts),
        ("a life ends once", ends_once),
        ("a clock that nobody replaces is left alone", timeless),
        ("a module lives with the kernel", || module::lives_with_the_kernel(&LOW)),
        ("a damaged module is refused", || module::damaged_is_refused(&LOW)),
        ("time goes on from life to life", time_goes_on),
    ];
    for (name, check) in checks {
        let hash = image::text_hash();
        tally.count("lives", name, check());
        tally.count("lives", "text", equal("hash", image::text_hash(), hash).map(|()| PASSED));
    }
}

pub fn start(backends: &[&'static dyn Backend]) -> Result<Report, Error> {
    // SAFETY: one CPU, ring 0, and the #GP handler asks for landings.
    unsafe { vmi::init(PLATFORM.get(), backends) }
}

pub fn stop() -> Result<(), Error> {
    // SAFETY: one CPU, and not in an interrupt.
    unsafe { vmi::teardown() }
}

fn ended(result: Result<(), Error>) -> Result<(), Failure> {
    holds("the teardown succeeds", result.is_ok())
}

fn counts(what: &'static str, candidate: &Candidate, expected: [u32; 3]) -> Result<(), Failure> {
    holds(what, candidate.take() == expected)
}

fn stacked() -> Verdict {
    let orders: [[&'static dyn Backend; 2]; 2] = [[&LOW, &HIGH], [&HIGH, &LOW]];
    for backends in orders {
        let report = present("it starts", start(&backends).ok())?;
        holds("the higher is on top", report.layers().eq(["high", "low"]) && report.sites.nop > 0)?;
        holds("the topmost serves", report.server(time::now_ns::OP) == Some("high"))?;
        holds("the table", vmi::table().address(time::now_ns::OP) == fast_clock as *const () as usize)?;
        holds("below the higher", HIGH.below.load(Relaxed) == slow_clock as *const () as usize)?;
        holds("below the lower", LOW.below.load(Relaxed) == vmi::native_table().address(time::now_ns::OP))?;
        ended(stop())?;
        for (what, order) in [("enabled upwards", [&LOW, &HIGH]), ("disabled downwards", [&HIGH, &LOW])] {
            let which = usize::from(what != "enabled upwards");
            let [first, second] = order.map(|candidate| candidate.moments[which].load(Relaxed));
            holds(what, first < second)?;
        }
        counts("the higher is enabled and disabled", &HIGH, [1, 1, 0])?;
        counts("the lower is enabled and disabled", &LOW, [1, 1, 0])?;
    }
    Ok(PASSED)
}

fn refused() -> Verdict {
    static WITHOUT_HIGH: Told = Told("no-high no-hig");
    static WITHOUT_ALL: Told = Told("nopv");
    // SAFETY: one CPU, ring 0, and the #GP handler asks for landings.
    let report = unsafe { vmi::init(&WITHOUT_HIGH, &[&LOW, &HIGH]) };
    holds("the other serves on", report.is_ok_and(|report| report.layers().eq(["low"])))?;
    ended(stop())?;
    counts("the refused one clears what firmware left", &HIGH, [0, 0, 1])?;
    counts("the other is enabled", &LOW, [1, 1, 0])?;
    // SAFETY: as above.
    let report = unsafe { vmi::init(&WITHOUT_ALL, &[&LOW, &HIGH]) };
    holds(
        "none serves",
        report.is_ok_and(|report| report.layers().next().is_none() && report.sites.nop == 0),
    )?;
    ended(stop())?;
    counts("it clears what firmware left", &HIGH, [0, 0, 1])?;
    counts("so does the other", &LOW, [0, 0, 1])?;
    Ok(PASSED)
}

fn resume() -> Result<(), Error> {
    // SAFETY: one CPU, ring 0, not in an interrupt, and the #GP handler asks for landings.
    unsafe { vmi::resume() }
}

fn resumed() -> Verdict {
    holds("not without a life", resume() == Err(Error::NotInitialised))?;
    holds("it starts", start(&[&HIGH, &LOW]).is_ok())?;
    let served = vmi::table().address(time::now_ns::OP);
    HIGH.below.store(0, Relaxed);
    holds("it resumes", resume() == Ok(()))?;
    let [low, high] = [&LOW, &HIGH].map(|candidate| candidate.moments[0].load(Relaxed));
    holds("upwards", low < high)?;
    holds("over the same table", HIGH.below.load(Relaxed) == slow_clock as *const () as usize)?;
    holds("the sites stay", vmi::table().address(time::now_ns::OP) == served)?;
    LOW.gone.store(true, Relaxed);
    let gone = Error::Enable { backend: "low", error: EnableError::Gone("it is gone") };
    let found = resume();
    LOW.gone.store(false, Relaxed);
    holds("one that is gone is named", found == Err(gone))?;
    counts("the other was asked all the same", &HIGH, [3, 2, 0])?;
    counts("the one that is gone was not", &LOW, [2, 1, 0])?;
    ended(stop())?;
    counts("it ends", &LOW, [0, 1, 0])?;
    HIGH.take();
    Ok(PASSED)
}

fn failing() -> Verdict {
    let refused = Error::Enable { backend: "failing", error: EnableError::NotServed(0x1000) };
    for _ in 0..2 {
        holds("it is named", start(&[&FAILING]).is_err_and(|error| error == refused))?;
        counts("it is disabled", &FAILING, [1, 1, 0])?;
    }
    holds("with others", start(&[&ABOVE, &LOW, &FAILING]).is_err_and(|error| error == refused))?;
    counts("it is disabled", &FAILING, [1, 1, 0])?;
    counts("what was enabled below is disabled", &LOW, [1, 1, 0])?;
    counts("what comes above clears what firmware left", &ABOVE, [0, 0, 1])?;
    holds("nothing is to be torn down", stop() == Err(Error::NotInitialised))?;
    holds("another may come", start(&[&LOW]).is_ok())?;
    ended(stop())?;
    LOW.take();
    HIGH.take();
    Ok(PASSED)
}

fn unfit() -> Verdict {
    let refused = Error::Nothing(cpu::read_cr0::OP);
    holds("it is named", start(&[&UNFIT, &LOW]).is_err_and(|error| error == refused))?;
    counts("it clears what firmware left", &UNFIT, [0, 0, 1])?;
    counts("so does the other", &LOW, [0, 0, 1])?;
    Ok(PASSED)
}

/// Comes before all that reads the native clock.
fn unread() -> Verdict {
    holds("nobody has read it", !vmi_native::started())?;
    timeless()
}

/// The native clock may have been read before: then its offset stays.
fn timeless() -> Verdict {
    let (offset, started) = (vmi::time::offset_ns(), vmi_native::started());
    holds("it starts", start(&[&TIMELESS]).is_ok_and(|report| report.sites.nop > 0))?;
    equal("the offset", vmi::time::offset_ns(), offset)?;
    ended(stop())?;
    equal("the offset in the end", vmi::time::offset_ns(), offset)?;
    equal("the clock was started", vmi_native::started(), started)?;
    TIMELESS.take();
    Ok(PASSED)
}

fn too_many() -> Verdict {
    const MORE: usize = BACKENDS_MAX + 1;
    let backends: [&'static dyn Backend; MORE] = [&LOW; MORE];
    holds("too many", start(&backends).is_err_and(|error| error == Error::TooManyBackends(MORE)))?;
    counts("the first and the last clear what firmware left", &LOW, [0, 0, 2])?;
    holds("as many as fit", start(&backends[..BACKENDS_MAX]).is_ok())?;
    ended(stop())?;
    counts("what is listed twice is a layer once", &LOW, [1, 1, 0])?;
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
    holds("without a backend", start(&[]).is_ok_and(|report| report.layers().next().is_none()))?;
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
    let backends: [&'static dyn Backend; 4] =
        [&vmi_kvm_backend::BACKEND, &LOW, &HIGH, &vmi_kvm_backend::BACKEND];
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
