//! The life of the image on every host: with every op replaced, without `init`, with words that forbid things, and to
//! the end in every phase.

use anyhow::{Context as _, Result, bail, ensure};

use super::run::{Context, Outcome, Test};
use crate::boot::{Boot, Console, Ending, Run};
use crate::console::{Report, Sites};
use crate::full_run::{epoch, judge};
use crate::host::{Host, Machine, Vmm};

pub(super) const TESTS: &[Test] = &[
    Test { name: "life::native_hosts_edit_nothing", run: native_hosts_edit_nothing },
    Test { name: "life::kvm_edits_for_kvm", run: kvm_edits_for_kvm },
    Test { name: "life::every_form_of_replacement_passes_on_every_host", run: every_form },
    Test { name: "life::a_kernel_that_never_calls_init_runs_natively", run: never_init },
    Test { name: "life::one_life_follows_the_other", run: lives },
    Test { name: "life::words_on_the_command_line_forbid_things", run: forbidden },
    Test { name: "life::the_power_switch_works_in_every_phase", run: power_in_every_phase },
    Test { name: "life::row_27_microvm_without_legacy_devices", run: without_legacy_devices },
    Test { name: "life::row_27_a_machine_without_com1", run: without_com1 },
    Test { name: "life::row_27_com1_that_takes_bytes_alone", run: bytewise_com1 },
    Test { name: "life::firmware_leaves_no_clock_page_behind", run: firmware },
];

fn boot(context: &mut Context, host: &str) -> Result<Boot> {
    Ok(Boot::new(Host::named(host)?, &context.image()?).arguments(&epoch()))
}

/// Judges runs that must all pass.
fn all_pass(runs: &[Run]) -> Result<Vec<Report>> {
    runs.iter().map(judge).collect()
}

fn native_hosts_edit_nothing(context: &mut Context) -> Result<Outcome> {
    for (host, seen) in [("bare", "none"), ("tcg", "TCGTCGTCGTCG"), ("xen", "XenVMMXenVMM")] {
        for &machine in Host::named(host)?.machines() {
            let mut boot = boot(context, host)?;
            boot.machine = machine;
            let report = judge(&boot.run()?)?;
            let Sites { total, native, .. } = report.sites.context("no line about the sites")?;
            ensure!(total > 0 && native == total, "{host} on {machine}: {:?}", report.sites);
            ensure!(report.backend() == Some("native"), "{host}: {:?}", report.backend());
            ensure!(report.hypervisor.as_deref() == Some(seen), "{host}: {:?}", report.hypervisor);
        }
    }
    Ok(Outcome::Passed)
}

fn kvm_edits_for_kvm(context: &mut Context) -> Result<Outcome> {
    for machine in Machine::ALL {
        let mut boot = boot(context, "kvm")?;
        boot.machine = machine;
        let report = judge(&boot.run()?)?;
        let sites = report.sites.context("no line about the sites")?;
        ensure!(sites.call > 0 && sites.nop > 0, "{machine}: {sites:?}");
        ensure!(report.backend() == Some("kvm"), "{machine}: {:?}", report.backend());
        ensure!(report.hypervisor.as_deref() == Some("KVMKVMKVM"), "{machine}: {:?}", report.hypervisor);
        for check in [
            "after/kvm/the clock is the page's formula",
            "after/kvm/the clock follows a changed multiplier",
            "after/kvm/the clock goes on over a restore",
            "after/kvm/the page is registered",
            "after/kvm/the calendar needs no real-time clock",
            "after/kvm/an unknown hypercall is refused",
            "teardown/kvm/no page is registered",
            "teardown/text",
        ] {
            ensure!(report.passed.iter().any(|name| name == check), "{machine}: `{check}` did not pass");
        }
    }
    Ok(Outcome::Passed)
}

fn every_form(context: &mut Context) -> Result<Outcome> {
    for host in Host::gates() {
        let image = context.image()?;
        let report = judge(&Boot::new(host, &image).arguments("backend=selftest").run()?)?;
        for form in ["thunk", "naked", "inline", "nop"] {
            for check in ["every site is edited", "registers survive every leaf op"] {
                let check = format!("{form}/{check}");
                ensure!(report.passed.contains(&check), "{host}: `{check}` did not pass");
            }
        }
    }
    Ok(Outcome::Passed)
}

fn never_init(context: &mut Context) -> Result<Outcome> {
    for host in Host::gates() {
        let image = context.image()?;
        let report = judge(&Boot::new(host, &image).arguments("no-init").run()?)?;
        ensure!(report.layers.is_none(), "{host}: init was called");
    }
    Ok(Outcome::Passed)
}

fn lives(context: &mut Context) -> Result<Outcome> {
    for host in Host::gates() {
        let image = context.image()?;
        judge(&Boot::new(host, &image).arguments("lives").run()?)?;
    }
    Ok(Outcome::Passed)
}

