//! The command, from its options to its exit status.

use std::fs;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::budgets;
use super::code;
use super::compare::compare;
use super::document::Document;
use super::names;
use super::report::html;
use super::run::{Plan, measure};
use super::summary;
use super::timed;
use crate::host::Host;
use crate::image::{self, Profile, Target};
use crate::install;
use crate::progress::say;
use crate::workspace;

/// What the user asks for.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Measure only what has this name, or one that begins so: `irq::disable`, `exit` [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Measure on this host; may be given several times [default: bare, tcg, kvm, vmi]
    #[arg(long = "host", value_name = "HOST", value_parser = Host::named)]
    hosts: Vec<&'static Host>,
    /// Show what changed since that run; fail if a counted figure grew that can be compared
    #[arg(long, value_name = "OLD.json")]
    compare: Option<PathBuf>,
    /// Print the document instead of the table
    #[arg(long, conflicts_with = "compare")]
    json: bool,
    /// Write the document here, and the report beside it [default: bench.json in the target directory]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Boot this file instead of building the image
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Count only, and do not time this machine; so too where names, hosts or an image are given
    #[arg(long)]
    counted: bool,
    /// Write the figures that `cargo xtask test` checks into benches/budgets.txt
    #[arg(long, conflicts_with_all = ["names", "hosts", "image"])]
    renew_budgets: bool,
}

/// Measures, writes the document and the report, and prints the table; returns whether everything that was asked for was
/// measured and nothing grew.
pub(crate) fn run(options: Options) -> Result<bool> {
    let is_everything = options.names.is_empty() && options.hosts.is_empty() && options.image.is_none();
    let times = is_everything && !options.counted && !options.renew_budgets;
    let old = options.compare.as_deref().map(Document::read).transpose()?;
    let output = options.output.unwrap_or_else(|| workspace::target().join("bench.json"));
    let report = output.with_extension("html");
    ensure!(report != output, "`{}` is where the report goes, not the document", output.display());
    [&output, &report].into_iter().try_for_each(|path| may_be_written(path))?;
    install::qemu()?;
    let (hosts, all_there) = present(&options.hosts);
    // Nothing shall take the place of what an earlier run found.
    if hosts.is_empty() {
        return Ok(all_there);
    }
    let image = match &options.image {
        Some(image) => image.clone(),
        None => image::build(Target::choose(), Profile::Release)?,
    };
    let sites = match &options.image {
        None if names::ask_for_sites(&options.names) => image::build_sites()?.to_vec(),
        _ => Vec::new(),
    };
    let names = names::check(&image, &sites, &options.names)?;
    // What is no image of ours has no sites to measure.
    let code = match code::sizes(&image) {
        Err(error) if options.image.is_some() => {
            say(&format!("no code is measured: {error:#}"));
            Vec::new()
        }
        sizes => sizes?,
    };

    let (mut document, mut error) = measure(&Plan { image, hosts, names, sites }, code)?;
    if times && error.is_none() {
        error = timed::add_to(&mut document);
    }
    if document.hosts.iter().all(|host| host.figures.is_empty())
        && let Some(error) = error
    {
        return Err(error);
    }
    write(&output, &document.json()?)?;
    write(&report, &html(&document))?;
    if let Some(error) = error {
        say(&format!("what was measured so far is in {}", output.display()));
        return Err(error);
    }

    if options.json {
        stdout().write_all(document.json()?.as_bytes())?;
    } else {
        summary::print(&document)?;
    }
    let comparison = old.map(|old| compare(&old, &document));
    if let Some(comparison) = &comparison {
        comparison.print()?;
    }
    if options.renew_budgets {
        say(&format!("{} is renewed", budgets::renew(&document)?.display()));
    }
    say(&format!("all figures: {}, {}", output.display(), report.display()));
    stdout().flush()?;
    Ok(all_there && comparison.is_none_or(|comparison| comparison.is_good()))
}

/// Demands that a file can be written there, before anything is measured.
fn may_be_written(path: &Path) -> Result<()> {
    let name = path.display();
    ensure!(!path.exists() || path.is_file(), "`{name}` is not an ordinary file");
    let directory = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    tempfile::tempfile_in(directory).with_context(|| format!("cannot write `{name}`"))?;
    Ok(())
}

/// Writes a file.
fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
}

/// Returns the hosts that are asked for and there, the default ones where none is asked for; and whether none that was
/// asked for is missing. A missing one is named.
fn present(asked: &[&'static Host]) -> (Vec<&'static Host>, bool) {
    let mut hosts: Vec<&'static Host> = Vec::new();
    let mut all_there = true;
    let wanted = || asked.iter().copied();
    let chosen: Vec<&'static Host> =
        if asked.is_empty() { Host::measured().collect() } else { wanted().collect() };
    for host in chosen {
        if hosts.iter().any(|known| known.name == host.name) {
            continue;
        }
        match host.cannot_count() {
            None => hosts.push(host),
            Some(reason) => {
                say(&format!("{host}: skipped: {reason}"));
                all_there = false;
            }
        }
    }
    (hosts, all_there)
}
