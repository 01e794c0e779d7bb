//! All packages below each other, then the survivors, and what they come to.

use std::collections::BTreeMap;
use std::io::{Write, stdout};

use anyhow::Result;

use super::excuses::{EXCUSES, Excuse};
use super::outcomes::Outcomes;
use crate::progress::say;
use crate::table::{Cell, Colour, Table};

/// Packages, and what became of their mutants.
type Packages = BTreeMap<String, Outcomes>;

/// Prints what became of all mutants; returns whether every survivor is excused and, where all were tried, every excuse needed.
pub(super) fn print(packages: &Packages, are_all: bool) -> Result<bool> {
    table(packages).print()?;
    for line in survivors(packages, EXCUSES) {
        writeln!(stdout(), "{line}")?;
    }
    stdout().flush()?;
    let unneeded = if are_all { unneeded(packages, EXCUSES) } else { Vec::new() };
    for (file, function) in &unneeded {
        say(&format!("error: `{function}` of {file} is excused, and has no survivor"));
    }
    let missed = || packages.values().flat_map(|outcomes| &outcomes.missed);
    let are_excused = missed().all(|survivor| EXCUSES.iter().any(|excuse| excuse.is_for(survivor)));
    Ok(are_excused && unneeded.is_empty())
}

fn table(packages: &Packages) -> Table {
    let mut table = Table::default();
    let titles = ["mutants", "caught", "missed", "unviable", "timed out"].map(Cell::title);
    table.row([Cell::word("package")].into_iter().chain(titles));
    for (package, outcomes) in packages {
        let missed = outcomes.missed.len();
        let colour = if missed == 0 { Colour::Good } else { Colour::Bad };
        let number = |number: usize| Cell::number(number as u64);
        table.row([
            Cell::word(package),
            number(outcomes.mutants()),
            number(outcomes.caught),
            number(missed).colour(colour),
            number(outcomes.unviable),
            number(outcomes.timed_out),
        ]);
    }
    table
}

/// Returns a line a survivor, those that are not excused first.
fn survivors(packages: &Packages, excuses: &[Excuse]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut excused = Vec::new();
    for survivor in packages.values().flat_map(|outcomes| &outcomes.missed) {
        match excuses.iter().find(|excuse| excuse.is_for(survivor)) {
            Some(excuse) => excused.push(format!("{} (excused: {})", survivor.name, excuse.reason)),
            None => lines.push(survivor.name.clone()),
        }
    }
    lines.append(&mut excused);
    lines
}

/// Returns the functions of these packages, each with its file, that are excused and of which no mutant survives.
fn unneeded(packages: &Packages, excuses: &[Excuse]) -> Vec<(&'static str, &'static str)> {
    let mut unneeded = Vec::new();
    for Excuse { package, file, functions, .. } in excuses {
        let Some(Outcomes { missed, .. }) = packages.get(*package) else { continue };
        let survives =
            |function: &str| missed.iter().any(|one| one.file == *file && one.function == function);
        let others = functions.iter().filter(|function| !survives(function));
        unneeded.extend(others.map(|function| (*file, *function)));
    }
    unneeded
}

#[cfg(test)]
mod tests {
    use super::super::outcomes::Survivor;
    use super::*;

    fn packages() -> Packages {
        let survivor = |line: u32, function: &str| Survivor {
            name: format!("a/src/b.rs:{line}:5: replace + with - in {function}"),
            file: "a/src/b.rs".to_owned(),
            function: function.to_owned(),
        };
        let missed = vec![survivor(3, "c"), survivor(7, "d"), survivor(8, "d")];
        let outcomes = Outcomes { caught: 10, unviable: 2, timed_out: 1, missed };
        let longer = Outcomes { caught: 123, ..Outcomes::default() };
        BTreeMap::from([("a".to_owned(), outcomes), ("longer".to_owned(), longer)])
    }

    fn excuse(package: &'static str, functions: &'static [&'static str]) -> Excuse {
        Excuse { package, file: "a/src/b.rs", functions, reason: "why" }
    }

    #[test]
    fn packages_are_rows() {
        let text = "package  mutants  caught  missed  unviable  timed out\n\
                    a             16      10       3         2          1\n\
                    longer       123     123       0         0          0\n";
        assert_eq!(table(&packages()).plain(), text);
    }

    #[test]
    fn survivors_that_are_not_excused_come_first() {
        let lines = [
            "a/src/b.rs:7:5: replace + with - in d",
            "a/src/b.rs:8:5: replace + with - in d",
            "a/src/b.rs:3:5: replace + with - in c (excused: why)",
        ];
        assert_eq!(survivors(&packages(), &[excuse("a", &["c"])]), lines);
    }

    #[test]
    fn an_excuse_without_a_survivor_is_not_needed_where_its_package_was_tried() {
        let excuses = [excuse("a", &["d", "e"]), excuse("other", &["e"])];
        assert_eq!(unneeded(&packages(), &excuses), [("a/src/b.rs", "e")]);
    }
}
