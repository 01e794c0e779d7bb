//! What was timed, in the terminal: a table a topic, a row a candidate, a column a question of the topic.

use std::io::{Write, stdout};

use anyhow::Result;

use crate::bench::document::Timed;
use crate::bench::unique::unique;
use crate::table::{Cell, Colour, Table};

/// What stands for a candidate that a question does not have.
const NONE: &str = "·";

/// Prints the tables, if anything was timed.
pub(in crate::bench) fn print(timed: &[Timed]) -> Result<()> {
    if timed.is_empty() {
        return Ok(());
    }
    writeln!(
        stdout(),
        "\nTimed on this machine: median and quartiles, as ratios to the baseline of the same run"
    )?;
    for topic in unique(timed.iter().map(|timed| split(timed).0)) {
        writeln!(stdout())?;
        table(topic, timed).print()?;
    }
    Ok(())
}

/// Makes the table of a topic.
fn table(topic: &str, timed: &[Timed]) -> Table {
    let of_topic = || timed.iter().filter(|timed| split(timed).0 == topic);
    let questions = unique(of_topic().map(|timed| split(timed).1));
    let mut table = Table::default();
    let titles = questions.iter().map(|question| Cell::title(question));
    table.row([Cell::word(topic)].into_iter().chain(titles).map(|cell| cell.colour(Colour::Faint)));
    for candidate in unique(of_topic().map(|timed| &*timed.candidate)) {
        let ratios = questions.iter().map(|question| {
            let found = of_topic().find(|timed| split(timed).1 == *question && timed.candidate == candidate);
            found.map_or_else(|| Cell::title(NONE).colour(Colour::Faint), ratio)
        });
        table.row([Cell::word(candidate)].into_iter().chain(ratios));
    }
    table
}

fn ratio(timed: &Timed) -> Cell {
    let Timed { ratio, low, high, .. } = timed;
    let cell = Cell::title(&format!("{ratio:.2} ({low:.2}–{high:.2})"));
    if timed.is_baseline { cell.colour(Colour::Faint) } else { cell }
}

/// Splits the name of a question into its topic and the rest, which may be empty.
fn split(timed: &Timed) -> (&str, &str) {
    timed.question.split_once('/').unwrap_or((&timed.question, ""))
}
