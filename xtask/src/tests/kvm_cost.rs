//! What KVM's interfaces cost through the library.

use anyhow::{Context as _, Result, ensure};

use super::run::{Context, Outcome, Test};
use crate::bench::figures_of;
use crate::boot::Boot;
use crate::full_run::judge;
use crate::host::Host;

pub(super) const TESTS: &[Test] = &[Test {
    name: "kvm_cost::24_instructions_read_the_clock_page_and_a_hypercall_is_the_instruction",
    run: clock_page_and_hypercall,
}];

/// Instructions from the entry of the function to its `ret`, while the page stays as it was and time goes by.
const READ_MAX: f64 = 24.0;
/// The `call` in the loop.
const CALL: f64 = 1.0;
/// What the host's part of an exit may differ by.
const HOST: f64 = 1.0;

fn clock_page_and_hypercall(context: &mut Context) -> Result<Outcome> {
    let host = Host::named("kvm")?;
    let mut boot = Boot::new(host, &context.image()?).arguments("bench=clock::page,exit::hypercall");
    boot.counts_instructions = true;
    let run = boot.run()?;
    judge(&run)?;
    let measured = figures_of(host, &[run.console])?;
    let cost = |name: &str, variant: &str| {
        let mut figures = measured.figures.iter();
        let figure = figures.find(|figure| figure.name == name && figure.variant == variant);
        figure.map(|figure| figure.instructions.least).with_context(|| format!("{name} {variant} is missing"))
    };

    let read = cost("clock::page", "direct")? - CALL;
    // The counter, a multiplication and two looks at the page are more than a few.
    ensure!(read > 10.0, "only {read} instructions were counted");
    ensure!(read <= READ_MAX, "{read} instructions read the clock page, at most {READ_MAX} allowed");

    let [library, bare] = ["backend", "bare"].map(|variant| cost("exit::hypercall", variant));
    let (library, bare) = (library?, bare?);
    ensure!(bare > 100.0, "{bare} instructions are no exit");
    ensure!((library - bare).abs() <= HOST, "a hypercall takes {library} instructions, the bare one {bare}");
    Ok(Outcome::Passed)
}
