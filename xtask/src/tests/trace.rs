//! Reading the clock causes no exit: KVM's own trace of exits, by guest address, over as many reads as there are
//! instructions that must exit.

use anyhow::{Context as _, Result, ensure};

use super::run::{Context, Outcome, Test};
use crate::boot::{Boot, Exits};
use crate::elf::Elf;
use crate::full_run::judge;
use crate::host::Host;

pub(super) const TESTS: &[Test] =
    &[Test { name: "trace::reading_the_clock_causes_no_exit", run: reading_the_clock_causes_no_exit }];

/// Turns of both loops of the image's command `trace`.
const TURNS: u64 = 10_000;

fn reading_the_clock_causes_no_exit(context: &mut Context) -> Result<Outcome> {
    let image = context.image()?;
    let elf = Elf::read(&image)?;
    let mut boot = Boot::new(Host::named("kvm")?, &image).arguments("trace");
    boot.trace_exits = true;
    let run = boot.run()?;
    let report = judge(&run)?;
    ensure!(report.backend() == Some("kvm"), "the backend is {:?}", report.backend());
    let said = format!("trace: reads {TURNS} clock 0x");
    let clock = run.console.lines().find_map(|line| line.strip_prefix(&said));
    let clock = clock.with_context(|| format!("the image did not say `{said}...`"))?;
    let clock = u64::from_str_radix(clock.trim(), 16).context("where the clock is")?;

    let at =
        |name: &str, address: u64| elf.function_at(address).is_some_and(|function| function.name == name);
    let counted = |place: &dyn Fn(u64) -> bool, kind: &dyn Fn(u32) -> bool| -> u64 {
        let here = run.exits.iter().filter(|exits| place(exits.address) && kind(exits.reason));
        here.map(|exits| exits.count).sum()
    };
    let control = counted(&|address| at("trace_control", address), &|reason| reason == Exits::CPUID);
    ensure!(control == TURNS, "{control} exits at the control instruction in {TURNS} turns");

    // The loop, what it calls, and all else of the clock. What the host's own interrupts do is not the reader's.
    let reader = elf.function_at(clock).context("the clock is in no function")?.clone();
    let reads = |address: u64| {
        at("trace_reader", address)
            || reader.range.contains(&address)
            || elf.function_at(address).is_some_and(|function| function.is("vmi_kvm_backend"))
                && !elf.function_at(address).is_some_and(|function| function.is("registration"))
    };
    ensure!(reads(
        elf.functions()
            .iter()
            .find(|function| function.name == "trace_reader")
            .context("no loop")?
            .range
            .start
    ));
    let exits = counted(&reads, &|reason| reason != Exits::INTERRUPT);
    ensure!(exits == 0, "{exits} exits at the reader's addresses in {TURNS} reads");
    Ok(Outcome::Passed)
}
