//! Exits of a turn, by the accounting of `vmi-run`.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::document::Figure;
use super::lines::EMPTY;
use crate::boot::{Boot, Run};
use crate::host::Host;

/// What no guest causes: something the host has to do, whatever the guest is at.
const NOT_THE_GUESTS: [&str; 3] = ["interrupt", "nmi", "smi"];

/// A benchmark of a console, its turns and its first mark.
struct Counted<'a> {
    name: &'a str,
    variant: &'a str,
    turns: u64,
    mark: u64,
    /// The reason of the exits that count, or `all`.
    reason: &'a str,
}

/// What is read of the statistics.
#[derive(Deserialize)]
struct Statistics {
    spans: Vec<Span>,
    marks_lost: u64,
    kernel_missing: Option<String>,
}

#[derive(Deserialize)]
struct Span {
    from: Option<Mark>,
    to: Option<Mark>,
    kernel: Option<Vec<Count>>,
    kernel_lost: u64,
}

#[derive(Deserialize)]
struct Mark {
    mark: u64,
}

#[derive(Deserialize)]
struct Count {
    reason: String,
    count: u64,
}

/// Returns the boot that counts exits of the benchmarks that such words on the kernel command line ask for. It does not
/// count instructions: the accounting costs some of its own.
pub(super) fn boot(image: &Path, words: &str) -> Result<Boot> {
    let words = words.replacen("bench", "bench-exits", 1);
    let mut boot = Boot::new(Host::named("vmi")?, image).arguments(&words);
    boot.vmm_arguments.push("--stats=json".to_owned());
    Ok(boot)
}

/// Returns the exits of a turn of every benchmark of such a boot: name, variant, exits.
///
/// # Errors
///
/// As of [`exits`], and where there are no statistics.
pub(super) fn of(run: &Run) -> Result<Vec<(String, String, f64)>> {
    let statistics = run.said.lines().find(|line| line.starts_with('{'));
    exits(&run.console, statistics.context("vmi-run told no statistics")?)
}

/// Tells figures how many exits they cost, where they were counted: of sites as the backend edited them.
pub(super) fn tell(exits: &[(String, String, f64)], figures: &mut [Figure]) {
    for figure in figures.iter_mut().filter(|figure| figure.surrounding == "loop") {
        let variant = match (&*figure.variant, &*figure.phase) {
            ("bare", _) => "bare",
            ("backend" | "native", "after") => "site",
            _ => continue,
        };
        let is_it = |name: &str, way: &str| figure.name == name && variant == way;
        figure.exits = exits.iter().find(|(name, way, _)| is_it(name, way)).map(|(.., exits)| *exits);
    }
}

/// Returns the exits of a turn of every benchmark of a console, by the statistics of the same run.
///
/// # Errors
///
/// Names the benchmark whose exits were not all counted, or are no whole number a turn.
fn exits(console: &str, statistics: &str) -> Result<Vec<(String, String, f64)>> {
    let statistics: Statistics =
        serde_json::from_str(statistics).context("the statistics of vmi-run cannot be read")?;
    if let Some(reason) = &statistics.kernel_missing {
        bail!("vmi-run could not count exits: {reason}");
    }
    ensure!(statistics.marks_lost == 0, "vmi-run kept {} marks too few", statistics.marks_lost);
    let lines = console.lines().filter_map(|line| line.trim_end().strip_prefix("bench-exits "));
    let counted = lines
        .map(|line| {
            let counted = Counted::read(line).with_context(|| format!("`{line}` is no benchmark"))?;
            let exits = counted.turn(&statistics).with_context(|| counted.title())?;
            Ok((counted, exits))
        })
        .collect::<Result<Vec<_>>>()?;
    let of_empty = |name: &str| {
        let empty = counted.iter().find(|(empty, _)| empty.name == name && empty.variant == EMPTY);
        empty.map_or(0, |(_, exits)| *exits)
    };
    let own = counted.iter().filter(|(counted, _)| counted.variant != EMPTY);
    own.map(|(counted, exits)| {
        let exits = exits.checked_sub(of_empty(counted.name));
        let exits = exits.with_context(|| format!("{} exits less than nothing", counted.title()))?;
        Ok((counted.name.to_owned(), counted.variant.to_owned(), exits as f64))
    })
    .collect()
}

impl<'a> Counted<'a> {
    /// Reads `NAME VARIANT TURNS MARK REASON`.
    fn read(line: &'a str) -> Option<Self> {
        let [name, variant, turns, mark, reason] = line.split(' ').collect::<Vec<_>>()[..] else {
            return None;
        };
        let turns = turns.parse().ok().filter(|turns| *turns != 0)?;
        Some(Self { name, variant, turns, mark: mark.parse().ok()?, reason })
    }

    fn title(&self) -> String {
        format!("{} {}", self.name, self.variant)
    }

