//! Both sides beside each other, as a table or as JSON, and what they come to.

use std::fmt;
use std::io::{Write, stdout};

use anyhow::Result;
use serde::Serialize;

use super::seen::{Seen, Verdict};
use crate::progress::say;
use crate::table::{Cell, Colour, Table};

/// One test.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    test: String,
    standing: Standing,
    qemu: Seen,
    vmi_run: Seen,
    #[serde(skip_serializing_if = "String::is_empty")]
    remark: String,
}

/// How `vmi-run` stands beside QEMU.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Standing {
    /// It passes under both.
    Both,
    /// It passes under QEMU alone.
    Worse,
    /// It passes under QEMU alone, as was to be expected.
    Excepted,
    /// It passes under `vmi-run` alone.
    Better,
    /// It passes under neither, and fails under one.
    Neither,
    /// It was not run, or skips itself.
    Skipped,
}

/// How many tests stand how.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
struct Counts {
    both: usize,
    worse: usize,
    excepted: usize,
    better: usize,
    neither: usize,
    skipped: usize,
}

/// The whole outcome, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Document<'a> {
    tests: &'a [Row],
    counts: Counts,
}

impl Row {
    /// Makes the row of a test that was not run, for this reason.
    pub(super) fn skipped(test: &str, remark: String) -> Self {
        let (qemu, vmi_run) = (Seen::skipped(), Seen::skipped());
        Self { test: test.to_owned(), standing: Standing::Skipped, qemu, vmi_run, remark }
    }

    /// Makes the row of a test that was run; the excuse is why it need not pass under `vmi-run`, and what is ignored
    /// are the arguments that only QEMU had.
    pub(super) fn ran(
        test: &str,
        qemu: Seen,
        vmi_run: Seen,
        excuse: Option<String>,
        ignored: &[String],
    ) -> Self {
        let standing = match (qemu.verdict, vmi_run.verdict) {
            (Verdict::Pass, Verdict::Pass) => Standing::Both,
            (Verdict::Pass, _) if excuse.is_some() => Standing::Excepted,
            (Verdict::Pass, _) => Standing::Worse,
            (_, Verdict::Pass) => Standing::Better,
            (Verdict::Skip, Verdict::Skip) => Standing::Skipped,
            _ => Standing::Neither,
        };
        let remark = match standing {
            Standing::Excepted => format!("excepted: {}", excuse.unwrap_or_default()),
            Standing::Worse if !ignored.is_empty() => format!("worse, without {}", ignored.join(", ")),
            Standing::Worse => "worse".to_owned(),
            Standing::Better => "better".to_owned(),
            // A side that could not even be tried says nothing of the test.
            Standing::Neither if qemu.is_untried() => qemu.complaint.clone(),
            Standing::Neither if vmi_run.is_untried() => vmi_run.complaint.clone(),
            Standing::Both | Standing::Neither | Standing::Skipped => String::new(),
        };
        Self { test: test.to_owned(), standing, qemu, vmi_run, remark }
    }
}

/// Prints all rows and what they come to; returns whether nothing is worse under `vmi-run`.
pub(super) fn print(rows: &[Row], is_json: bool) -> Result<bool> {
    let counts = Counts::of(rows);
    if is_json {
        let mut text = serde_json::to_string_pretty(&Document { tests: rows, counts })?;
        text.push('\n');
        stdout().write_all(text.as_bytes())?;
    } else {
        table(rows).print()?;
        writeln!(stdout(), "{counts}")?;
    }
    stdout().flush()?;
    for Row { test, vmi_run, .. } in rows.iter().filter(|row| row.standing == Standing::Worse) {
        say(&format!("error: `{test}` passes under QEMU, but under vmi-run: {}", vmi_run.complaint));
    }
    Ok(counts.worse == 0)
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::default();
    table.row(["test", "QEMU", "vmi-run", "remark"].map(|title| Cell::word(title).colour(Colour::Faint)));
    for Row { test, standing, qemu, vmi_run, remark } in rows {
        let colour = match standing {
            Standing::Both | Standing::Better => Colour::Good,
            Standing::Worse => Colour::Bad,
            Standing::Skipped => Colour::Faint,
            Standing::Excepted | Standing::Neither => Colour::Plain,
        };
        table.row([
            Cell::word(test),
            Cell::word(qemu.to_string()),
            Cell::word(vmi_run.to_string()).colour(colour),
            Cell::word(remark),
        ]);
    }
    table
}

