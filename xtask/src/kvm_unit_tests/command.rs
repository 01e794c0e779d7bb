//! The command: which tests are run, and where what they said is kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::excuses::excuse;
use super::machine::Machine;
use super::report::{self, Row};
use super::rig_run::{self, MEMORY_MAX_MIB, Outcome, Ready};
use super::tree::{self, Tree};
use super::unittests::{self, Entry};

/// The architecture and the accelerator of the rig.
const ARCH: &str = "x86_64";
const ACCEL: &str = "kvm";

/// How long a test may take that says nothing of it: as kvm-unit-tests' own runner has it.
const TIMEOUT: Duration = Duration::from_secs(90);

/// How long one may take that may take for ever.
const FOR_EVER: Duration = Duration::from_secs(60 * 60);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The checkout; it is copied, and stays as it is
    #[arg(long, value_name = "DIR")]
    tree: PathBuf,
    /// Give every test so long at least: its own limit is meant for a real CPU
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: Option<u64>,
    /// Keep there what every test says, in a file a side
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
    /// Print the table as one JSON document
    #[arg(long)]
    json: bool,
    /// Parts of the names of the tests to run; a whole name also runs one that is not run by default
    filter: Vec<String>,
}

/// Runs the tests on both sides; returns whether all that pass under QEMU pass under `vmi-run`, but for the excepted.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let text = tree::look(&options.tree)?;
    let entries = unittests::read(&text).with_context(|| format!("`{}`", options.tree.display()))?;
    let chosen = choose(&entries, &options.filter)?;
    let plans: Vec<_> = chosen.iter().map(|entry| plan(entry, &options.filter)).collect();
    if let Some(logs) = &options.logs {
        fs::create_dir_all(logs).with_context(|| format!("cannot make `{}`", logs.display()))?;
    }
    let tree = plans.iter().any(Result::is_ok).then(|| Tree::build(&options.tree)).transpose()?;
    let mut ready = Vec::new();
    let mut rows = Vec::new();
    for (entry, machine) in chosen.into_iter().zip(&plans) {
        let test = machine.as_ref().map_err(String::clone).and_then(|machine| {
            let image = tree.as_ref().and_then(|tree| tree.image(&entry.file));
            let image = image.ok_or_else(|| format!("the build made no {}", entry.file))?;
            Ok(Ready { entry, machine, image, limit: limit(entry, options.timeout) })
        });
        // Those that run have their rows later.
        rows.push(test.map(|test| ready.push(test)).err().map(|reason| Row::skipped(&entry.name, reason)));
    }
    let outcomes = if ready.is_empty() { Vec::new() } else { rig_run::run(&ready)? };
    if let Some(logs) = &options.logs {
        keep(logs, &ready, &outcomes)?;
    }
    let mut ran = ready.iter().zip(outcomes).map(|(test, outcome)| row(test, outcome));
    let rows: Vec<Row> = rows.into_iter().filter_map(|row| row.or_else(|| ran.next())).collect();
    report::print(&rows, options.json)
}

/// Returns the tests whose name holds one of the filters; all of them where there is none.
fn choose<'a>(entries: &'a [Entry], filters: &[String]) -> Result<Vec<&'a Entry>> {
    let has = |entry: &Entry, filter: &String| entry.name.contains(filter.as_str());
    if let Some(filter) = filters.iter().find(|filter| !entries.iter().any(|entry| has(entry, filter))) {
        bail!("no test of `{}` has `{filter}` in its name", unittests::PATH);
    }
    let is_chosen = |entry: &&Entry| filters.is_empty() || filters.iter().any(|filter| has(entry, filter));
    Ok(entries.iter().filter(is_chosen).collect())
}

/// Returns what the test asks for, or why it is not run.
fn plan(entry: &Entry, filters: &[String]) -> Result<Machine, String> {
    for (only, here) in [(&entry.arch, ARCH), (&entry.accel, ACCEL)] {
        if let Some(only) = only.as_ref().filter(|only| *only != here) {
            return Err(format!("{only} only"));
        }
    }
    let is_in = |group: &str| entry.groups.iter().any(|name| name == group);
    if is_in("nodefault") && !filters.contains(&entry.name) {
        return Err("not run by default".to_owned());
    }
    if is_in("migration") {
        return Err("needs to be migrated".to_owned());
    }
    let machine = Machine::of(entry)?;
    if machine.memory_mib > MEMORY_MAX_MIB {
        return Err(format!("{} MiB are more than the rig has", machine.memory_mib));
    }
    Ok(machine)
}

