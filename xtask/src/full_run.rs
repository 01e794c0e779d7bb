//! The verdict on a boot, and the full run of an image on a host.

use std::time::{Instant, SystemTime};

use anyhow::{Result, anyhow};

use crate::boot::{Boot, Ending, Run, millis_since};
use crate::console::{Checks, Report};
use crate::host::Vmm;
use crate::vmi_run;

/// What the image writes to the exit device when it is content.
const CONTENT: u8 = 0x10;

/// The boots in which the image ends the machine instead of reporting: name of the check, argument, expected ending.
const POWER: [(&str, &str, Ending); 2] = [
    ("power::shutdown", "power=shutdown", Ending::PowerOff),
    ("power::reboot", "power=reboot", Ending::Reset),
];

/// What a full run found on one host.
#[derive(Debug)]
pub(crate) struct Full {
    /// What the image reported in its main boot.
    pub(crate) report: Report,
    /// All checks: those of the image and the endings of the machine.
    pub(crate) checks: Checks,
    /// One sentence for each thing that went wrong; empty after a pass.
    pub(crate) complaints: Vec<String>,
    /// Wall clock of all boots of the host, in milliseconds.
    pub(crate) millis: u64,
}

/// Judges a boot; a pass takes both, the image's final summary and the right value at the exit device.
///
/// # Errors
///
/// Says in one sentence why the boot did not pass.
pub(crate) fn judge(run: &Run) -> Result<Report> {
    let report = Report::read(&run.console);
    match why_not(run, &report) {
        None => Ok(report),
        Some(reason) => Err(anyhow!("{}: {reason}", run.host)),
    }
}

/// Boots the image and both ways of ending the machine, and judges everything.
///
/// # Errors
///
/// Fails where the boots cannot be tried and on Ctrl-C; an image that fails is not an error.
pub(crate) fn full_run(boot: &Boot) -> Result<Full> {
    // What is built once is not what a boot takes.
    if boot.host.vmm == Vmm::VmiRun {
        vmi_run::build()?;
    }
    let start = Instant::now();
    let mut lines = vec![format!("{} {}", boot.arguments, epoch()).trim().to_owned()];
    lines.extend(POWER.map(|(_, argument, _)| format!("{} {argument}", boot.arguments).trim().to_owned()));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut runs = boot.run_many(&lines)?.into_iter();
    let main = runs.next().ok_or_else(|| anyhow!("{}: the boot came to no end", boot.host))?;

    let report = Report::read(&main.console);
    let mut complaints: Vec<String> =
        report.failed.iter().map(|(name, why)| format!("{name}: {why}")).collect();
    let mut checks = report.summary.unwrap_or(Checks {
        passed: report.passed.len() as u64,
        failed: report.failed.len() as u64,
        skipped: report.skipped.len() as u64,
    });
    if let Some(reason) = why_not(&main, &report).or_else(|| missing_fact(&report)) {
        // A boot that went wrong counts as a failure even where no check says so.
        checks.failed = checks.failed.max(1);
        complaints.push(reason);
    }
    for ((name, argument, expected), run) in POWER.iter().zip(runs) {
        if run.ending == *expected {
            checks.passed += 1;
        } else {
            checks.failed += 1;
            complaints.push(format!("{name}: with `{argument}` {}{}", run.ending, last_words(&run)));
        }
    }
    let complaints = complaints.into_iter().map(|complaint| format!("{}: {complaint}", boot.host)).collect();
    Ok(Full { report, checks, complaints, millis: millis_since(start) })
}

/// Returns the word that tells the image the time of day.
pub(crate) fn epoch() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("epoch={}", now.as_secs())
}

/// Says why a boot is no pass, if it is none.
fn why_not(run: &Run, report: &Report) -> Option<String> {
    let counted = Checks {
        passed: report.passed.len() as u64,
        failed: report.failed.len() as u64,
        skipped: report.skipped.len() as u64,
    };
    let reason = match (&run.ending, report.summary) {
        (ending, None) => format!("no summary came: {ending}"),
        (_, Some(summary)) if summary.failed > 0 => match &report.failed[..] {
            [(name, why), ..] => format!("{} of the checks failed, first {name}: {why}", summary.failed),
            [] => format!("{} of the checks failed", summary.failed),
        },
        (_, Some(summary)) if summary.passed == 0 => "not one check was made".to_owned(),
        (_, Some(summary)) if summary != counted => format!(
            "the summary speaks of {} passed, {} failed, {} skipped, the console shows {}, {}, {}",
            summary.passed, summary.failed, summary.skipped, counted.passed, counted.failed, counted.skipped
        ),
        (Ending::Exit(CONTENT), Some(_)) => return None,
        (ending, Some(_)) => format!("the summary is good, but {ending} (expected {CONTENT:#x})"),
    };
    Some(format!("{reason}{}", last_words(run)))
}

/// Names a line that the image owes the table.
fn missing_fact(report: &Report) -> Option<String> {
    let missing = [
        ("hypervisor", report.hypervisor.is_none()),
        ("layers", report.layers.is_none()),
        ("sites", report.sites.is_none()),
    ];
    missing
        .iter()
        .find(|(_, is_missing)| *is_missing)
        .map(|(name, _)| format!("the line `vmi: {name}:` is missing"))
}

/// Quotes the end of the console.
fn last_words(run: &Run) -> String {
    match run.last_line() {
        Some(line) => format!("; last console line: `{line}`"),
        None => format!("; the console stayed empty{}", words_of_xen(run)),
    }
}

/// Quotes the last that Xen said of dom0's virtual CPU: why it was stopped.
fn words_of_xen(run: &Run) -> String {
    let last = run.said.lines().rfind(|line| line.starts_with("(XEN) d0v"));
    last.map(|line| format!("; Xen's last word on it: `{}`", line.trim())).unwrap_or_default()
}
