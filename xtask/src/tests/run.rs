//! Runs tests, two at a time, and counts what came of them.

use std::collections::{HashMap, VecDeque};
use std::env;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use tempfile::TempDir;

use super::registry;
use crate::bench::{self, Document};
use crate::boot::millis_since;
use crate::host::Host;
use crate::image::{self, Profile, Target};
use crate::install;
use crate::interrupt::Interrupted;
use crate::progress::{self, Progress};

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

/// What a test is given: what all share, and a directory of its own.
#[derive(Debug)]
pub(super) struct Context {
    shared: Arc<Shared>,
    directory: TempDir,
}

/// What the tests share, made at the first use.
#[derive(Debug)]
struct Shared {
    directory: TempDir,
    images: Mutex<HashMap<(Target, Profile), Slot<PathBuf>>>,
    benchmarks: Slot<Arc<Benchmarks>>,
}

/// A value that the first to need it makes, while the others wait; after an error the next one tries.
#[derive(Clone, Debug)]
struct Slot<T>(Arc<Mutex<Option<T>>>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Slot<T> {
    fn get_or_make(&self, make: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut slot = locked(&self.0);
        match &*slot {
            Some(made) => Ok(made.clone()),
            None => Ok(slot.insert(make()?).clone()),
        }
    }
}

/// Locks also what a thread that broke has held: each change of what is locked here is one step.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one run of all benchmarks on all hosts gave.
#[derive(Debug)]
pub(super) struct Benchmarks {
    pub(super) document: Document,
    /// How long it took.
    pub(super) duration: Duration,
}

impl Context {
    fn new(shared: &Arc<Shared>) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("test-").tempdir_in(shared.directory.path());
        Ok(Self { shared: Arc::clone(shared), directory: directory.context("cannot make a directory")? })
    }

    /// Returns the image as `demo` builds it, built at the first call.
    pub(super) fn image(&mut self) -> Result<PathBuf> {
        self.image_for(Target::choose(), Profile::Release)
    }

    /// Returns the image for a target, built at the first call.
    pub(super) fn image_for(&mut self, target: Target, profile: Profile) -> Result<PathBuf> {
        let slot = locked(&self.shared.images).entry((target, profile)).or_default().clone();
        slot.get_or_make(|| image::build(target, profile))
    }

    /// Returns the figures of all benchmarks, measured at the first call.
    pub(super) fn benchmarks(&mut self) -> Result<Arc<Benchmarks>> {
        let image = self.image()?;
        let measure = || {
            let start = Instant::now();
            let code = bench::sizes(&image)?;
            let sites = image::build_sites()?.to_vec();
            let plan = bench::Plan {
                image: image.clone(),
                hosts: Host::measured().collect(),
                names: Some(Vec::new()),
                sites,
            };
            let (document, error) = bench::measure(&plan, code)?;
            match error {
                Some(error) => Err(error),
                None => Ok(Arc::new(Benchmarks { document, duration: start.elapsed() })),
            }
        };
        // What the host does meanwhile may be counted too, and then exits are no whole number a turn; though not twice.
        self.shared.benchmarks.get_or_make(|| match measure() {
            Err(error) if !error.is::<Interrupted>() => measure().context(format!("and before: {error:#}")),
            result => result,
        })
    }

    /// Returns a directory for files, removed after the test.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file into the directory of the test and returns its path.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.directory().join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(path)
    }
}

/// Tests that wait for their turn, those that compile apart from those that boot.
struct Queue {
    compile: VecDeque<&'static Test>,
    boot: VecDeque<&'static Test>,
}

/// What came of all tests so far.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

