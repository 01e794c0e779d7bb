//! Check of the end of an interrupt, by the local APIC's in-service bit.

use vmi_abi::Irq;
use vmi_native::Native;

use super::{Check, PASSED};
use crate::kernel::{
    tally::{Verdict, equal},
    timer,
};

pub const CHECKS: &[Check] = &[("apic::eoi", eoi)];

fn eoi() -> Verdict {
    timer::end_next_by_op();
    let before = timer::ticks();
    timer::start(1_000_000);
    <Native as Irq>::enable();
    while timer::ticks() == before {
        core::hint::spin_loop();
    }
    <Native as Irq>::disable();
    timer::stop();
    let (in_service_before, in_service_after) = timer::in_service_around_op();
    equal("in service before", in_service_before, true)?;
    equal("in service after", in_service_after, false)?;
    Ok(PASSED)
}