/// Returns how long the test may take.
fn limit(entry: &Entry, least: Option<u64>) -> Duration {
    let own = match entry.timeout {
        Some(Duration::ZERO) => FOR_EVER,
        Some(own) => own,
        None => TIMEOUT,
    };
    own.max(Duration::from_secs(least.unwrap_or_default()))
}

fn row(test: &Ready<'_>, outcome: Outcome) -> Row {
    let Ready { entry, machine, .. } = test;
    match outcome {
        Outcome::Unmet(reason) => Row::skipped(&entry.name, reason),
        Outcome::Ran { qemu, vmi_run } => {
            Row::ran(&entry.name, qemu.seen, vmi_run.seen, excuse(entry, machine), &machine.ignored)
        }
    }
}

/// Writes what every test said to `NAME.qemu` and `NAME.vmi-run` in the directory.
fn keep(logs: &Path, tests: &[Ready<'_>], outcomes: &[Outcome]) -> Result<()> {
    for (test, outcome) in tests.iter().zip(outcomes) {
        let Outcome::Ran { qemu, vmi_run } = outcome else { continue };
        let name = test.entry.name.replace('/', "_");
        for (side, name) in [(qemu, format!("{name}.qemu")), (vmi_run, format!("{name}.vmi-run"))] {
            let file = logs.join(name);
            fs::write(&file, &side.console).with_context(|| format!("cannot write `{}`", file.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, more: &str) -> Entry {
        unittests::read(&format!("[{name}]\nfile = a.flat\n{more}")).unwrap().remove(0)
    }

    fn reason(more: &str, filters: &[&str]) -> Option<String> {
        let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
        plan(&entry("a", more), &filters).err()
    }

    #[test]
    fn what_makes_no_sense_here_is_not_run() {
        assert_eq!(reason("arch = x86_64\naccel = kvm\n", &[]), None);
        assert_eq!(reason("arch = i386\n", &[]).as_deref(), Some("i386 only"));
        assert_eq!(reason("accel = tcg\n", &["a"]).as_deref(), Some("tcg only"));
        assert_eq!(reason("groups = migration\n", &[]).as_deref(), Some("needs to be migrated"));
        assert_eq!(reason("qemu_params = -m 5g\n", &[]), None);
        assert_eq!(
            reason("qemu_params = -m 6g\n", &[]).as_deref(),
            Some("6144 MiB are more than the rig has")
        );
        assert_eq!(reason("smp = no\n", &[]).as_deref(), Some("`-smp no` is no number of CPUs"));
    }

    #[test]
    fn what_is_not_run_by_default_runs_by_its_whole_name() {
        assert_eq!(reason("groups = x nodefault\n", &[]).as_deref(), Some("not run by default"));
        assert_eq!(reason("groups = x nodefault\n", &[""]).as_deref(), Some("not run by default"));
        assert_eq!(reason("groups = x nodefault\n", &["b", "a"]), None);
    }

    #[test]
    fn filters_are_parts_of_names() {
        let entries = [entry("apic", ""), entry("apic-split", ""), entry("msr", "")];
        let chosen = |filters: &[&str]| {
            let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
            let chosen = choose(&entries, &filters).map_err(|error| error.to_string());
            chosen.map(|chosen| chosen.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>())
        };
        assert_eq!(chosen(&[]).unwrap(), ["apic", "apic-split", "msr"]);
        assert_eq!(chosen(&["split", "m"]).unwrap(), ["apic-split", "msr"]);
        assert_eq!(chosen(&["apic", "x"]).unwrap_err(), "no test of `x86/unittests.cfg` has `x` in its name");
    }

    #[test]
    fn a_limit_is_the_tests_own_but_for_the_least() {
        let seconds = |more, least| limit(&entry("a", more), least).as_secs();
        assert_eq!(seconds("", None), 90);
        assert_eq!(seconds("timeout = 30\n", None), 30);
        assert_eq!(seconds("timeout = 30\n", Some(60)), 60);
        assert_eq!(seconds("timeout = 180\n", Some(60)), 180);
        assert_eq!(seconds("timeout = 0\n", None), 3600);
    }
}
