//! Checks of the interrupt flag, of waiting, and of the return from an interrupt.

use core::sync::atomic::AtomicU64;

use vmi_abi::Irq;
use vmi_native::Native;

use super::{Check, PASSED};
use crate::kernel::{
    insn::{leave::leave_by_frame, shadow},
    tally::{Verdict, equal, holds},
    timer,
};

pub const CHECKS: &[Check] = &[
    ("irq::save", save),
    ("irq::restore", restore),
    ("irq::disable", disable),
    ("irq::enable", enable),
    ("irq::enable and a pending interrupt", enable_with_one_pending),
    ("irq::wait", wait),
    ("irq::halt", halt),
    ("irq::leave", leave),
    ("irq::Guard", guard),
];

/// The interrupt flag of RFLAGS.
const IF: u64 = 1 << 9;
/// Ticks of the timer's clock, a nanosecond each on the hosts we know.
const SOON: u32 = 100_000;
const PERIOD: u32 = 5_000_000;
const LATE: u32 = 500_000_000;

/// Runs `check` with the flag set up by it, and leaves interrupts off.
fn with_flag(enabled: bool, check: impl FnOnce() -> Verdict) -> Verdict {
    if enabled {
        <Native as Irq>::enable();
    } else {
        <Native as Irq>::disable();
    }
    let verdict = check();
    <Native as Irq>::disable();
    verdict
}

fn flag() -> bool {
    <Native as Irq>::save() & IF != 0
}

fn save() -> Verdict {
    with_flag(false, || {
        equal("flag while off", vmi::irq::save().interrupts_enabled(), false)?;
        Ok(PASSED)
    })?;
    with_flag(true, || {
        equal("flag while on", vmi::irq::save().interrupts_enabled(), true)?;
        equal("always-one bit", vmi::irq::save().bits() & 2, 2_u64)?;
        Ok(PASSED)
    })
}

fn restore() -> Verdict {
    with_flag(true, || {
        let on = vmi::irq::save();
        <Native as Irq>::disable();
        let off = vmi::irq::save();
        vmi::irq::restore(on);
        equal("flag when on is restored", flag(), true)?;
        vmi::irq::restore(off);
        equal("flag when off is restored", flag(), false)?;
        Ok(PASSED)
    })
}

fn disable() -> Verdict {
    with_flag(true, || {
        vmi::irq::disable();
        equal("flag", flag(), false)?;
        Ok(PASSED)
    })
}

fn enable() -> Verdict {
    with_flag(false, || {
        vmi::irq::enable();
        equal("flag", flag(), true)?;
        Ok(PASSED)
    })
}

/// An interrupt that is pending comes at the latest behind the first instruction that follows, which natively stands in
/// the shadow of `sti`: a function that is called instead spends the shadow on its return.
fn enable_with_one_pending() -> Verdict {
    let first = |enable: extern "sysv64" fn(&'static AtomicU64) -> shadow::Looks| {
        <Native as Irq>::disable();
        timer::request();
        timer::until_pending();
        let before = timer::ticks();
        let looks = enable(timer::counter());
        equal("interrupts at the second instruction", looks.second - before, 1_u64)?;
        Ok(looks.first - before)
    };
    first(shadow::by_op)?;
    // A host that is entered within the shadow, for reasons of its own, may forget it.
    const TRIES: usize = 5;
    let behind_sti = (0..TRIES).map(|_| first(shadow::by_instruction)).find(|seen| !matches!(seen, Ok(1)));
    equal("interrupts at the first instruction behind sti", behind_sti.unwrap_or(Ok(1))?, 0_u64)?;
    equal("interrupts at the first instruction behind a call", first(shadow::by_call)?, 1_u64)?;
    Ok(PASSED)
}

/// An interrupt that is already pending when `wait` is called must end it. If it were lost between enabling and
/// halting, the next one would: the first is soon there, the second comes long after.
fn wait() -> Verdict {
    // A machine that is held up for long takes the second one for the first.
    const TRIES: usize = 3;
    (0..TRIES).map(|_| wait_once()).find(Result::is_ok).unwrap_or_else(wait_once)
}

fn wait_once() -> Verdict {
    with_flag(false, || {
        timer::start_once(SOON);
        timer::until_pending();
        timer::start_once(LATE);
        let before = timer::ticks();
        vmi::irq::wait();
        let on = flag();
        <Native as Irq>::disable();
        timer::stop();
        equal("interrupts handled", timer::ticks() - before, 1_u64)?;
        equal("flag behind", on, true)?;
        Ok(PASSED)
    })
}

/// From just behind one interrupt, a halt lasts until the next.
fn halt() -> Verdict {
    with_flag(true, || {
        timer::start(PERIOD);
        let first = timer::ticks();
        while timer::ticks() == first {
            core::hint::spin_loop();
        }
        let before = timer::ticks();
        vmi::irq::halt();
        let after = timer::ticks();
        timer::stop();
        holds("an interrupt ended the halt", after > before)?;
        Ok(PASSED)
    })
}

fn leave() -> Verdict {
    equal("landed", leave_by_frame(), 1_u64)?;
    Ok(PASSED)
}

fn guard() -> Verdict {
    with_flag(true, || {
        {
            let _outer = vmi::irq::Guard::new();
            equal("flag inside", flag(), false)?;
            drop(vmi::irq::Guard::new());
            equal("flag behind the inner guard", flag(), false)?;
        }
        equal("flag behind the outer guard", flag(), true)?;
        equal("flag in the closure", vmi::irq::without(flag), false)?;
        equal("flag behind the closure", flag(), true)?;
        Ok(PASSED)
    })
}
