//! The benchmarks of this machine: that they run, and are what `cargo xtask bench` takes them for.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::run::{Context, Outcome, Test};
use crate::{process, workspace};

/// The tests of this topic.
pub(super) const TESTS: &[Test] = &[
    Test { name: "timings::every_question_has_one_baseline", run: every_question_has_one_baseline },
    Test { name: "timings::every_benchmark_runs", run: every_benchmark_runs },
];

/// Runs `cargo bench` in the whole workspace, as anybody would, with a word that only criterion knows: what else has a
/// harness would refuse it. Nothing is timed, so nothing need be optimised.
fn cargo_bench(word: &str) -> Result<String> {
    let words = ["bench", "--quiet", "--profile", "dev", "--", word, "--noplot"];
    let finished = process::run_ok(workspace::cargo().args(words))?;
    Ok(finished.stdout)
}

/// Returns the names of all benchmarks.
fn names() -> Result<Vec<String>> {
    let listed = cargo_bench("--list")?;
    Ok(listed.lines().filter_map(|line| line.strip_suffix(": benchmark")).map(str::to_owned).collect())
}

fn every_question_has_one_baseline(_: &mut Context) -> Result<Outcome> {
    let mut questions: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for name in names()? {
        // What a candidate is called holds no slash.
        let (question, candidate) = name.rsplit_once('/').unwrap_or_default();
        let (baselines, candidates) = questions.entry(question.to_owned()).or_default();
        *(if candidate.ends_with(" (baseline)") { baselines } else { candidates }) += 1;
    }
    ensure!(questions.len() > 5, "only these questions: {questions:?}");
    for (question, counts) in questions {
        ensure!(counts.0 == 1 && counts.1 > 0, "`{question}` has baselines and candidates {counts:?}");
    }
    Ok(Outcome::Passed)
}

fn every_benchmark_runs(_: &mut Context) -> Result<Outcome> {
    let ran = cargo_bench("--test")?;
    let good = ran.lines().filter(|line| line.trim() == "Success").count();
    let all = names()?.len();
    ensure!(good == all, "{good} of {all} benchmarks ran: {ran}");
    Ok(Outcome::Passed)
}
