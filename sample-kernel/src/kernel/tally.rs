//! What checks return, and how many of them passed.

use core::fmt;

use super::console::line;

/// What a check that did not fail has to say.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// The effect was observed.
    Passed,
    /// Nothing could be observed here: why.
    Skipped(&'static str),
}

/// What a check saw in place of what it should have.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    what: &'static str,
    found: u64,
    expected: Expected,
}

#[derive(Clone, Copy, Debug)]
enum Expected {
    Exactly(u64),
    Between(u64, u64),
    True,
}

/// The result of a check.
pub type Verdict = Result<Outcome, Failure>;

/// Demands that `found` is `expected`.
pub fn equal(what: &'static str, found: impl Into<u64>, expected: impl Into<u64>) -> Result<(), Failure> {
    let (found, expected) = (found.into(), expected.into());
    let failure = Failure { what, found, expected: Expected::Exactly(expected) };
    if found == expected { Ok(()) } else { Err(failure) }
}

/// Demands that `found` is from `low` to `high`.
pub fn between(what: &'static str, low: u64, found: u64, high: u64) -> Result<(), Failure> {
    let failure = Failure { what, found, expected: Expected::Between(low, high) };
    if (low..=high).contains(&found) { Ok(()) } else { Err(failure) }
}

/// Demands that `condition` holds.
pub fn holds(what: &'static str, condition: bool) -> Result<(), Failure> {
    let failure = Failure { what, found: 0, expected: Expected::True };
    if condition { Ok(()) } else { Err(failure) }
}

/// Demands that there is a value; returns it.
pub fn present<T>(what: &'static str, value: Option<T>) -> Result<T, Failure> {
    value.ok_or(Failure { what, found: 0, expected: Expected::True })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, found, expected } = self;
        match expected {
            Expected::Exactly(expected) => write!(f, "{what}: found {found:#x}, expected {expected:#x}"),
            Expected::Between(low, high) => write!(f, "{what}: found {found}, expected {low} to {high}"),
            Expected::True => write!(f, "{what}: not so"),
        }
    }
}

/// How many checks passed, failed and were skipped.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Tally {
    /// Prints and counts the verdict of one check.
    pub fn count(&mut self, phase: &str, name: &str, verdict: Verdict) {
        match verdict {
            Ok(Outcome::Passed) => {
                self.passed += 1;
                line!("PASS {phase}/{name}");
            }
            Ok(Outcome::Skipped(reason)) => {
                self.skipped += 1;
                line!("SKIP {phase}/{name}: {reason}");
            }
            Err(failure) => {
                self.failed += 1;
                line!("FAIL {phase}/{name}: {failure}");
            }
        }
    }

    /// Counts a failure that is no check's.
    pub fn fail(&mut self, phase: &str, name: &str, why: impl fmt::Display) {
        self.failed += 1;
        line!("FAIL {phase}/{name}: {why}");
    }

    /// Tells whether something was checked and nothing failed.
    pub fn passed(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(f, "summary: {passed} passed, {failed} failed, {skipped} skipped")
    }
}
