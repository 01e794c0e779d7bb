//! What changed since an earlier run, and whether anything that can be compared grew.

use std::io::{Write, stdout};

use anyhow::Result;

use super::differences::TOLERANCE;
use super::document::{Document, HostFigures};
use super::number::number;
use super::versions;
use crate::table::{Cell, Colour, Table};

/// What came of holding two documents against each other.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// Figures that are not what they were; those that grew first.
    changes: Vec<Change>,
    /// How many figures were held against each other.
    compared: usize,
    /// What was not compared, and why.
    notes: Vec<String>,
}

/// A figure that is not what it was, in one or more places.
#[derive(Clone, Debug, PartialEq)]
struct Change {
    what: String,
    host: String,
    unit: &'static str,
    old: f64,
    new: f64,
    /// Surroundings and phases.
    places: Vec<String>,
}

/// Holds a document against an earlier one.
pub(super) fn compare(old: &Document, new: &Document) -> Comparison {
    let mut comparison = Comparison::default();
    if !old.complete {
        comparison.notes.push("the earlier run was interrupted and is not complete".to_owned());
    }
    let [rustc, was] = [new, old].map(|document| document.versions.get(versions::RUSTC));
    if rustc != was {
        comparison.notes.push(format!(
            "rustc was `{}` and is `{}`, which may change the code of the guest",
            was.map_or("unknown", String::as_str),
            rustc.map_or("unknown", String::as_str)
        ));
    }
    for host in old.hosts.iter().filter(|host| new.host(&host.host).is_none()) {
        comparison.notes.push(format!("{}: in the earlier run, and not measured now", host.host));
    }
    for host in &new.hosts {
        match old.host(&host.host) {
            None => comparison.notes.push(format!("{}: not in the earlier run", host.host)),
            Some(earlier) => {
                let reasons = why_not(old, new, host);
                if reasons.is_empty() {
                    comparison.hosts(earlier, host, new);
                } else {
                    comparison.notes.push(format!("{}: not compared: {}", host.host, reasons.join("; ")));
                }
            }
        }
    }
    for code in &new.code {
        if let Some(bytes) = old.bytes(&code.name, &code.part) {
            let what = format!("{} {}", code.name, code.part);
            comparison.hold(what, "", "bytes", "the image", [bytes as f64, code.bytes as f64], 0.0);
        }
    }
    comparison.changes.sort_by_key(|change| !change.grew());
    comparison
}

/// Says what makes the figures of a host incomparable: those that include the host's kernel mean something only beside
/// the same kernel, virtual machine monitor and compiler.
fn why_not(old: &Document, new: &Document, host: &HostFigures) -> Vec<String> {
    let version = |document: &Document, name: &str| {
        document.versions.get(name).cloned().unwrap_or_else(|| "unknown".to_owned())
    };
    let pairs = host.depends_on.iter().map(|name| (name, version(old, name), version(new, name)));
    pairs
        .filter(|(_, old, new)| old != new)
        .map(|(name, old, new)| format!("{name} was `{old}` and is `{new}`"))
        .collect()
}

/// Returns how often a benchmark exits, by the host that counts: each exit may cost an instruction more or less.
fn exits(document: &Document, name: &str) -> f64 {
    let figures = document.hosts.iter().flat_map(|host| &host.figures);
    figures.filter(|figure| figure.name == name).filter_map(|figure| figure.exits).fold(0.0, f64::max)
}

impl Comparison {
    fn hosts(&mut self, old: &HostFigures, new: &HostFigures, document: &Document) {
        let mut unknown = 0;
        for figure in &new.figures {
            let [name, variant, surrounding, phase] = figure.key();
            let Some(earlier) = old.figure(name, variant, surrounding, phase) else {
                unknown += 1;
                continue;
            };
            let what = format!("{name} {variant}");
            let place = format!("{surrounding} {phase}");
            let pair = [earlier.instructions.least, figure.instructions.least];
            // What never exits costs the same whatever the host is.
            let is_guests = !new.includes_host || figure.exits == Some(0.0);
            let tolerance = if is_guests { 0.0 } else { TOLERANCE * exits(document, name).max(1.0) };
            self.hold(what.clone(), &place, "instructions", &new.host, pair, tolerance);
            if let (Some(old), Some(exits)) = (earlier.exits, figure.exits) {
                self.hold(what, &place, "exits", &new.host, [old, exits], 0.0);
            }
        }
        if unknown > 0 {
            self.notes.push(format!("{}: {unknown} figures are not in the earlier run", new.host));
        }
        let gone = old.figures.iter().filter(|figure| {
            let [name, variant, surrounding, phase] = figure.key();
            new.figure(name, variant, surrounding, phase).is_none()
        });
        match gone.count() {
            0 => {}
            count => {
                self.notes.push(format!("{}: {count} figures of the earlier run were not measured", new.host))
            }
        }
    }

    fn hold(
        &mut self,
        what: String,
        place: &str,
        unit: &'static str,
        host: &str,
        [old, new]: [f64; 2],
        tolerance: f64,
    ) {
        self.compared += 1;
        if (new - old).abs() <= tolerance {
            return;
        }
        let change = Change { what, host: host.to_owned(), unit, old, new, places: Vec::new() };
        let same = |other: &&mut Change| Change { places: Vec::new(), ..(**other).clone() } == change;
        match self.changes.iter_mut().find(same) {
            Some(same) => same.places.push(place.to_owned()),
            None => self.changes.push(Change { places: vec![place.to_owned()], ..change }),
        }
    }

