//! One check an op, each of an effect that can be observed without the op: a check must fail when its op does nothing.

pub mod apic;
pub mod cpu;
pub mod image;
pub mod io;
pub mod irq;
pub mod kvm;
pub mod mmu;
pub mod msr;
pub mod pcid;
pub mod time;

use vmi::{Op, Report};

use super::tally::{Outcome, Tally, Verdict};

/// A check and the op, or the property, that it checks.
pub type Check = (&'static str, fn() -> Verdict);

/// The verdict of a check that saw what it should.
pub const PASSED: Outcome = Outcome::Passed;

const ALL: [&[Check]; 9] = [
    irq::CHECKS,
    cpu::CHECKS,
    msr::CHECKS,
    mmu::CHECKS,
    pcid::CHECKS,
    time::CHECKS,
    apic::CHECKS,
    io::CHECKS,
    image::CHECKS,
];

/// Ops whose effect ends the run: the host checks them.
const SEEN_FROM_OUTSIDE: [Op; 2] = [vmi_abi::power::shutdown::OP, vmi_abi::power::reboot::OP];

/// Runs every check.
pub fn run(phase: &str, tally: &mut Tally) {
    for (name, check) in ALL.into_iter().flatten() {
        tally.count(phase, name, check());
    }
    for op in Op::all().filter(|op| !SEEN_FROM_OUTSIDE.contains(op)) {
        if of(op).is_none() {
            tally.fail(phase, op.name(), "has no check");
        }
    }
}

/// Runs the check of one op.
pub fn run_one(phase: &str, op: Op, tally: &mut Tally) {
    match of(op) {
        Some(check) => tally.count(phase, op.name(), check()),
        None => tally.fail(phase, op.name(), "has no check"),
    }
}

/// Runs the checks that belong to the chosen backend.
pub fn run_for_backend(report: &Report, tally: &mut Tally) {
    for (name, check) in kvm::checks(report) {
        tally.count("after", name, check());
    }
}

/// Runs the checks of what the chosen backend left behind.
pub fn run_after_backend(report: &Report, tally: &mut Tally) {
    if report.offer("kvm").is_some() {
        run_without_backend("teardown", tally);
    }
}

/// Runs the checks of a machine with which nothing may be registered.
pub fn run_without_backend(phase: &str, tally: &mut Tally) {
    for (name, check) in kvm::UNUSED {
        tally.count(phase, name, check());
    }
}

fn of(op: Op) -> Option<fn() -> Verdict> {
    ALL.into_iter().flatten().find(|(name, _)| *name == op.name()).map(|(_, check)| *check)
}
