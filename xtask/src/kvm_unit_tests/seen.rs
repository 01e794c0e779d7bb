//! How a test ended, as it is told by its exit value and its last lines.

use std::fmt;

use serde::Serialize;

use crate::boot::Ending;

/// What a test writes to the exit device that has skipped all of itself: what makes QEMU's status 77, which means that
/// in Automake's test suites.
const SKIPPED: u8 = 77 >> 1;

/// QEMU's status has room for so many bits of the value.
const VALUE: u8 = 0x7f;

/// What is said of a test whose virtual machine monitor gave up, and of one that had none.
const DIED: &str = "died";
const NOT_RUN: &str = "not run";

/// What came of a test on one side.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Pass,
    Fail,
    Skip,
}

/// What was seen of a test on one side.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Seen {
    pub(super) verdict: Verdict,
    /// What it counted, if it did.
    #[serde(flatten)]
    pub(super) summary: Option<Summary>,
    /// Why it is no pass, in a few words, where the counts do not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ending: Option<&'static str>,
    /// A sentence on that, for a test that should have passed.
    #[serde(skip)]
    pub(super) complaint: String,
}

/// The line with which most tests end.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub(super) struct Summary {
    /// How many there were, skipped ones among them.
    tests: u32,
    /// How many failed, but those that were expected to.
    failures: u32,
    expected_failures: u32,
    skipped: u32,
}

impl Seen {
    /// Tells from its end and its console what came of a test.
    pub(super) fn of(ending: &Ending, console: &str) -> Self {
        let summary = console.lines().rev().find_map(Summary::read);
        let (verdict, words) = match *ending {
            Ending::Exit(value) => match (value & VALUE, summary) {
                (0, Some(Summary { failures: 1.., .. })) => (Verdict::Fail, Some("but status 0")),
                (0, _) => (Verdict::Pass, None),
                (SKIPPED, _) => (Verdict::Skip, None),
                (_, Some(Summary { failures: 1.., .. })) => (Verdict::Fail, None),
                _ => (Verdict::Fail, Some("bad status")),
            },
            Ending::PowerOff => (Verdict::Fail, Some("switched off")),
            Ending::Reset => (Verdict::Fail, Some("reset")),
            Ending::TimedOut => (Verdict::Fail, Some("time up")),
            Ending::Died { .. } => (Verdict::Fail, Some(DIED)),
        };
        let failed = console.lines().map(str::trim).find(|line| line.starts_with("FAIL: "));
        let last = || console.lines().rev().map(str::trim).find(|line| !line.is_empty());
        let end = match ending {
            Ending::Died { status, stderr } if stderr.is_empty() => format!("it ended with {status}"),
            Ending::Died { status, stderr } => format!("it ended with {status}: {stderr}"),
            other => other.to_string(),
        };
        let complaint = match failed.or_else(last) {
            Some(line) => format!("{end}; `{line}`"),
            None => format!("{end}; the console stayed empty"),
        };
        Self { verdict, summary, ending: words, complaint }
    }

    /// Returns what is seen of a test that was not run.
    pub(super) fn skipped() -> Self {
        Self { verdict: Verdict::Skip, summary: None, ending: None, complaint: String::new() }
    }

    /// Returns what is seen of a test that nobody could try, for this reason.
    pub(super) fn broken(reason: String) -> Self {
        Self { verdict: Verdict::Fail, summary: None, ending: Some(NOT_RUN), complaint: reason }
    }

    /// Tells whether it was not the test that failed.
    pub(super) fn is_untried(&self) -> bool {
        matches!(self.ending, Some(DIED | NOT_RUN))
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.verdict {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Skip => "skip",
        })?;
        if let Some(Summary { tests, failures, expected_failures, skipped }) = self.summary
            && self.verdict != Verdict::Skip
        {
            let ran = tests.saturating_sub(skipped);
            write!(f, " {} of {ran}", ran.saturating_sub(failures).saturating_sub(expected_failures))?;
        }
        match self.ending {
            Some(ending) => write!(f, ", {ending}"),
            None => Ok(()),
        }
    }
}