fn forbidden(context: &mut Context) -> Result<Outcome> {
    let runs = boot(context, "kvm")?.run_many(&["nopv", "no-kvmclock", "no-kvm"])?;
    let reports = all_pass(&runs)?;
    let [nopv, no_clock, no_kvm] = &reports[..] else { bail!("{} runs", reports.len()) };
    ensure!(nopv.backend() == Some("native"), "nopv: {:?}", nopv.backend());
    ensure!(nopv.sites.is_some_and(|sites| sites.native == sites.total), "nopv: {:?}", nopv.sites);
    let check = "after/kvm/no page is registered";
    ensure!(nopv.passed.iter().any(|name| name == check), "nopv: `{check}` did not pass");
    ensure!(no_clock.backend() == Some("kvm"), "no-kvmclock: {:?}", no_clock.backend());
    ensure!(no_clock.sites.is_some_and(|sites| sites.call == 0), "no-kvmclock: {:?}", no_clock.sites);
    ensure!(no_clock.passed.iter().any(|name| name == check), "no-kvmclock: `{check}` did not pass");
    ensure!(no_kvm.backend() == Some("native"), "no-kvm: {:?}", no_kvm.layers);
    ensure!(no_kvm.sites.is_some_and(|sites| sites.native == sites.total), "no-kvm: {:?}", no_kvm.sites);
    let runs = boot(context, "vmi")?.run_many(&["", "no-kvm", "no-vmi"])?;
    for (report, expected) in all_pass(&runs)?.iter().zip([&["kvm", "vmi"][..], &["vmi"], &["kvm"]]) {
        let layers = report.layers.as_deref().unwrap_or_default();
        ensure!(layers == expected, "{layers:?} are not {expected:?}");
    }
    Ok(Outcome::Passed)
}

fn power_in_every_phase(context: &mut Context) -> Result<Outcome> {
    let lines = ["before", "after", "teardown"]
        .map(|phase| ["shutdown", "reboot"].map(|action| format!("power={action} phase={phase}")))
        .concat();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    for host in Host::gates() {
        let image = context.image()?;
        for (run, line) in Boot::new(host, &image).run_many(&lines)?.iter().zip(&lines) {
            let expected = if line.contains("shutdown") { Ending::PowerOff } else { Ending::Reset };
            // A VMI host is told a status, and passes it on.
            let by_call = host.vmm == Vmm::VmiRun && line.ends_with("shutdown phase=after");
            let expected = if by_call { Ending::Exit(0) } else { expected };
            ensure!(run.ending == expected, "{host}: `{line}`: {}: {}", run.ending, run.console);
        }
    }
    Ok(Outcome::Passed)
}

/// No interrupt controller, timer, calendar or ACPI of old: the counter's rate is unknown, and that is no failure.
fn without_legacy_devices(context: &mut Context) -> Result<Outcome> {
    for host in ["bare", "tcg", "kvm"] {
        let mut boot = boot(context, host)?;
        boot.machine = Machine::Microvm;
        boot.machine_options = ",acpi=off,rtc=off,pit=off,pic=off".to_owned();
        let report = judge(&boot.run()?)?;
        let skipped = |name: &str| report.skipped.iter().any(|(check, _)| check == name);
        ensure!(skipped("before/time::wall_clock"), "{host}: there is a calendar");
        ensure!(skipped("after/time::wall_clock") == (host != "kvm"), "{host}: {:?}", report.skipped);
    }
    Ok(Outcome::Passed)
}

/// What could not be done natively either is skipped; what is said comes by the debug port.
fn without_com1(context: &mut Context) -> Result<Outcome> {
    for host in ["bare", "tcg"] {
        let mut boot = boot(context, host)?;
        boot.console = Console::DebugPort;
        are_skipped(&judge(&boot.run()?)?, &["in8", "in16", "in32", "out8", "out16", "out32"])?;
    }
    Ok(Outcome::Passed)
}

fn bytewise_com1(context: &mut Context) -> Result<Outcome> {
    let mut boot = boot(context, "vmi")?;
    boot.vmm_arguments = ["--without", "wide-serial"].map(str::to_owned).to_vec();
    are_skipped(&judge(&boot.run()?)?, &["in16", "in32", "out16", "out32"])?;
    Ok(Outcome::Passed)
}

/// Demands that exactly these checks of port accesses were skipped, in every phase.
fn are_skipped(report: &Report, ops: &[&str]) -> Result<()> {
    let phases = ["before", "after", "teardown"].into_iter();
    let expected: Vec<String> =
        phases.flat_map(|phase| ops.iter().map(move |op| format!("{phase}/io::{op}"))).collect();
    let skipped: Vec<&String> =
        report.skipped.iter().map(|(name, _)| name).filter(|name| name.contains("/io::")).collect();
    ensure!(skipped.iter().copied().eq(&expected), "{skipped:?}");
    Ok(())
}

/// SeaBIOS registers a clock page on pc and q35; with and without a clock of ours, none may be left.
fn firmware(context: &mut Context) -> Result<Outcome> {
    for machine in [Machine::Pc, Machine::Q35] {
        let mut boot = boot(context, "kvm")?;
        boot.machine = machine;
        let runs = boot.run_many(&["", "no-kvmclock"])?;
        for report in all_pass(&runs)? {
            let check = "teardown/kvm/no page is registered";
            ensure!(report.passed.iter().any(|name| name == check), "{machine}: `{check}` did not pass");
        }
    }
    Ok(Outcome::Passed)
}