    /// Tells whether something was compared, and nothing grew.
    pub(super) fn is_good(&self) -> bool {
        self.compared > 0 && !self.changes.iter().any(Change::grew)
    }

    /// Prints what changed, and what was not compared.
    pub(super) fn print(&self) -> Result<()> {
        if !self.changes.is_empty() {
            self.table().print()?;
        }
        let changed = self.changes.iter().map(|change| change.places.len()).sum::<usize>();
        match self.compared {
            0 => writeln!(stdout(), "there is nothing that could be compared")?,
            compared => writeln!(stdout(), "{changed} of {compared} figures and sizes changed")?,
        }
        for note in &self.notes {
            writeln!(stdout(), "{note}")?;
        }
        Ok(())
    }

    fn table(&self) -> Table {
        let mut table = Table::default();
        let titles = ["changed", "host", "unit"].map(Cell::word).into_iter();
        let numbers = ["old", "new", "%"].map(Cell::title);
        table.row(titles.chain(numbers).chain([Cell::word("where")]).map(|cell| cell.colour(Colour::Faint)));
        for change in &self.changes {
            let colour = if change.grew() { Colour::Bad } else { Colour::Good };
            let place = match &change.places[..] {
                [place] => place.clone(),
                [first, rest @ ..] => format!("{first} and {} more", rest.len()),
                [] => String::new(),
            };
            table.row([
                Cell::word(&change.what),
                Cell::word(&change.host),
                Cell::word(change.unit),
                Cell::title(&number(change.old)),
                Cell::title(&number(change.new)),
                Cell::title(&change.percent()).colour(colour),
                Cell::word(place),
            ]);
        }
        table
    }
}

impl Change {
    fn grew(&self) -> bool {
        self.new > self.old
    }

    fn percent(&self) -> String {
        if self.old == 0.0 {
            "new".to_owned()
        } else {
            format!("{:+.1}", (self.new / self.old - 1.0) * 100.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::document::{Code, Counted, FORMAT, Figure};

    fn document(includes_host: bool, instructions: f64, exits: Option<f64>) -> Document {
        let figure = |phase: &str| Figure {
            name: "exit::cpuid".into(),
            variant: "bare".into(),
            surrounding: "loop".into(),
            phase: phase.into(),
            instructions: Counted { least: instructions, mean: instructions, most: instructions },
            exits,
            cause: None,
        };
        Document {
            format: FORMAT.into(),
            complete: true,
            image_sha256: String::new(),
            versions: [("linux".to_owned(), "6.1".to_owned())].into(),
            hosts: vec![HostFigures {
                host: "one".into(),
                about: String::new(),
                includes_host,
                depends_on: if includes_host { vec!["linux".into()] } else { Vec::new() },
                figures: vec![figure("before"), figure("after")],
                skipped: Vec::new(),
            }],
            code: vec![Code { name: "record".into(), part: "record".into(), bytes: 8 }],
            timed: Vec::new(),
        }
    }

    #[test]
    fn a_document_is_like_itself() {
        let comparison = compare(&document(true, 3000.0, Some(1.0)), &document(true, 3000.0, Some(1.0)));
        assert!(comparison.is_good() && comparison.changes.is_empty() && comparison.notes.is_empty());
        // Two figures of instructions, two of exits, one of bytes.
        assert_eq!(comparison.compared, 5);
    }

    #[test]
    fn one_instruction_counts_where_only_the_guest_is_counted() {
        let comparison = compare(&document(false, 3.0, None), &document(false, 4.0, None));
        assert!(!comparison.is_good());
        let [change] = &comparison.changes[..] else { panic!("{:?}", comparison.changes) };
        assert_eq!((change.old, change.new, change.places.len()), (3.0, 4.0, 2));
        assert_eq!(change.percent(), "+33.3");
        assert!(compare(&document(false, 4.0, None), &document(false, 3.0, None)).is_good());
    }

    #[test]
    fn one_instruction_is_nothing_where_the_host_is_counted() {
        assert!(compare(&document(true, 3000.0, None), &document(true, 3001.0, None)).changes.is_empty());
        assert!(!compare(&document(true, 3000.0, None), &document(true, 3001.5, None)).is_good());
    }

    #[test]
    fn an_exit_more_is_seen_and_so_is_a_byte() {
        assert!(!compare(&document(true, 3000.0, Some(1.0)), &document(true, 3000.0, Some(1.25))).is_good());
        let mut new = document(false, 3.0, None);
        new.code[0].bytes = 9;
        assert!(!compare(&document(false, 3.0, None), &new).is_good());
    }

    #[test]
    fn figures_of_another_kernel_are_not_compared_and_the_reason_is_given() {
        let mut old = document(true, 3000.0, None);
        old.versions.insert("linux".into(), "5.10".into());
        let comparison = compare(&old, &document(true, 9000.0, None));
        assert!(comparison.is_good());
        assert_eq!(comparison.notes, ["one: not compared: linux was `5.10` and is `6.1`"]);
        old.hosts[0].includes_host = false;
        let mut new = document(false, 4.0, None);
        new.versions.insert("linux".into(), "6.12".into());
        assert!(!compare(&document(false, 3.0, None), &new).is_good());
    }

    #[test]
    fn what_is_in_one_document_only_is_said() {
        let mut new = document(false, 3.0, None);
        new.hosts[0].figures[0].name = "exit::msr".into();
        let comparison = compare(&document(false, 3.0, None), &new);
        assert!(comparison.is_good());
        assert_eq!(
            comparison.notes,
            [
                "one: 1 figures are not in the earlier run",
                "one: 1 figures of the earlier run were not measured"
            ]
        );
    }
}
