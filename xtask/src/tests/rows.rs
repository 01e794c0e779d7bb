//! Inputs that a paravirt layer must survive, where only a machine can show it. The others are tests of the crates; all
//! are named after their row.

use anyhow::{Context as _, Result, ensure};

use super::run::{Context, Outcome, Test};
use crate::boot::Boot;
use crate::console::Report;
use crate::elf::Elf;
use crate::full_run::judge;
use crate::host::{Host, Machine, Place};

pub(super) const TESTS: &[Test] = &[
    Test { name: "rows::row_01_signature_without_the_hypervisor_bit", run: row_01 },
    Test { name: "rows::row_02_hypervisor_bit_without_leaves", run: row_02 },
    Test { name: "rows::row_05_kvm_behind_hyper_v", run: row_05 },
    Test { name: "rows::row_06_features_masked", run: row_06 },
    Test { name: "rows::row_08_absent_msr", run: row_08 },
    Test { name: "rows::row_09_unknown_hypercall", run: row_09 },
    Test { name: "rows::row_10_hypercall_opcodes_without_a_hypervisor", run: row_10 },
    Test { name: "rows::row_21_sites_across_16_byte_lines", run: row_21 },
    Test { name: "rows::row_24_text_is_write_protected", run: row_24 },
    Test { name: "rows::row_26_an_image_with_a_multiboot_header", run: row_26 },
];

fn report(context: &mut Context, host: &str, cpu: Option<&str>) -> Result<Report> {
    let image = context.image()?;
    let host = Host::named(host)?;
    let emulated = if host.place == Place::Here { "hypercalls=undefined" } else { "" };
    let mut boot = Boot::new(host, &image).arguments(emulated);
    if let Some(cpu) = cpu {
        cpu.clone_into(&mut boot.cpu);
    }
    judge(&boot.run()?)
}

/// Demands that a check passed.
fn passed(report: &Report, check: &str) -> Result<()> {
    ensure!(report.passed.iter().any(|name| name == check), "`{check}` did not pass");
    Ok(())
}

/// Demands what was seen, and what was chosen.
fn chose(report: &Report, hypervisor: &str, backend: &str) -> Result<()> {
    let found = (report.hypervisor.as_deref(), report.backend());
    ensure!(found == (Some(hypervisor), Some(backend)), "{found:?}");
    Ok(())
}

fn row_01(context: &mut Context) -> Result<Outcome> {
    chose(&report(context, "tcg", Some("max,-hypervisor"))?, "TCGTCGTCGTCG", "native")?;
    chose(&report(context, "kvm", Some("host,-hypervisor"))?, "KVMKVMKVM", "kvm")?;
    Ok(Outcome::Passed)
}

fn row_02(context: &mut Context) -> Result<Outcome> {
    chose(&report(context, "tcg", Some("max,tcg-cpuid=off"))?, "none", "native")?;
    Ok(Outcome::Passed)
}

fn row_05(context: &mut Context) -> Result<Outcome> {
    chose(&report(context, "kvm", Some("host,hv_relaxed,hv_vapic,hv_time"))?, "Microsoft Hv", "kvm")?;
    Ok(Outcome::Passed)
}

fn row_06(context: &mut Context) -> Result<Outcome> {
    let without_clock = report(context, "kvm", Some("host,-kvmclock,-kvm-nopiodelay"))?;
    // A layer that would replace nothing is none.
    chose(&without_clock, "KVMKVMKVM", "native")?;
    ensure!(
        without_clock.sites.is_some_and(|sites| sites.native == sites.total),
        "{:?}",
        without_clock.sites
    );
    let unstable = report(context, "kvm", Some("host,-kvmclock-stable-bit"))?;
    ensure!(unstable.sites.is_some_and(|sites| sites.call > 0), "{:?}", unstable.sites);
    let hidden = report(context, "kvm", Some("host,kvm=off"))?;
    chose(&hidden, "none", "native")?;
    Ok(Outcome::Passed)
}

/// KVM faults, the emulated CPU reads 0: both are reported as they are.
fn row_08(context: &mut Context) -> Result<Outcome> {
    passed(&report(context, "kvm", None)?, "after/a faulting read is reported")?;
    let tcg = report(context, "tcg", None)?;
    let check = "after/a faulting read is reported";
    ensure!(tcg.skipped.iter().any(|(name, _)| name == check), "`{check}` was not skipped");
    Ok(Outcome::Passed)
}

fn row_09(context: &mut Context) -> Result<Outcome> {
    passed(&report(context, "kvm", None)?, "after/kvm/an unknown hypercall is refused")?;
    Ok(Outcome::Passed)
}

fn row_10(context: &mut Context) -> Result<Outcome> {
    for host in ["bare", "tcg"] {
        let report = report(context, host, None)?;
        passed(&report, "after/hypercall opcodes are undefined").context(host)?;
        passed(&report, "after/a hypercall that nobody takes is tried once").context(host)?;
    }
    Ok(Outcome::Passed)
}

fn row_21(context: &mut Context) -> Result<Outcome> {
    let image = context.image()?;
    let elf = Elf::read(&image)?;
    let across = elf.sites().filter(|placed| {
        let last = placed.address + u64::from(placed.site.len) - 1;
        placed.address / 16 != last / 16
    });
    ensure!(across.count() > 0, "no site lies across a line");
    let mut boot = Boot::new(Host::named("tcg")?, &image).arguments("backend=selftest");
    boot.machine = Machine::Microvm;
    judge(&boot.run()?)?;
    Ok(Outcome::Passed)
}

fn row_24(context: &mut Context) -> Result<Outcome> {
    for host in Host::gates() {
        let report = report(context, host.name, None)?;
        for phase in ["before", "after", "teardown"] {
            passed(&report, &format!("{phase}/text is write-protected")).context(host.name)?;
        }
    }
    Ok(Outcome::Passed)
}

/// QEMU takes such a header first and then refuses the 64-bit file: our image has none, and one that has is named.
fn row_26(context: &mut Context) -> Result<Outcome> {
    let image = context.image()?;
    let mut bytes = std::fs::read(&image).context("cannot read the image")?;
    let header = [0x1bad_b002_u32, 0, 0x1bad_b002_u32.wrapping_neg()];
    // Behind the program headers lies nothing that the loader needs to find the note.
    let at = 4096;
    for (index, word) in header.into_iter().enumerate() {
        bytes[at + 4 * index..][..4].copy_from_slice(&word.to_le_bytes());
    }
    let image = context.write("multiboot", &bytes)?;
    let arguments = ["boot", "--host", "tcg", "--image", &image.display().to_string()].map(str::to_owned);
    context.program(arguments)?.refuses(&["multiboot", "multiboot header"])?;
    Ok(Outcome::Passed)
}
