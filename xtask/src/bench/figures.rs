//! Figures from lines: what a turn costs, and what of that is the loop's.

use anyhow::{Context, Result, ensure};

use super::causes;
use super::differences::is_unedited;
use super::document::{Counted, Figure};
use super::lines::{EMPTY, Line, Lines};

/// The phases in which a bench backend replaces every leaf op in one form, which is then the variant.
const FORMS: [&str; 3] = ["thunk", "naked", "inline"];

/// Whether figures must be whole numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Exactness {
    /// Nothing but the guest is counted.
    Whole,
    /// The host's kernel is counted as well, and does not always the same.
    Near,
}

/// Makes a figure of every line that is not a baseline.
///
/// # Errors
///
/// Names a benchmark whose baseline is missing, that was measured twice, or whose figure cannot be.
pub(super) fn figures(lines: &Lines, exactness: Exactness) -> Result<Vec<Figure>> {
    let mut figures: Vec<Figure> = Vec::new();
    for line in lines.measured.iter().filter(|line| line.variant != EMPTY) {
        let figure = figure(lines, line, exactness).with_context(|| format!("`{}`", line.title()))?;
        ensure!(
            figures.iter().all(|other| other.key() != figure.key()),
            "`{}` was measured twice",
            line.title()
        );
        figures.push(figure);
    }
    Ok(figures)
}

/// Drops lines whose baseline did not come before the console broke off.
pub(super) fn drop_incomplete(lines: &mut Lines) {
    let measured = lines.measured.clone();
    lines.measured.retain(|line| baseline(&measured, line).is_some());
}

fn figure(lines: &Lines, line: &Line, exactness: Exactness) -> Result<Figure> {
    let baseline = baseline(&lines.measured, line).context("there is no empty loop to subtract")?;
    let empty = turn(baseline, baseline.least);
    if exactness == Exactness::Whole {
        for line in [line, baseline] {
            let ticks = line.least.checked_sub(line.short).context("more turns took less")?;
            ensure!(
                ticks.is_multiple_of(line.turns),
                "`{}` took {ticks} instructions for {} turns, no whole number each",
                line.title(),
                line.turns
            );
        }
        ensure!(turn(line, line.least) >= empty, "it costs less than the empty loop");
    }
    let instructions = Counted {
        least: turn(line, line.least) - empty,
        mean: (line.sum as f64 / line.batches as f64 - line.short as f64) / line.turns as f64 - empty,
        most: turn(line, line.most) - empty,
    };
    let variant = variant(line);
    let cause = is_unedited(&line.name, variant)
        .then(|| causes::cause(&line.name, &line.surrounding, exactness))
        .flatten();
    Ok(Figure {
        name: line.name.clone(),
        variant: variant.to_owned(),
        surrounding: line.surrounding.clone(),
        phase: line.phase.clone(),
        instructions,
        exits: None,
        cause: cause.map(str::to_owned),
    })
}

/// Returns what a turn costs where a batch of twice the turns took so long: what surrounds the loop is in both.
fn turn(line: &Line, ticks: u64) -> f64 {
    (ticks as f64 - line.short as f64) / line.turns as f64
}

/// Finds the empty loop in the same surrounding and phase; one of the benchmark's own name comes first.
fn baseline<'a>(lines: &'a [Line], line: &Line) -> Option<&'a Line> {
    let fits = |name: &str| {
        lines.iter().find(|empty| {
            empty.variant == EMPTY
                && empty.name == name
                && (&empty.surrounding, &empty.phase) == (&line.surrounding, &line.phase)
        })
    };
    fits(&line.name).or_else(|| fits(EMPTY))
}

