//! What was timed on this machine: the benchmarks of the package `benches`, as ratios to the baselines of the same run.

mod table;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::thread;

use anyhow::{Context, Error, Result, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::document::{Document, Timed};
use crate::process::{self, Group};
use crate::progress::{Progress, say};
use crate::workspace;

pub(super) use table::print;

/// The package whose benchmarks these are.
const PACKAGE: &str = "benches";
/// Where criterion writes its results. A directory of our own: what is in it is of this run.
const HOME: &str = "CRITERION_HOME";
/// What the package puts behind the name of a baseline.
const BASELINE: &str = " (baseline)";
/// How the package says what it cannot time on this machine.
const SKIPPED: &str = "SKIP ";
/// What criterion puts behind the name of a benchmark in a list.
const LISTED: &str = ": benchmark";
/// What a line has that says what one benchmark came to.
const DONE: &str = "time:   [";

/// Builds and runs the benchmarks, and puts what was timed into the document. Returns why that is not everything, if so.
pub(super) fn add_to(document: &mut Document) -> Option<Error> {
    let ran = measure();
    let error = match ran {
        Ok((timed, error)) => {
            document.timed = timed;
            error
        }
        Err(error) => Some(error),
    };
    document.complete &= error.is_none();
    error
}

/// Returns what was timed, and why the benchmarks did not run to their end, if so.
fn measure() -> Result<(Vec<Timed>, Option<Error>)> {
    let names = list()?;
    let directory =
        tempfile::Builder::new().prefix("vmi-bench-").tempdir().context("cannot make a directory")?;
    let error = run(directory.path(), names.len()).err();
    match (read(directory.path(), &names), error) {
        (Ok(timed), error) => Ok((timed, error)),
        // Half a result is no wonder where the run broke.
        (Err(_), Some(error)) => Err(error),
        (Err(error), None) => Err(error),
    }
}

/// Makes the command that runs the benchmarks; the words are for criterion.
fn cargo(words: &[&str]) -> Command {
    let mut cargo = workspace::cargo();
    cargo.args(["bench", "--package", PACKAGE, "--quiet", "--"]).args(words);
    cargo
}

/// Builds the benchmarks and returns their names, in the order in which they run.
fn list() -> Result<Vec<String>> {
    let _progress = Progress::start("building the benchmarks of this machine");
    let listed = process::run_ok(&mut cargo(&["--list"]))?;
    listed.stderr.lines().filter(|line| line.starts_with(SKIPPED)).for_each(say);
    let names = listed.stdout.lines().filter_map(|line| line.strip_suffix(LISTED)).map(str::to_owned);
    Ok(names.collect())
}

/// Runs so many benchmarks, which write their results into a directory.
fn run(home: &Path, count: usize) -> Result<()> {
    let progress = Progress::bar("timing on this machine");
    progress.expect(count as u64);
    let complaints = home.join("complaints");
    let mut cargo = cargo(&[]);
    cargo.env(HOME, home).stdin(Stdio::null()).stdout(Stdio::piped());
    cargo.stderr(File::create(&complaints).context("cannot write a file")?);
    let mut group = Group::spawn(&mut cargo)?;
    let stdout = group.child().stdout.take();
    let status = thread::scope(|scope| {
        scope.spawn(|| follow(stdout, &progress));
        group.wait()
    })?;
    if !status.success() {
        let said = fs::read_to_string(&complaints).unwrap_or_default();
        bail!("`{}` failed ({status}): {}", process::line(&cargo), said.trim_end());
    }
    Ok(())
}

/// Takes a step for every benchmark that is done.
fn follow(stdout: Option<ChildStdout>, progress: &Progress) {
    let Some(mut stdout) = stdout.map(BufReader::new) else { return };
    for line in stdout.by_ref().lines().map_while(Result::ok) {
        progress.advance(u64::from(line.contains(DONE)));
    }
}

/// Which benchmark a result is of. Criterion writes more than this.
#[derive(Debug, Deserialize)]
struct Name {
    group_id: String,
    function_id: String,
    full_id: String,
}

/// The samples of a result: turns, and what they took together.
#[derive(Debug, Deserialize)]
struct Samples {
    iters: Vec<f64>,
    times: Vec<f64>,
}

/// The quartiles of what a turn took, over the samples.
#[derive(Clone, Copy, Debug)]
struct Quartiles {
    low: f64,
    median: f64,
    high: f64,
}

/// Reads the results of a run, in the order of the names.
///
/// # Errors
///
/// Says which result cannot be read, and which question has no baseline.
fn read(home: &Path, names: &[String]) -> Result<Vec<Timed>> {
    let mut results: Vec<(Name, Quartiles)> = Vec::new();
    for question in directories(home)? {
        for candidate in directories(&question)? {
            let new = candidate.join("new");
            // There is none of a benchmark that was interrupted.
            if new.join("sample.json").exists() {
                let name = json(&new.join("benchmark.json"))?;
                results.push((name, json::<Samples>(&new.join("sample.json"))?.quartiles()?));
            }
        }
    }
    results.sort_by_key(|(name, _)| names.iter().position(|listed| *listed == name.full_id));

    let baselines: HashMap<&str, f64> = results
        .iter()
        .filter(|(name, _)| name.function_id.ends_with(BASELINE))
        .map(|(name, quartiles)| (&*name.group_id, quartiles.median))
        .collect();
    let timed = |(name, quartiles): &(Name, Quartiles)| {
        let question = &name.group_id;
        let baseline = baselines.get(&**question).with_context(|| format!("`{question}` has no baseline"))?;
        let candidate = name.function_id.strip_suffix(BASELINE);
        Ok(Timed {
            question: question.clone(),
            candidate: candidate.unwrap_or(&name.function_id).to_owned(),
            is_baseline: candidate.is_some(),
            ratio: quartiles.median / baseline,
            low: quartiles.low / baseline,
            high: quartiles.high / baseline,
            source: None,
        })
    };
    results.iter().map(timed).collect()
}

impl Samples {
    fn quartiles(&self) -> Result<Quartiles> {
        let mut turns: Vec<f64> =
            self.times.iter().zip(&self.iters).map(|(time, turns)| time / turns).collect();
        ensure!(!turns.is_empty() && turns.iter().all(|turn| turn.is_finite()), "samples without a time");
        turns.sort_by(f64::total_cmp);
        let [low, median, high] = [0.25, 0.5, 0.75].map(|part| quantile(&turns, part));
        ensure!(median > 0.0, "samples that took no time");
        Ok(Quartiles { low, median, high })
    }
}

/// Returns the value below which a part of the ascending values lies, between two of them where it falls there.
fn quantile(values: &[f64], part: f64) -> f64 {
    let place = part * (values.len() - 1) as f64;
    let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

fn directories(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(path).with_context(|| format!("cannot list `{}`", path.display()))?;
    Ok(entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let cannot = || format!("cannot read criterion's `{}`", path.display());
    serde_json::from_slice(&fs::read(path).with_context(cannot)?).with_context(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A result as criterion writes it.
    fn write(home: &Path, question: &str, candidate: &str, iters: &[f64], times: &[f64]) {
        let new = home.join(question).join(candidate).join("new");
        fs::create_dir_all(&new).expect("a directory");
        let name = format!(
            r#"{{"group_id":"{question}","function_id":"{candidate}","value_str":null,"full_id":"{question}/{candidate}"}}"#
        );
        fs::write(new.join("benchmark.json"), name).expect("a file");
        let samples = format!(r#"{{"sampling_mode":"Flat","iters":{iters:?},"times":{times:?}}}"#);
        fs::write(new.join("sample.json"), samples).expect("a file");
    }

    fn run(results: &[(&str, &str, &[f64], &[f64])], names: &[&str]) -> Result<Vec<Timed>> {
        let home = tempfile::tempdir().expect("a directory");
        for (question, candidate, iters, times) in results {
            write(home.path(), question, candidate, iters, times);
        }
        fs::create_dir(home.path().join("report")).expect("a directory");
        read(home.path(), &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn ratios_are_to_the_baseline_of_the_question() {
        let timed = run(
            &[
                ("call", "table", &[10.0, 10.0, 20.0], &[60.0, 40.0, 100.0]),
                ("call", "asm! (baseline)", &[1.0, 2.0, 4.0], &[2.0, 4.0, 8.0]),
                ("patch", "edit", &[1.0], &[9.0]),
                ("patch", "by hand (baseline)", &[1.0], &[3.0]),
            ],
            &["call/asm! (baseline)", "call/table", "patch/by hand (baseline)", "patch/edit"],
        );
        let timed = timed.expect("results");
        let found: Vec<_> = timed
            .iter()
            .map(|t| (&*t.question, &*t.candidate, t.is_baseline, [t.low, t.ratio, t.high]))
            .collect();
        let expected = [
            ("call", "asm!", true, [1.0; 3]),
            ("call", "table", false, [2.25, 2.5, 2.75]),
            ("patch", "by hand", true, [1.0; 3]),
            ("patch", "edit", false, [3.0; 3]),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn results_that_mean_nothing_are_refused() {
        let cases: [(&str, &[f64], &[f64], &str); 4] = [
            ("table", &[1.0], &[1.0], "`call` has no baseline"),
            ("asm! (baseline)", &[], &[], "without a time"),
            ("asm! (baseline)", &[0.0], &[1.0], "without a time"),
            ("asm! (baseline)", &[1.0], &[0.0], "no time"),
        ];
        for (candidate, iters, times, reason) in cases {
            let error = format!("{:#}", run(&[("call", candidate, iters, times)], &[]).unwrap_err());
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn quantiles_lie_between_values() {
        let values = [1.0, 2.0, 3.0, 5.0, 9.0];
        assert_eq!([0.0, 0.25, 0.5, 0.75, 1.0].map(|part| quantile(&values, part)), values);
        assert_eq!(quantile(&[1.0, 3.0], 0.5), 2.0);
        assert_eq!(quantile(&[7.0], 0.75), 7.0);
    }
}
