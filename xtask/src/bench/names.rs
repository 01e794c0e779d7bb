//! The names of the benchmarks, which the image knows.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use crate::boot::Boot;
use crate::full_run::judge;
use crate::host::Host;
use crate::progress::Progress;

/// How wide a list of names may be, in characters.
const WIDTH: usize = 100;

/// What the images of the program `sites` measure, besides the sample kernel.
const OF_SITES: [&str; 4] = ["init::native", "init::validate", "init::edit", "init::restore"];

/// Tells whether the names ask for what the program `sites` measures.
pub(super) fn ask_for_sites(asked: &[String]) -> bool {
    asked.is_empty() || asked.iter().any(|asked| OF_SITES.iter().any(|name| name.starts_with(asked.as_str())))
}

/// Asks the image for the names of its benchmarks.
fn known(image: &Path) -> Result<Vec<String>> {
    let _progress = Progress::start("asking the image for its benchmarks");
    let run = Boot::new(Host::named("tcg")?, image).arguments("bench-names").run()?;
    judge(&run)?;
    let mut known: Vec<String> = Vec::new();
    for name in run.console.lines().filter_map(|line| line.strip_prefix("bench-name ")) {
        if !known.iter().any(|other| other == name.trim()) {
            known.push(name.trim().to_owned());
        }
    }
    ensure!(!known.is_empty(), "the image knows no benchmark");
    Ok(known)
}

/// Demands that each of the names is that of a benchmark, or the beginning of one: of the image, or of the program `sites`
/// if that is there. Returns those that the image knows; none where it has nothing to measure, and no names where it has
/// everything.
///
/// # Errors
///
/// Lists the benchmarks that there are.
pub(super) fn check(image: &Path, sites: &[PathBuf], asked: &[String]) -> Result<Option<Vec<String>>> {
    if asked.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let mut known = known(image)?;
    let of_image: Vec<String> = asked.iter().filter(|asked| is_known(asked, &known)).cloned().collect();
    if !sites.is_empty() {
        known.extend(OF_SITES.map(str::to_owned));
    }
    match asked.iter().find(|asked| !is_known(asked, &known)) {
        None => Ok((!of_image.is_empty()).then_some(of_image)),
        Some(unknown) => {
            bail!("there is no benchmark `{unknown}`; the benchmarks are\n{}", in_columns(&known, WIDTH))
        }
    }
}

/// Tells whether a benchmark has that name, or one that begins so. What separates the names on the kernel command line
/// is in none.
fn is_known(asked: &str, known: &[String]) -> bool {
    !asked.is_empty() && known.iter().any(|name| name.starts_with(asked))
}

/// Writes names in columns that read downwards, as many as there is room for.
fn in_columns(names: &[String], width: usize) -> String {
    let layout = |rows: usize| -> Vec<usize> {
        names.chunks(rows).map(|column| column.iter().map(String::len).max().unwrap_or(0)).collect()
    };
    let fits = |rows: &usize| layout(*rows).iter().map(|column| column + 2).sum::<usize>() <= width;
    let rows = (1..names.len().max(1)).find(fits).unwrap_or(names.len().max(1));
    let widths = layout(rows);
    let mut text = String::new();
    for row in 0..rows {
        let cells = names.iter().skip(row).step_by(rows).zip(&widths);
        let line: String = cells.map(|(name, width)| format!("  {name:<width$}")).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.pop();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_name_or_its_beginning_is_known() {
        let known = names(&["irq::save", "exit::cpuid"]);
        for asked in ["irq::save", "exit", "exit::", "irq::s"] {
            assert!(is_known(asked, &known), "{asked}");
        }
        for asked in ["", "irq::saved", "save", "exit::cpuid,irq::save", "exit cpuid"] {
            assert!(!is_known(asked, &known), "{asked}");
        }
    }

    #[test]
    fn columns_read_downwards_and_keep_the_width() {
        let five = names(&["a", "bbb", "c", "dd", "e"]);
        assert_eq!(in_columns(&five, 11), "  a    dd\n  bbb  e\n  c");
        assert_eq!(in_columns(&five, 80), "  a  bbb  c  dd  e");
        assert_eq!(in_columns(&five, 1), "  a\n  bbb\n  c\n  dd\n  e");
        assert_eq!(in_columns(&five[..1], 80), "  a");
    }
}
