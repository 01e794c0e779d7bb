//! A check that cannot fail proves nothing: with its op replaced by nothing, or by a constant, every one must.

use anyhow::{Result, ensure};
use vmi_abi::{Op, cpu, io};

use super::run::{Context, Outcome, Test};
use crate::boot::{Boot, Ending};
use crate::console::Report;
use crate::host::Host;

pub(super) const TESTS: &[Test] = &[
    Test { name: "mutations::every_check_fails_without_its_op", run: every_check_fails },
    Test { name: "mutations::an_unknown_op_is_refused", run: an_unknown_op },
];

/// A hint and a delay have no effect that could be missed.
const WITHOUT_EFFECT: [Op; 2] = [cpu::relax::OP, io::delay::OP];

fn boot(context: &mut Context, op: &str) -> Result<(Report, Ending)> {
    let image = context.image()?;
    let run = Boot::new(Host::named("tcg")?, &image).arguments(&format!("mutate={op}")).run()?;
    Ok((Report::read(&run.console), run.ending))
}

fn every_check_fails(context: &mut Context) -> Result<Outcome> {
    for op in Op::all() {
        let (report, ending) = boot(context, op.name())?;
        ensure!(report.backend() == Some("mutant"), "{op}: the backend is {:?}", report.backend());
        if WITHOUT_EFFECT.contains(&op) {
            ensure!(ending == Ending::Exit(0x10), "{op}: {ending}");
            continue;
        }
        let [(name, _)] = &report.failed[..] else { anyhow::bail!("{op}: not one check failed: {ending}") };
        ensure!(name.ends_with(op.name()), "{op}: the check of {name} failed");
        ensure!(report.passed.is_empty() && report.skipped.is_empty(), "{op}: other checks ran: {report:?}");
        ensure!(ending == Ending::Exit(0x11), "{op}: {ending}");
    }
    Ok(Outcome::Passed)
}

fn an_unknown_op(context: &mut Context) -> Result<Outcome> {
    let (report, ending) = boot(context, "irq::nothing")?;
    ensure!(report.failed.iter().any(|(_, why)| why == "no such op"), "{:?}", report.failed);
    ensure!(ending == Ending::Exit(0x11), "{ending}");
    Ok(Outcome::Passed)
}