/// Names what a line measured: of a site that depends on who has edited it.
fn variant(line: &Line) -> &str {
    if line.variant != "site" {
        &line.variant
    } else if FORMS.contains(&&*line.phase) {
        &line.phase
    } else if line.phase == "after" && line.has_backend {
        "backend"
    } else {
        "native"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY_LOOP: &str = "bench empty empty loop before 256 16 524 1036 16576 1036\n";

    fn read(more: &str) -> Lines {
        Lines::read(&format!("{EMPTY_LOOP}{more}\n")).expect("no line is damaged")
    }

    fn one(more: &str) -> Figure {
        let figures = figures(&read(more), Exactness::Whole).expect("the figures are whole");
        assert_eq!(figures.len(), 1);
        figures[0].clone()
    }

    fn refused(more: &str, exactness: Exactness) -> String {
        format!("{:#}", figures(&read(more), exactness).expect_err(more))
    }

    #[test]
    fn the_empty_loop_and_what_surrounds_it_are_subtracted() {
        // Ten instructions around the loop, two a turn of the empty one, five of this; one batch met an interrupt.
        let figure = one("bench cpu::cycles site loop before 256 16 1290 2570 41220 2670");
        assert_eq!(figure.key(), ["cpu::cycles", "native", "loop", "before"]);
        assert_eq!(figure.instructions.least, 3.0);
        assert_eq!(figure.instructions.mean, 3.0 + 100.0 / 16.0 / 256.0);
        assert_eq!(figure.instructions.most, 3.0 + 100.0 / 256.0);
    }

    #[test]
    fn an_empty_loop_of_the_same_name_comes_first() {
        let own = "bench a empty loop before 64 16 192 384 6144 384\n";
        assert_eq!(
            one(&format!("{own}bench a bare loop before 64 16 256 512 8192 512")).instructions.least,
            1.0
        );
        assert_eq!(one("bench a bare loop before 64 16 256 512 8192 512").instructions.least, 2.0);
    }

    #[test]
    fn only_an_empty_loop_of_the_same_surrounding_and_phase_serves() {
        for benchmark in ["a bare live before", "a bare loop after"] {
            let error = refused(&format!("bench {benchmark} 64 16 256 512 8192 512"), Exactness::Near);
            assert!(error.contains(benchmark) && error.contains("no empty loop"), "{error}");
        }
    }

    #[test]
    fn of_a_console_that_broke_off_what_can_be_figured_is_kept() {
        let mut lines = read(
            "bench a bare loop before 64 16 256 512 8192 512\nbench a bare live before 64 16 256 512 8192 512",
        );
        drop_incomplete(&mut lines);
        assert_eq!(figures(&lines, Exactness::Whole).expect("the rest is dropped").len(), 1);
    }

    #[test]
    fn a_figure_that_must_be_whole_and_is_not_is_named() {
        let line = "bench a bare loop before 64 16 256 513 8192 513";
        assert!(refused(line, Exactness::Whole).contains("257 instructions for 64 turns"));
        assert_eq!(
            figures(&read(line), Exactness::Near).expect("near")[0].instructions.least,
            2.0 + 1.0 / 64.0
        );
        assert!(
            refused("bench a bare loop before 64 16 256 255 8192 513", Exactness::Whole)
                .contains("took less")
        );
        assert!(
            refused("bench a bare loop before 64 16 256 320 8192 513", Exactness::Whole)
                .contains("costs less")
        );
        let twice = format!("{line}\n{line}");
        assert!(refused(&twice, Exactness::Near).contains("twice"));
    }

    #[test]
    fn a_site_is_named_after_who_edited_it() {
        for (phase, layers, expected) in [
            ("before", "kvm", "native"),
            ("after", "none", "native"),
            ("after", "kvm", "backend"),
            ("teardown", "kvm", "native"),
            ("naked", "none", "naked"),
        ] {
            let console = format!("vmi: layers: {layers}\nbench a site loop {phase} 1 1 1 2 2 2\n");
            let lines = Lines::read(&console).expect("a line");
            assert_eq!(variant(&lines.measured[0]), expected);
        }
        let bare = Lines::read("bench a bare loop naked 1 1 1 2 2 2\n").expect("a line");
        assert_eq!(variant(&bare.measured[0]), "bare");
    }
}
