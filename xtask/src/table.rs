//! Aligned tables for people: colour on a terminal only.

use std::env;
use std::io::{IsTerminal, Result, Write, stdout};

/// How a cell is set off from the others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Colour {
    Plain,
    Faint,
    Good,
    Bad,
}

/// What stands in one place of a table.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    colour: Colour,
    /// Numbers stand at the right, words at the left.
    is_number: bool,
}

impl Cell {
    /// Makes a cell of words.
    pub(crate) fn word(text: impl Into<String>) -> Self {
        Self { text: text.into(), colour: Colour::Plain, is_number: false }
    }

    /// Makes a cell of a number.
    pub(crate) fn number(number: u64) -> Self {
        Self::title(&number.to_string())
    }

    /// Makes the title of a column of numbers.
    pub(crate) fn title(text: &str) -> Self {
        Self { text: text.to_owned(), colour: Colour::Plain, is_number: true }
    }

    /// Sets the cell off.
    pub(crate) fn colour(self, colour: Colour) -> Self {
        Self { colour, ..self }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

/// Rows of cells, of which a shorter one leaves its last columns empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(Vec<Vec<Cell>>);

impl Table {
    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.0.push(cells.into_iter().collect());
    }

    /// Prints the table on stdout.
    ///
    /// # Errors
    ///
    /// Fails when nobody reads stdout any more.
    pub(crate) fn print(&self) -> Result<()> {
        let mut stdout = stdout().lock();
        let is_coloured =
            stdout.is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        stdout.write_all(self.render(is_coloured).as_bytes())?;
        stdout.flush()
    }

    /// Returns the table as text.
    pub(crate) fn plain(&self) -> String {
        self.render(false)
    }

    fn render(&self, is_coloured: bool) -> String {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| self.0.iter().filter_map(|row| row.get(column)).map(Cell::width).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        let mut text = String::new();
        for row in &self.0 {
            let mut line = String::new();
            for (number, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let padding = " ".repeat(width - cell.width());
                let (before, after) =
                    if cell.is_number { (padding, String::new()) } else { (String::new(), padding) };
                let (on, off) = if is_coloured { codes(cell.colour) } else { ("", "") };
                let gap = if number == 0 { "" } else { "  " };
                line.push_str(&format!("{gap}{before}{on}{}{off}{after}", cell.text));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Returns what switches a colour on and off (ECMA-48, Select Graphic Rendition).
fn codes(colour: Colour) -> (&'static str, &'static str) {
    match colour {
        Colour::Plain => ("", ""),
        Colour::Faint => ("\x1b[2m", "\x1b[0m"),
        Colour::Good => ("\x1b[32m", "\x1b[0m"),
        Colour::Bad => ("\x1b[1;31m", "\x1b[0m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::default();
        table.row([Cell::word("host"), Cell::title("ms").colour(Colour::Faint)]);
        table.row([Cell::word("kvm-local"), Cell::number(7)]);
        table.row([Cell::word("tcg"), Cell::number(123).colour(Colour::Bad)]);
        table
    }

    #[test]
    fn columns_are_aligned_and_lines_end_without_blanks() {
        assert_eq!(table().render(false), "host        ms\nkvm-local    7\ntcg        123\n");
    }

    #[test]
    fn colour_changes_no_width() {
        let coloured = table().render(true);
        assert!(coloured.contains("\x1b[1;31m123\x1b[0m"));
        let plain =
            ["\x1b[2m", "\x1b[1;31m", "\x1b[0m"].iter().fold(coloured, |text, code| text.replace(code, ""));
        assert_eq!(plain, table().render(false));
    }
}
