//! What the image says of a benchmark, line by line.

use anyhow::{Context, Result};

use super::document::Skipped;

/// The variant of a loop that does nothing, which is what other loops cost by themselves.
pub(super) const EMPTY: &str = "empty";

/// A line `bench NAME VARIANT SURROUNDING PHASE TURNS BATCHES SHORT LEAST SUM MOST`: the fastest batch of `turns` turns
/// took `short` ticks; `batches` of twice as many took `least` at least, `sum` together, and `most` at most.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) variant: String,
    pub(super) surrounding: String,
    pub(super) phase: String,
    pub(super) turns: u64,
    pub(super) batches: u64,
    pub(super) short: u64,
    pub(super) least: u64,
    pub(super) sum: u64,
    pub(super) most: u64,
    /// Whether there was a layer over the native functions by then.
    pub(super) has_backend: bool,
}

/// What a console says of benchmarks.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) measured: Vec<Line>,
    pub(super) skipped: Vec<Skipped>,
}

impl Lines {
    /// Reads the lines of a console that have come to their end.
    ///
    /// # Errors
    ///
    /// Quotes a line that begins like one of a benchmark and goes on like none.
    pub(super) fn read(console: &str) -> Result<Self> {
        let mut lines = Self::default();
        let mut has_backend = false;
        for line in console.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let line = line.trim_end();
            if let Some(rest) = line.strip_prefix("bench ") {
                let measured =
                    Line::read(rest, has_backend).with_context(|| format!("`{line}` is no figure"))?;
                lines.measured.push(measured);
            } else if let Some(rest) = line.strip_prefix("SKIP bench/") {
                let (name, reason) = rest.split_once(": ").unwrap_or((rest, "no reason was given"));
                let skipped = Skipped { name: name.to_owned(), reason: reason.to_owned() };
                // What cannot be measured cannot be in any phase.
                if !lines.skipped.contains(&skipped) {
                    lines.skipped.push(skipped);
                }
            } else if let Some(layers) = line.strip_prefix("vmi: layers: ") {
                has_backend = layers != "none";
            }
        }
        Ok(lines)
    }
}

impl Line {
    fn read(line: &str, has_backend: bool) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, variant, surrounding, phase, numbers @ ..] = &words[..] else { return None };
        let numbers: Option<Vec<u64>> = numbers.iter().map(|number| number.parse().ok()).collect();
        let [turns, batches, short, least, sum, most] = numbers?[..] else { return None };
        if turns == 0 || batches == 0 {
            return None;
        }
        let [name, variant, surrounding, phase] =
            [name, variant, surrounding, phase].map(ToString::to_string);
        Some(Self { name, variant, surrounding, phase, turns, batches, short, least, sum, most, has_backend })
    }

    /// Writes the benchmark as its line begins.
    pub(super) fn title(&self) -> String {
        [&*self.name, &self.variant, &self.surrounding, &self.phase].join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = "vmi sample kernel\r\nbench empty empty loop before 256 16 524 1036 16576 1036\r\n\
        vmi: layers: kvm\nSKIP bench/clock::hpet: no HPET\nSKIP after/apic::eoi: no APIC\nSKIP bench/clock::hpet: no HPET\n\
        bench irq::disable site loop after 256 16 780 1548 24768 1548\nbench irq::ena";

    #[test]
    fn whole_lines_are_read() {
        let lines = Lines::read(CONSOLE).expect("no line is damaged");
        assert_eq!(lines.measured.iter().map(|line| line.has_backend).collect::<Vec<_>>(), [false, true]);
        assert_eq!(lines.skipped, [Skipped { name: "clock::hpet".into(), reason: "no HPET".into() }]);
        let titles: Vec<String> = lines.measured.iter().map(Line::title).collect();
        assert_eq!(titles, ["empty empty loop before", "irq::disable site loop after"]);
        let Line { turns, batches, short, least, sum, most, .. } = lines.measured[1];
        assert_eq!([turns, batches, short, least, sum, most], [256, 16, 780, 1548, 24768, 1548]);
    }

    #[test]
    fn a_damaged_line_is_quoted() {
        for line in [
            "bench irq::disable site loop after 256 16 780 1548 24768",
            "bench irq::disable site loop after 256 16 780 1548 24768 1548 1",
            "bench irq::disable site loop after 256 16 x 1548 24768 1548",
            "bench irq::disable site loop after 0 16 780 1548 24768 1548",
            "bench irq::disable",
        ] {
            let error = Lines::read(&format!("{line}\n")).expect_err(line);
            assert!(format!("{error:#}").contains(line));
        }
    }
}
