//! Runs tests one after the other and counts what came of them.

use std::collections::HashMap;
use std::env;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use super::registry;
use crate::bench::{self, Document};
use crate::boot::millis_since;
use crate::host::Host;
use crate::image::{self, Profile, Target};
use crate::install;
use crate::interrupt::Interrupted;
use crate::progress::Progress;

/// One test.
#[derive(Debug)]
pub(super) struct Test {
    /// Topic and behaviour: `doors::a_missing_image_is_named`.
    pub(super) name: &'static str,
    /// What it does; an error is a failure.
    pub(super) run: fn(&mut Context) -> Result<Outcome>,
}

/// What came of a test that did not fail.
#[derive(Debug)]
pub(super) enum Outcome {
    /// What it looked at is as it must be.
    Passed,
    /// It could not look, for this reason.
    Skipped(String),
}

/// What the tests share.
#[derive(Debug)]
pub(super) struct Context {
    directory: TempDir,
    images: HashMap<(Target, Profile), PathBuf>,
    benchmarks: Option<Rc<Benchmarks>>,
}

/// What one run of all benchmarks on all hosts gave.
#[derive(Debug)]
pub(super) struct Benchmarks {
    pub(super) document: Document,
    /// How long it took.
    pub(super) duration: Duration,
}

impl Context {
    /// Returns the image as `demo` builds it, built at the first call.
    pub(super) fn image(&mut self) -> Result<PathBuf> {
        self.image_for(Target::choose(), Profile::Release)
    }

    /// Returns the image for a target, built at the first call.
    pub(super) fn image_for(&mut self, target: Target, profile: Profile) -> Result<PathBuf> {
        if let Some(image) = self.images.get(&(target, profile)) {
            return Ok(image.clone());
        }
        let image = image::build(target, profile)?;
        self.images.insert((target, profile), image.clone());
        Ok(image)
    }

    /// Returns the figures of all benchmarks, measured at the first call.
    pub(super) fn benchmarks(&mut self) -> Result<Rc<Benchmarks>> {
        if let Some(benchmarks) = &self.benchmarks {
            return Ok(Rc::clone(benchmarks));
        }
        let image = self.image()?;
        let start = Instant::now();
        let code = bench::sizes(&image)?;
        let sites = image::build_sites()?.to_vec();
        let plan = bench::Plan { image, hosts: Host::gates().collect(), names: Some(Vec::new()), sites };
        let (document, error) = bench::measure(&plan, code)?;
        if let Some(error) = error {
            return Err(error);
        }
        let benchmarks = Rc::new(Benchmarks { document, duration: start.elapsed() });
        Ok(Rc::clone(self.benchmarks.insert(benchmarks)))
    }

    /// Returns a directory for files, removed after the tests.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file into the directory of the tests and returns its path.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.directory().join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(path)
    }
}

/// Runs all tests whose name holds the filter; returns whether none failed.
///
/// # Errors
///
/// Fails where no test has such a name, on Ctrl-C, and when nobody reads the outcome.
pub(crate) fn run(filter: &str) -> Result<bool> {
    let tests: Vec<&Test> = registry::all().filter(|test| test.name.contains(filter)).collect();
    if tests.is_empty() {
        bail!("no test has `{filter}` in its name");
    }
    install::qemu()?;
    let directory =
        tempfile::Builder::new().prefix("vmi-test-").tempdir().context("cannot make a directory")?;
    let mut context = Context { directory, images: HashMap::new(), benchmarks: None };
    let skip_is_failure = env::var_os("VMI_NO_SKIP").is_some_and(|value| !value.is_empty() && value != "0");
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for test in tests {
        let start = Instant::now();
        let progress = Progress::start(test.name);
        let outcome = (test.run)(&mut context);
        drop(progress);
        let millis = millis_since(start);
        let name = test.name;
        let line = match outcome {
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Ok(Outcome::Passed) => {
                passed += 1;
                format!("PASS {name} ({millis} ms)")
            }
            Ok(Outcome::Skipped(reason)) if !skip_is_failure => {
                skipped += 1;
                format!("SKIP {name}: {reason}")
            }
            Ok(Outcome::Skipped(reason)) => {
                failed += 1;
                format!("FAIL {name}: skipped, and VMI_NO_SKIP forbids that: {reason} ({millis} ms)")
            }
            Err(error) => {
                failed += 1;
                format!("FAIL {name}: {error:#} ({millis} ms)")
            }
        };
        writeln!(stdout(), "{line}")?;
    }
    writeln!(stdout(), "{passed} passed, {failed} failed, {skipped} skipped")?;
    Ok(failed == 0)
}
