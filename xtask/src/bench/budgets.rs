//! The figures that must not change unseen: one file in the repository, which `cargo xtask test` checks exactly.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use super::document::Document;
use super::versions;
use crate::workspace;

/// The command that makes the file anew.
pub(crate) const RENEW: &str = "cargo xtask bench --renew-budgets";

/// The host on which exits are counted.
const EXITS: &str = "vmi";

/// What a figure is of. Ordered as the lines are.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Key {
    unit: String,
    name: String,
    variant: String,
    surrounding: String,
    phase: String,
    host: String,
}

/// Figures that belong together, and what made them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Budgets {
    /// The compiler, which decides what code there is.
    pub(crate) rustc: String,
    figures: BTreeMap<Key, f64>,
}

/// Returns where the file is.
pub(crate) fn path() -> PathBuf {
    workspace::root().join("benches/budgets.txt")
}

/// Writes the file from a document of all benchmarks on all hosts, and returns its path.
pub(super) fn renew(document: &Document) -> Result<PathBuf> {
    let path = path();
    let text = Budgets::of(document)?.text();
    fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(path)
}

impl Budgets {
    /// Takes from a document what must not change: instructions that are the guest's alone, exits, and bytes.
    pub(crate) fn of(document: &Document) -> Result<Self> {
        let rustc = document.versions.get(versions::RUSTC).context("the compiler is not known")?.clone();
        let mut figures = BTreeMap::new();
        let mut put = |unit: &str, [name, variant, surrounding, phase]: [&str; 4], host: &str, value: f64| {
            let [unit, name, variant, surrounding, phase, host] =
                [unit, name, variant, surrounding, phase, host].map(str::to_owned);
            figures.insert(Key { unit, name, variant, surrounding, phase, host }, value);
        };
        for host in &document.hosts {
            for figure in &host.figures {
                // What never exits costs the same whatever the host is.
                let is_guests = !host.includes_host || figure.exits == Some(0.0);
                if is_guests {
                    put("instructions", figure.key(), &host.host, figure.instructions.least);
                }
                if host.host == EXITS
                    && let Some(exits) = figure.exits
                {
                    put("exits", figure.key(), &host.host, exits);
                }
            }
        }
        for code in &document.code {
            put("bytes", [&code.name, &code.part, "-", "-"], "-", code.bytes as f64);
        }
        Ok(Self { rustc, figures })
    }

    /// Reads the file of the repository.
    pub(crate) fn read() -> Result<Self> {
        let path = path();
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Self::parse(&text)
            .with_context(|| format!("`{}` is damaged; `{RENEW}` makes it anew", path.display()))
    }

    /// Returns a figure of a host, if it is the same in all phases in which it was taken.
    pub(crate) fn figure(&self, [unit, name, variant, surrounding, host]: [&str; 5]) -> Option<f64> {
        let is_it = |key: &Key| {
            [&*key.unit, &key.name, &key.variant, &key.surrounding, &key.host]
                == [unit, name, variant, surrounding, host]
        };
        let mut figures = self.figures.iter().filter(|(key, _)| is_it(key)).map(|(_, figure)| *figure);
        let first = figures.next()?;
        figures.all(|other| other == first).then_some(first)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut rustc = None;
        let mut figures = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            if line.starts_with('#') || line.is_empty() {
                continue;
            }
            if let Some(version) = line.strip_prefix("rustc: ") {
                rustc = Some(version.to_owned());
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let [unit, name, variant, surrounding, phases, hosts, value] = words[..] else {
                bail!("line {} is no figure: `{line}`", number + 1);
            };
            let value: f64 = value.parse().with_context(|| format!("line {}: `{line}`", number + 1))?;
            for host in hosts.split(',') {
                for phase in phases.split(',') {
                    let [unit, name, variant, surrounding, phase, host] =
                        [unit, name, variant, surrounding, phase, host].map(str::to_owned);
                    let key = Key { unit, name, variant, surrounding, phase, host };
                    ensure!(figures.insert(key, value).is_none(), "line {} says again: `{line}`", number + 1);
                }
            }
        }
        Ok(Self { rustc: rustc.context("no line names the compiler")?, figures })
    }