impl Counts {
    fn of(rows: &[Row]) -> Self {
        let count = |standing| rows.iter().filter(|row| row.standing == standing).count();
        Self {
            both: count(Standing::Both),
            worse: count(Standing::Worse),
            excepted: count(Standing::Excepted),
            better: count(Standing::Better),
            neither: count(Standing::Neither),
            skipped: count(Standing::Skipped),
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { both, worse, excepted, better, neither, skipped } = self;
        write!(
            f,
            "{both} pass under both, {worse} worse under vmi-run, {excepted} excepted, {better} better, "
        )?;
        write!(f, "{neither} under neither, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::boot::Ending;

    fn row(qemu: u8, vmi_run: u8, excuse: Option<&str>) -> Row {
        let seen = |value| Seen::of(&Ending::Exit(value), "");
        let ignored = ["-cpu qemu64".to_owned(), "-S".to_owned()];
        Row::ran("a", seen(qemu), seen(vmi_run), excuse.map(str::to_owned), &ignored)
    }

    #[test]
    fn only_a_pass_under_qemu_alone_is_worse() {
        let (pass, fail, skip) = (0, 1, 38);
        let cases = [
            (pass, pass, Standing::Both),
            (pass, fail, Standing::Worse),
            (pass, skip, Standing::Worse),
            (fail, pass, Standing::Better),
            (skip, pass, Standing::Better),
            (fail, fail, Standing::Neither),
            (fail, skip, Standing::Neither),
            (skip, fail, Standing::Neither),
            (skip, skip, Standing::Skipped),
        ];
        for (qemu, vmi_run, standing) in cases {
            assert_eq!(row(qemu, vmi_run, None).standing, standing, "{qemu} {vmi_run}");
            let excused = if standing == Standing::Worse { Standing::Excepted } else { standing };
            assert_eq!(row(qemu, vmi_run, Some("why")).standing, excused, "{qemu} {vmi_run}");
        }
    }

    #[test]
    fn a_remark_says_what_the_verdicts_do_not() {
        assert_eq!(row(0, 1, None).remark, "worse, without -cpu qemu64, -S");
        assert_eq!(row(0, 1, Some("needs it")).remark, "excepted: needs it");
        assert_eq!(row(0, 0, Some("needs it")).remark, "");
        assert_eq!(row(1, 1, Some("needs it")).remark, "");
        let broken = || Seen::broken("the rig is stuck".to_owned());
        assert_eq!(Row::ran("a", broken(), broken(), None, &[]).remark, "the rig is stuck");
    }

    #[test]
    fn every_test_is_counted_once() {
        let rows = [
            row(0, 0, None),
            row(0, 1, None),
            row(0, 1, Some("")),
            Row::skipped("b", "i386 only".to_owned()),
        ];
        let counts = Counts::of(&rows);
        assert_eq!(counts, Counts { both: 1, worse: 1, excepted: 1, skipped: 1, ..Counts::default() });
        let line =
            "1 pass under both, 1 worse under vmi-run, 1 excepted, 0 better, 0 under neither, 1 skipped";
        assert_eq!(counts.to_string(), line);
    }

    #[test]
    fn json_has_what_the_table_has() {
        let seen = |value, console| Seen::of(&Ending::Exit(value), console);
        let counted = "SUMMARY: 3 tests, 1 unexpected failures\n";
        let row = Row::ran("a", seen(0, "SUMMARY: 3 tests\n"), seen(1, counted), None, &[]);
        let side = |verdict: &str, failures: u32| json!({ "verdict": verdict, "tests": 3, "failures": failures, "expected_failures": 0, "skipped": 0 });
        let expected = json!({
            "test": "a", "standing": "worse", "remark": "worse", "qemu": side("pass", 0), "vmi_run": side("fail", 1),
        });
        assert_eq!(serde_json::to_value(row).unwrap(), expected);
        let row = Row::skipped("b", "i386 only".to_owned());
        let side = json!({ "verdict": "skip" });
        let expected = json!({ "test": "b", "standing": "skipped", "remark": "i386 only", "qemu": side, "vmi_run": side });
        assert_eq!(serde_json::to_value(row).unwrap(), expected);
    }
}