    /// Returns the exits of a turn: what the second span has more than the first, which is one turn long.
    fn turn(&self, statistics: &Statistics) -> Result<u64> {
        let first = statistics.exits_from(self.mark, self.reason)?;
        let second = statistics.exits_from(self.mark + 1, self.reason)?;
        let more = second.checked_sub(first).context("more turns had fewer exits")?;
        let turns = self.turns;
        ensure!(more.is_multiple_of(turns), "{more} exits in {turns} turns are no whole number each");
        Ok(more / turns)
    }
}

impl Statistics {
    /// Counts the guest's exits from a mark to the next: all, or those for a reason.
    fn exits_from(&self, mark: u64, reason: &str) -> Result<u64> {
        let is_at = |end: &Option<Mark>, mark| end.as_ref().is_some_and(|end| end.mark == mark);
        let span = self.spans.iter().find(|span| is_at(&span.from, mark) && is_at(&span.to, mark + 1));
        let span = span.with_context(|| format!("there is no span from mark {mark} to the next"))?;
        ensure!(span.kernel_lost == 0, "{} exits were not kept", span.kernel_lost);
        let counts = span.kernel.as_ref().context("the kernel counted nothing")?;
        let own = counts.iter().filter(|count| match reason {
            "all" => !NOT_THE_GUESTS.contains(&&*count.reason),
            reason => count.reason == reason,
        });
        Ok(own.map(|count| count.count).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a real run, the spans of the benchmarks below.
    const STATISTICS: &str = include_str!("exits_sample.json");

    const CONSOLE: &str = "bench-exits irq::wait empty 16 12 all\n\
        bench-exits irq::wait site 16 15 all\n\
        bench-exits mmu::set_entry site 16 75 all\n\
        bench-exits exit::batch_16 site 16 132 all\n\
        bench-exits exit::cpuid site 16 141 all\n\
        bench-exits clock::page site 16 177 all\n\
        bench-exits clock::pit site 16 180 all\n";

    fn broken(console: &str, statistics: &str) -> String {
        format!("{:#}", exits(console, statistics).expect_err(console))
    }

    #[test]
    fn exits_of_a_turn_are_whole() {
        let found = exits(CONSOLE, STATISTICS).expect("everything was counted");
        let found: Vec<_> =
            found.iter().map(|(name, variant, exits)| (&**name, &**variant, *exits)).collect();
        let expected = [
            ("irq::wait", "site", 1.0),
            ("mmu::set_entry", "site", 0.0),
            ("exit::batch_16", "site", 1.0),
            ("exit::cpuid", "site", 1.0),
            ("clock::page", "site", 0.0),
            ("clock::pit", "site", 3.0),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn exits_for_a_reason_are_counted_alone() {
        let of =
            |reason: &str| exits(&format!("bench-exits exit::cpuid site 16 141 {reason}"), STATISTICS).ok();
        let found = |exits: f64| Some(vec![("exit::cpuid".to_owned(), "site".to_owned(), exits)]);
        assert_eq!((of("cpuid"), of("hlt")), (found(1.0), found(0.0)));
    }

    #[test]
    fn what_the_host_has_to_do_is_not_the_guests() {
        assert!(STATISTICS.contains("\"interrupt\""), "the sample has none");
        let as_exits = STATISTICS.replace("\"interrupt\"", "\"msr\"");
        assert_ne!(exits(CONSOLE, &as_exits).ok(), exits(CONSOLE, STATISTICS).ok());
    }

    #[test]
    fn what_was_not_counted_is_named() {
        let last = CONSOLE.lines().last().expect("a line");
        for (console, statistics, reason) in [
            (
                "bench-exits exit::cpuid site 16",
                STATISTICS.to_owned(),
                "`exit::cpuid site 16` is no benchmark",
            ),
            ("bench-exits exit::cpuid site 0 3 all", STATISTICS.to_owned(), "is no benchmark"),
            (
                "bench-exits exit::cpuid site 16 249 all",
                STATISTICS.to_owned(),
                "exit::cpuid site: there is no span",
            ),
            (last, STATISTICS.replace("\"count\":17", "\"count\":18"), "no whole number"),
            (last, STATISTICS.replace("\"kernel_lost\":0", "\"kernel_lost\":2"), "2 exits were not kept"),
            (last, STATISTICS.replace("\"marks_lost\":0", "\"marks_lost\":3"), "3 marks too few"),
            (
                last,
                STATISTICS.replace("\"kernel_missing\":null", "\"kernel_missing\":\"no tracefs\""),
                "no tracefs",
            ),
            (last, STATISTICS[..STATISTICS.len() / 2].to_owned(), "cannot be read"),
        ] {
            let found = broken(console, &statistics);
            assert!(found.contains(reason), "{found}");
        }
    }
}
