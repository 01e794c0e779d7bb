//! The one line of time: the time-stamp counter, scaled.

mod calendar;
mod measure;
mod pit;
mod pm_timer;
mod rtc;
mod scale;
mod sources;

pub use pm_timer::{pm_timer, set_pm_timer};

use crate::insn;
use core::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Release, SeqCst},
};
use x86_64::instructions::interrupts::without_interrupts;

/// The frequency is not known yet: no machine has it.
const UNTRIED: u64 = u64::MAX;
/// The counter's frequency in hertz, 0 where nothing tells it.
static FREQUENCY: AtomicU64 = AtomicU64::new(UNTRIED);

/// What a cycle is scaled by, 0 until the clock is read for the first time.
static MULTIPLIER: AtomicU64 = AtomicU64::new(0);

/// How often to look whether another CPU is done: a second or so. A non-maskable interrupt that reads the
/// clock in the middle of its own CPU's measurement must get through in the end.
const WAIT_TURNS: u32 = 1 << 24;

/// Tells the frequency of the time-stamp counter in hertz, instead of what was or would be found; 0 stands
/// for unknown.
///
/// For who knows better: a hypervisor's backend before it goes. If the clock was read before (see
/// [`started`]) its reading changes with the frequency, forward or back: who calls this then continues time.
pub fn set_frequency(hz: u64) {
    let hz = hz.min(UNTRIED - 1);
    FREQUENCY.store(hz, SeqCst);
    // Either this sees that the clock has started, or the start sees the new frequency: both sides store
    // first and load then, in one order.
    if started() {
        MULTIPLIER.store(scale::multiplier(hz), SeqCst);
    }
}

/// Tells whether the clock was ever read, so that somebody may hold times of this clock.
pub fn started() -> bool {
    MULTIPLIER.load(SeqCst) != 0
}

/// Counts from the moment at which the time-stamp counter was 0. The first call may take milliseconds: it
/// measures. Where the frequency is unknown one cycle counts as one nanosecond.
#[inline]
pub(crate) fn now_ns() -> u64 {
    let multiplier = match MULTIPLIER.load(Acquire) {
        0 => start(),
        known => known,
    };
    scale::to_ns(insn::lfence_rdtsc(), multiplier)
}

/// Takes the clock of the board to be in UTC. It tells whole seconds, so the value is up to a second
/// late. It is read once; later calls add the time gone by on the counter. Where the counter's frequency
/// is unknown, every call reads it (some 20 port accesses). Returns 0 also while another CPU takes a
/// second to read it.
pub(crate) fn wall_clock() -> u64 {
    rtc::wall_clock(frequency())
}

/// The first call may take milliseconds: it measures. The sources, the first that works is taken:
/// [`set_frequency`]; CPUID leaf 0x15; the PIT; the ACPI timer ([`set_pm_timer`]); CPUID leaf 0x16. A
/// machine on which none works is not asked again.
pub(crate) fn frequency() -> u64 {
    match FREQUENCY.load(Acquire) {
        UNTRIED => find_frequency(),
        known => known,
    }
}

/// Starts the clock and returns its multiplier.
#[cold]
fn start() -> u64 {
    loop {
        let hz = frequency();
        let multiplier = scale::multiplier(hz);
        let set = MULTIPLIER.compare_exchange(0, multiplier, SeqCst, SeqCst);
        match set {
            Err(others) => return others,
            Ok(_) if FREQUENCY.load(SeqCst) == hz => return multiplier,
            // The frequency was set meanwhile: once more with it, unless the setter already saw to it.
            Ok(_) => _ = MULTIPLIER.compare_exchange(multiplier, 0, SeqCst, SeqCst),
        }
    }
}

/// Finds the frequency, once: whoever comes meanwhile waits for the result.
#[cold]
fn find_frequency() -> u64 {
    static BUSY: AtomicBool = AtomicBool::new(false);

    without_interrupts(|| {
        let mut mine = false;
        for _ in 0..WAIT_TURNS {
            mine = BUSY.compare_exchange(false, true, Acquire, Acquire).is_ok();
            if mine || FREQUENCY.load(Acquire) != UNTRIED {
                break;
            }
            core::hint::spin_loop();
        }
        let hz = match FREQUENCY.load(Acquire) {
            UNTRIED => {
                let found = sources::frequency();
                let first = FREQUENCY.compare_exchange(UNTRIED, found, SeqCst, SeqCst);
                first.err().unwrap_or(found)
            }
            known => known,
        };
        if mine {
            BUSY.store(false, Release);
        }
        hz
    })
}
