//! What it costs to read KVM's clock page.

use anyhow::{Context as _, Result, ensure};

use super::run::{Context, Outcome, Test};
use crate::bench::figures_of;
use crate::boot::Boot;
use crate::full_run::judge;
use crate::host::Host;

pub(super) const TESTS: &[Test] =
    &[Test { name: "clock_cost::the_clock_page_is_read_by_24_instructions", run: clock_page }];

/// Instructions from the entry of the function to its `ret`, while the page stays as it was and time goes by.
const READ_MAX: f64 = 24.0;
/// The `call` in the loop.
const CALL: f64 = 1.0;

fn clock_page(context: &mut Context) -> Result<Outcome> {
    let host = Host::named("kvm")?;
    let mut boot = Boot::new(host, &context.image()?).arguments("bench=clock::page");
    boot.counts_instructions = true;
    let run = boot.run()?;
    judge(&run)?;
    let measured = figures_of(host, &[run.console])?;
    let mut figures = measured.figures.iter();
    let direct = figures.find(|figure| figure.name == "clock::page" && figure.variant == "direct");
    let read = direct.context("the clock page was not read directly")?.instructions.least - CALL;
    // The counter by itself, the multiplication and the two looks at the page are more than a few.
    ensure!(read > 10.0, "only {read} instructions were counted");
    ensure!(read <= READ_MAX, "{read} instructions, at most {READ_MAX} allowed");
    Ok(Outcome::Passed)
}