/// Runs all tests whose name holds the filter, without one all but those that have to be asked for; returns whether none
/// failed.
///
/// What compiles and what boots run side by side, because either leaves the machine idle at times; the one that is through
/// takes from the end of the other's. Their lines come as they end.
///
/// # Errors
///
/// Fails where no test has such a name, on Ctrl-C, and when nobody reads the outcome.
pub(crate) fn run(filter: &str) -> Result<bool> {
    let chosen = |topics: &'static [&'static [Test]]| -> VecDeque<&'static Test> {
        topics.iter().copied().flatten().filter(|test| test.name.contains(filter)).collect()
    };
    let mut queue = Queue { compile: chosen(registry::COMPILES), boot: chosen(registry::BOOTS) };
    let mut alone = chosen(registry::ALONE);
    if !filter.is_empty() {
        alone.extend(chosen(registry::ASKED));
    }
    if queue.compile.is_empty() && queue.boot.is_empty() && alone.is_empty() {
        bail!("no test has `{filter}` in its name");
    }
    install::qemu()?;
    let directory =
        tempfile::Builder::new().prefix("vmi-test-").tempdir().context("cannot make a directory")?;
    let shared = Arc::new(Shared { directory, images: Mutex::default(), benchmarks: Slot::default() });
    let tally = Mutex::new(Tally::default());
    if thread::available_parallelism().map_or(1, usize::from) > 1 {
        side_by_side(queue, &shared, &tally)?;
    } else {
        queue.compile.append(&mut queue.boot);
        queue.compile.into_iter().try_for_each(|test| run_one(test, &shared, &tally))?;
    }
    alone.into_iter().try_for_each(|test| run_one(test, &shared, &tally))?;
    let Tally { passed, failed, skipped } = &*locked(&tally);
    writeln!(stdout(), "{passed} passed, {failed} failed, {skipped} skipped")?;
    Ok(*failed == 0)
}

/// Runs the tests on two threads, until all have run or one thread cannot go on.
fn side_by_side(queue: Queue, shared: &Arc<Shared>, tally: &Mutex<Tally>) -> Result<()> {
    let queue = Mutex::new(Some(queue));
    let work = |next: fn(&mut Queue) -> Option<&'static Test>| -> Result<()> {
        // A statement of its own: in the loop's head the lock would be held for as long as the test runs.
        let take = || locked(&queue).as_mut().and_then(next);
        while let Some(test) = take() {
            // Nothing is left to run once a thread cannot go on.
            run_one(test, shared, tally).inspect_err(|_| *locked(&queue) = None)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let compiles =
            scope.spawn(|| work(|queue| queue.compile.pop_front().or_else(|| queue.boot.pop_back())));
        let boots = work(|queue| queue.boot.pop_front().or_else(|| queue.compile.pop_back()));
        compiles.join().map_err(|_| anyhow!("a thread that runs tests broke"))?.and(boots)
    })
}

/// Runs a test, prints the line about it, and counts it.
fn run_one(test: &Test, shared: &Arc<Shared>, tally: &Mutex<Tally>) -> Result<()> {
    let mut context = Context::new(shared)?;
    let start = Instant::now();
    let progress = Progress::start(test.name);
    let outcome = (test.run)(&mut context);
    drop(progress);
    let millis = millis_since(start);
    let name = test.name;
    let mut tally = locked(tally);
    let line = match outcome {
        Err(error) if error.is::<Interrupted>() => return Err(error),
        Ok(Outcome::Passed) => {
            tally.passed += 1;
            format!("PASS {name} ({millis} ms)")
        }
        Ok(Outcome::Skipped(reason)) if !is_skip_failure() => {
            tally.skipped += 1;
            format!("SKIP {name}: {reason}")
        }
        Ok(Outcome::Skipped(reason)) => {
            tally.failed += 1;
            format!("FAIL {name}: skipped, and VMI_NO_SKIP forbids that: {reason} ({millis} ms)")
        }
        Err(error) => {
            tally.failed += 1;
            format!("FAIL {name}: {error:#} ({millis} ms)")
        }
    };
    progress::around(|| writeln!(stdout(), "{line}"))?;
    Ok(())
}

fn is_skip_failure() -> bool {
    env::var_os("VMI_NO_SKIP").is_some_and(|value| !value.is_empty() && value != "0")
}
