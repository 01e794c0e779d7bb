//! The command: what is mutated, and by how many at a time.

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context, Result, bail};
use clap::Args;
use clap::builder::PossibleValuesParser;

use super::{outcomes, report};
use crate::progress::Progress;
use crate::{install, process, workspace};

/// What is mutated: what a kernel links, and `vmi-run`.
pub(super) const PACKAGES: [&str; 6] =
    ["vmi-abi", "vmi-native", "vmi-kvm-backend", "vmi-host-backend", "vmi", "vmi-kvm-backend-host"];

/// Files that only tests use, by name; what is under `cfg(test)` alone is left alone anyway.
const TEST_FILES: [&str; 3] = ["hostile.rs", "made.rs", "model.rs"];

/// How many hostile cases of a kind are tried on every mutant: what takes more to be noticed is not worth the time.
const HOSTILE_CASES: &str = "2000";

/// How often it is looked at how far the mutants are.
const POLL: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Mutate this package alone
    #[arg(long, value_parser = PossibleValuesParser::new(PACKAGES))]
    package: Option<String>,
    /// Try a part of every package's mutants: K is 0 to N-1
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
    /// Try so many mutants at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
}

/// Tries the mutants, in a copy of the workspace; what was said meanwhile stays in the target directory. Returns whether all that
/// survive are excused, and every excuse is needed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    install::cargo_mutants()?;
    let directory = workspace::target().join("mutants");
    fs::create_dir_all(&directory).with_context(|| format!("cannot make `{}`", directory.display()))?;
    // The copy is gone with this, also when cargo-mutants is told to end.
    let copy =
        tempfile::Builder::new().prefix("vmi-mutants-").tempdir().context("cannot make a directory")?;
    let mut command = workspace::cargo();
    command.args(["mutants", "--jobs", &options.jobs.to_string(), "--output"]).arg(&directory);
    command.args(options.shard.iter().flat_map(|shard| ["--shard", shard]));
    let is_chosen = |package: &&str| options.package.as_ref().is_none_or(|only| only == package);
    command.args(PACKAGES.into_iter().filter(is_chosen).flat_map(|package| ["--package", package]));
    command.args(TEST_FILES.iter().flat_map(|file| ["--exclude", file]));
    // Linking is most of a build, and tests take longer than that.
    command.envs([("CARGO_PROFILE_DEV_DEBUG", "0"), ("CARGO_PROFILE_DEV_OPT_LEVEL", "1")]);
    command.env("VMI_HOSTILE_CASES", HOSTILE_CASES).env("TMPDIR", copy.path()).env_remove("CARGO_TARGET_DIR");
    let found = directory.join("mutants.out");
    let progress = Progress::bar("mutants");
    let finished = thread::scope(|scope| {
        let (_ended, end) = mpsc::channel::<()>();
        scope.spawn(|| watch(&found, &progress, end));
        process::run(&mut command)
    })?;
    drop(progress);
    // All were caught, some survive, some took too long; source: cargo-mutants' manual, "Exit codes".
    if !matches!(finished.status.code(), Some(0 | 2 | 3)) {
        bail!("`{}` failed ({}): {}", process::line(&command), finished.status, finished.last_words());
    }
    let path = found.join("outcomes.json");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let packages = outcomes::read(&text).with_context(|| format!("`{}`", path.display()))?;
    report::print(&packages, options.shard.is_none())
}

/// Has the bar show how many mutants were tried, until the end.
fn watch(found: &Path, progress: &Progress, end: mpsc::Receiver<()>) {
    let lines = |name| fs::read_to_string(found.join(name)).map_or(0, |text| text.lines().count());
    let mut shown = 0;
    while end.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
        if let Some(all) = fs::read(found.join("mutants.json")).ok().and_then(|text| outcomes::count(&text)) {
            progress.expect(all);
        }
        let tried: usize =
            ["caught.txt", "missed.txt", "timeout.txt", "unviable.txt"].map(lines).iter().sum();
        progress.advance((tried as u64).saturating_sub(shown));
        shown = shown.max(tried as u64);
    }
}
