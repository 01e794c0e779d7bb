//! A pass takes both: the summary on the console and the value at the exit device.

use anyhow::{Result, bail, ensure};

use super::run::{Context, Outcome, Test};
use super::tiny_kernel::{End, GOOD};
use crate::boot::{Boot, Ending};
use crate::full_run::{full_run, judge};
use crate::host::Host;

pub(super) const TESTS: &[Test] = &[
    Test { name: "verdicts::a_good_kernel_passes_on_every_machine", run: good },
    Test { name: "verdicts::either_half_of_a_pass_alone_fails", run: halves },
    Test { name: "verdicts::a_long_console_arrives_whole", run: long_console },
    Test { name: "verdicts::the_power_boots_are_checks", run: power },
    Test { name: "verdicts::the_rig_runs_several_guests_in_one_start", run: several_guests },
    Test { name: "verdicts::the_rig_counts_exits_by_address", run: exits },
];

fn good(context: &mut Context) -> Result<Outcome> {
    let image = context.tiny_kernel("good", GOOD, End::Exit(0x10))?;
    for host in Host::gates() {
        for &machine in host.machines() {
            let mut boot = Boot::new(host, &image);
            boot.machine = machine;
            let report = judge(&boot.run()?)?;
            ensure!(report.passed.len() == 2, "{host} on {machine}: {} checks", report.passed.len());
        }
    }
    Ok(Outcome::Passed)
}

fn halves(context: &mut Context) -> Result<Outcome> {
    let cases = [
        ("silence", "", End::Exit(0x10), "no summary came"),
        ("text behind the summary", &format!("{GOOD}PANIC\n"), End::Exit(0x10), "no summary came"),
        ("wrong value", GOOD, End::Exit(0x11), "wrote 0x11"),
        ("reset", GOOD, End::TripleFault, "triple fault"),
        ("no check", "summary: 0 passed, 0 failed, 0 skipped\n", End::Exit(0x10), "not one check"),
        (
            "failed check",
            "PASS a\nFAIL b: no\nsummary: 1 passed, 1 failed, 0 skipped\n",
            End::Exit(0x10),
            "failed",
        ),
        (
            "lost line",
            "PASS a\nsummary: 2 passed, 0 failed, 0 skipped\n",
            End::Exit(0x10),
            "the console shows 1",
        ),
    ];
    for (name, text, end, reason) in cases {
        let image = context.tiny_kernel("half", text, end)?;
        match judge(&Boot::new(Host::named("tcg")?, &image).run()?) {
            Ok(_) => bail!("{name}: passed"),
            Err(error) => ensure!(error.to_string().contains(reason), "{name}: `{error}` lacks `{reason}`"),
        }
    }
    Ok(Outcome::Passed)
}

/// The kernel does not wait for the port, and nobody may make it lose a byte.
fn long_console(context: &mut Context) -> Result<Outcome> {
    let text: String = (0..2000).map(|number| format!("line {number:05}\n")).collect();
    let image = context.tiny_kernel("talkative", &text, End::Exit(0x10))?;
    for host in Host::gates() {
        let console = Boot::new(host, &image).run()?.console;
        let is_whole = console == text;
        ensure!(is_whole, "{host}: {} of {} bytes arrived", console.len(), text.len());
    }
    Ok(Outcome::Passed)
}

fn power(context: &mut Context) -> Result<Outcome> {
    let image = context.tiny_kernel("good", GOOD, End::Exit(0x10))?;
    for host in Host::gates() {
        let full = full_run(&Boot::new(host, &image))?;
        ensure!(full.complaints.is_empty(), "{}", full.complaints.join("; "));
        ensure!(full.checks.passed == 4 && full.checks.skipped == 1, "{host}: {:?}", full.checks);
    }
    // With another word in front the kernel takes no notice, and so fails both.
    let full = full_run(&Boot::new(Host::named("bare")?, &image).arguments("deaf"))?;
    ensure!(full.checks.failed == 2, "a kernel without power boots: {:?}", full.checks);
    ensure!(full.complaints.iter().all(|text| text.contains("power::")), "{}", full.complaints.join("; "));
    Ok(Outcome::Passed)
}

fn several_guests(context: &mut Context) -> Result<Outcome> {
    let image = context.tiny_kernel("good", GOOD, End::Exit(0x12))?;
    let lines = ["it's \"quoted\" $HOME", "power=shutdown", "", "power=reboot"];
    let runs = Boot::new(Host::named("kvm")?, &image).run_many(&lines)?;
    let endings: Vec<Ending> = runs.iter().map(|run| run.ending.clone()).collect();
    ensure!(
        endings == [Ending::Exit(0x12), Ending::PowerOff, Ending::Exit(0x12), Ending::Reset],
        "{endings:?}"
    );
    let consoles: Vec<&str> = runs.iter().map(|run| run.console.as_str()).collect();
    ensure!(consoles == [GOOD, "", GOOD, ""], "{consoles:?}");
    Ok(Outcome::Passed)
}

fn exits(context: &mut Context) -> Result<Outcome> {
    let image = context.tiny_kernel("good", GOOD, End::Exit(0x10))?;
    let mut boot = Boot::new(Host::named("kvm")?, &image);
    boot.trace_exits = true;
    let run = boot.run()?;
    judge(&run)?;
    // The one instruction that prints exits once for each byte.
    let bytes = GOOD.len() as u64;
    let found = run.exits.iter().filter(|exits| exits.address < 0x30_0000 && exits.count == bytes).count();
    ensure!(found == 1, "{found} addresses have {bytes} exits among {:?}", run.exits);
    Ok(Outcome::Passed)
}
