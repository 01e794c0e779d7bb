//! Hostile input to the host crate, as much of it as is asked for, in a release build.

use anyhow::{Result, bail, ensure};
use clap::Args;

use crate::progress::{Progress, say};
use crate::{process, workspace};

/// The kinds of input, by the part of the tests' names: VMI's calls, devices, registers, images.
const KINDS: [(&str, &str); 4] = [
    ("VMI's calls", "port_call::hostile::tests::hostile_"),
    ("devices", "devices::hostile::"),
    ("registers", "bad_host::clock::hostile::"),
    ("images", "boot::hostile::"),
];

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many cases of all kinds together
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    cases: u64,
    /// What the cases are made from: others with every number
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Tries the cases, kind by kind.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let cases = options.cases.div_ceil(KINDS.len() as u64);
    for (kind, tests) in KINDS {
        let progress = Progress::start(&format!("hostile input: {kind}"));
        let mut command = workspace::cargo();
        command.args([
            "test",
            "--release",
            "--package",
            "vmi-kvm-backend-host",
            "--lib",
            tests,
            "--",
            "--nocapture",
        ]);
        command.env("VMI_HOSTILE_CASES", cases.to_string()).env("VMI_HOSTILE_SEED", options.seed.to_string());
        command.env_remove("VMI_HOSTILE_CASE");
        let finished = process::run(&mut command)?;
        if !finished.status.success() {
            let again = finished
                .stderr
                .lines()
                .chain(finished.stdout.lines())
                .find(|line| line.contains("again by "));
            bail!("{kind} do harm: {}", again.unwrap_or(finished.last_words()));
        }
        let tried = tried(&finished.stdout);
        // Each of a kind's tests rounds up.
        ensure!(tried >= cases, "{kind}: {tried} of {cases} cases were tried");
        drop(progress);
        say(&format!("{kind}: {tried} hostile cases did no harm"));
    }
    Ok(true)
}

/// Returns how many cases the tests say that they tried.
fn tried(output: &str) -> u64 {
    let cases = output.lines().filter_map(|line| {
        let (before, _) = line.split_once(" hostile cases in ")?;
        // The line may stand behind the name of a test that runs beside.
        before.rsplit(' ').next()?.parse::<u64>().ok()
    });
    cases.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_added_up_from_what_the_tests_say() {
        let output = "running 2 tests\n34 hostile cases in 1.2s\ntest a ... 33 hostile cases in 7ms\nok\nhostile cases in\n";
        assert_eq!(tried(output), 67);
        assert_eq!(tried("test result: ok. 0 passed"), 0);
    }
}