impl Summary {
    /// Reads the line; `None` for another.
    fn read(line: &str) -> Option<Self> {
        let mut summary = Self::default();
        for (place, part) in line.trim().strip_prefix("SUMMARY: ")?.split(", ").enumerate() {
            let (number, what) = part.split_once(' ')?;
            let number = number.parse().ok()?;
            match (place, what) {
                (0, "tests" | "test") => summary.tests = number,
                (1.., "unexpected failures") => summary.failures = number,
                (1.., "expected failures") => summary.expected_failures = number,
                (1.., "skipped") => summary.skipped = number,
                _ => return None,
            }
        }
        Some(summary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(ending: Ending, console: &str) -> (Verdict, String) {
        let seen = Seen::of(&ending, console);
        (seen.verdict, seen.to_string())
    }

    #[test]
    fn summaries_are_read_with_all_their_parts() {
        let read = |line| Summary::read(line);
        let summary = |tests, failures, expected_failures, skipped| {
            Some(Summary { tests, failures, expected_failures, skipped })
        };
        assert_eq!(read("SUMMARY: 13 tests"), summary(13, 0, 0, 0));
        assert_eq!(read("SUMMARY: 48 tests, 1 unexpected failures\r"), summary(48, 1, 0, 0));
        assert_eq!(
            read("SUMMARY: 54 tests, 8 unexpected failures, 2 expected failures, 1 skipped"),
            summary(54, 8, 2, 1)
        );
        for line in [
            "",
            "SUMMARY:",
            "SUMMARY: x tests",
            "SUMMARY: 3 things",
            "a SUMMARY: 3 tests",
            "SUMMARY: 1 tests, 2",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn a_pass_takes_the_exit_value_and_no_failure() {
        let good = "PASS: a\r\nSUMMARY: 1 tests\r\n";
        let bad = "PASS: a\nFAIL: b\nSUMMARY: 3 tests, 1 unexpected failures, 1 skipped\n";
        assert_eq!(seen(Ending::Exit(0), good), (Verdict::Pass, "pass 1 of 1".to_owned()));
        assert_eq!(seen(Ending::Exit(0), "cpuid 1234\n"), (Verdict::Pass, "pass".to_owned()));
        assert_eq!(seen(Ending::Exit(0), bad), (Verdict::Fail, "fail 1 of 2, but status 0".to_owned()));
        assert_eq!(seen(Ending::Exit(1), bad), (Verdict::Fail, "fail 1 of 2".to_owned()));
        assert_eq!(seen(Ending::Exit(1), good), (Verdict::Fail, "fail 1 of 1, bad status".to_owned()));
        assert_eq!(seen(Ending::Exit(127), ""), (Verdict::Fail, "fail, bad status".to_owned()));
        assert_eq!(seen(Ending::TimedOut, good), (Verdict::Fail, "fail 1 of 1, time up".to_owned()));
        assert_eq!(seen(Ending::Reset, ""), (Verdict::Fail, "fail, reset".to_owned()));
        assert_eq!(seen(Ending::PowerOff, ""), (Verdict::Fail, "fail, switched off".to_owned()));
    }

    #[test]
    fn a_test_that_skips_all_is_skipped() {
        let console = "SKIP: no VMX\nSUMMARY: 1 tests, 1 skipped\n";
        assert_eq!(seen(Ending::Exit(38), console), (Verdict::Skip, "skip".to_owned()));
    }

    #[test]
    fn both_sides_know_seven_bits_of_the_value() {
        assert_eq!(seen(Ending::Exit(0x80), "").0, Verdict::Pass);
        assert_eq!(seen(Ending::Exit(0x80 + 38), "").0, Verdict::Skip);
        assert_eq!(seen(Ending::Exit(0x81), "").0, Verdict::Fail);
    }

    #[test]
    fn a_complaint_quotes_what_failed_or_what_came_last() {
        let complaint = |console| Seen::of(&Ending::Exit(1), console).complaint;
        assert!(complaint("PASS: a\nFAIL: b\nFAIL: c\nSUMMARY: 3 tests\n").ends_with("; `FAIL: b`"));
        assert!(complaint("going on\n\n").ends_with("; `going on`"));
        assert!(complaint("").ends_with("the console stayed empty"));
    }
}