    /// Writes the file: a line for all phases and hosts that cost the same.
    fn text(&self) -> String {
        let mut rows: Vec<[String; 7]> = Vec::new();
        for (unit, name, variant, surrounding) in self.subjects() {
            for (phases, hosts, value) in self.merged(unit, name, variant, surrounding) {
                rows.push(
                    [unit, name, variant, surrounding, &phases, &hosts, &value.to_string()]
                        .map(str::to_owned),
                );
            }
        }
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..7).map(width).collect();
        let mut text = format!(
            "# What must not change unseen: instructions, exits and bytes. `cargo xtask test budgets` checks them exactly.\n\
             # Not written by hand: `{RENEW}` writes this file, and the review sees what changed.\n\
             # unit, name, variant, surrounding, phases, hosts, figure\n\nrustc: {}\n\n",
            self.rustc
        );
        for row in rows {
            let cells = row.iter().zip(&widths).enumerate();
            let cells = cells.map(|(column, (cell, width))| match column {
                6 => format!("{cell:>width$}"),
                _ => format!("{cell:<width$}"),
            });
            text.push_str(&cells.collect::<Vec<_>>().join("  "));
            text.push('\n');
        }
        text
    }

    /// Returns what is measured in phases and on hosts.
    fn subjects<'a>(&'a self) -> Vec<(&'a str, &'a str, &'a str, &'a str)> {
        let subject = |key: &'a Key| (&*key.unit, &*key.name, &*key.variant, &*key.surrounding);
        let mut subjects: Vec<_> = self.figures.keys().map(subject).collect();
        subjects.dedup();
        subjects
    }

    /// Returns the figures of a subject, with the phases, and then the hosts, that share one.
    fn merged(&self, unit: &str, name: &str, variant: &str, surrounding: &str) -> Vec<(String, String, f64)> {
        let is_it = |key: &&Key| {
            (&*key.unit, &*key.name, &*key.variant, &*key.surrounding) == (unit, name, variant, surrounding)
        };
        let keys: Vec<&Key> = self.figures.keys().filter(is_it).collect();
        let mut hosts: Vec<&str> = keys.iter().map(|key| &*key.host).collect();
        hosts.sort_unstable();
        hosts.dedup();
        // Phases by host and figure, then hosts that have the same.
        let mut lines: Vec<(String, String, f64)> = Vec::new();
        for host in hosts {
            let mut own: Vec<(String, f64)> = Vec::new();
            for key in keys.iter().filter(|key| key.host == host) {
                let value = self.figures[*key];
                match own.iter_mut().find(|(_, other)| *other == value) {
                    Some((phases, _)) => *phases = format!("{phases},{}", key.phase),
                    None => own.push((key.phase.clone(), value)),
                }
            }
            for (phases, value) in own {
                match lines.iter_mut().find(|(other, _, same)| *other == phases && *same == value) {
                    Some((_, hosts, _)) => *hosts = format!("{hosts},{host}"),
                    None => lines.push((phases, host.to_owned(), value)),
                }
            }
        }
        lines
    }

    /// Lists in sentences how what was measured differs from these.
    pub(crate) fn differences(&self, measured: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for (key, new) in &measured.figures {
            match self.figures.get(key) {
                None => differences.push(format!("{key}: {new}, which the file does not have")),
                Some(old) if old != new => differences.push(format!("{key}: {old} -> {new}")),
                Some(_) => {}
            }
        }
        let gone = self.figures.iter().filter(|(key, _)| !measured.figures.contains_key(key));
        differences.extend(gone.map(|(key, old)| format!("{key}: {old}, which was not measured")));
        differences
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { unit, name, variant, surrounding, phase, host } = self;
        let words = [name, variant, surrounding, phase, host, unit];
        let words: Vec<&str> = words.into_iter().map(String::as_str).filter(|word| *word != "-").collect();
        f.write_str(&words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budgets(lines: &[(&str, f64)]) -> Budgets {
        let figures = lines.iter().map(|(words, value)| {
            let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
            let [unit, name, variant, surrounding, phase, host] = words.try_into().expect("six words");
            (Key { unit, name, variant, surrounding, phase, host }, *value)
        });
        Budgets { rustc: "rustc 1.95.0".into(), figures: figures.collect() }
    }

    fn some() -> Budgets {
        budgets(&[
            ("bytes site record - - -", 8.0),
            ("exits paging::update_512 site loop after vmi", 0.0078125),
            ("instructions irq::disable bare loop before bare", 1.0),
            ("instructions irq::disable native live after bare", 1.0),
            ("instructions irq::disable native live after tcg", 1.0),
            ("instructions irq::disable native live before bare", 1.0),
            ("instructions irq::disable native live before tcg", 1.0),
            ("instructions irq::disable native loop after bare", 1.0),
            ("instructions irq::disable native loop after tcg", 2.0),
        ])
    }

    const LINES: &str = "\
bytes         site                record  -     -             -                 8
exits         paging::update_512  site    loop  after         vmi       0.0078125
instructions  irq::disable        bare    loop  before        bare              1
instructions  irq::disable        native  live  after,before  bare,tcg          1
instructions  irq::disable        native  loop  after         bare              1
instructions  irq::disable        native  loop  after         tcg               2
";

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let text = some().text();
        assert_eq!(Budgets::parse(&text).expect("it can be read"), some());
        let (_, lines) =
            text.split_once("\n\nrustc: rustc 1.95.0\n\n").expect("the compiler stands over the lines");
        assert_eq!(lines, LINES);
    }

    #[test]
    fn every_difference_is_named() {
        assert!(some().differences(&some()).is_empty());
        let mut other = some();
        let key = |words: &str| budgets(&[(words, 0.0)]).figures.into_keys().next().expect("one");
        other.figures.insert(key("instructions irq::disable bare loop before bare"), 2.0);
        other.figures.insert(key("instructions irq::enable bare loop before bare"), 1.0);
        other.figures.remove(&key("bytes site record - - -"));
        assert_eq!(
            some().differences(&other),
            [
                "irq::disable bare loop before bare instructions: 1 -> 2",
                "irq::enable bare loop before bare instructions: 1, which the file does not have",
                "site record bytes: 8, which was not measured",
            ]
        );
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let text = some().text();
        for damaged in [
            text.replace("rustc: ", "rust "),
            text.replace(" 8\n", "\n"),
            text.replace(" 8\n", " eight\n"),
            format!("{text}bytes site record - - - 9\n"),
        ] {
            assert!(Budgets::parse(&damaged).is_err(), "{damaged}");
        }
    }
}
