//! The commands and their options.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};

use crate::boot::Boot;
use crate::full_run::judge;
use crate::host::{HOSTS, Host, Machine};
use crate::image::{self, Profile, Target};
use crate::progress::{Progress, say};
use crate::{bench, demo, doctor, hostile, install, kvm_unit_tests, mutants, startup, tests};

/// Builds the VMI image, boots it on every host, and tests everything
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
#[command(
    after_help = "Everything that is missing (QEMU, the Rust target, the Linux of the rig) is installed or \
    fetched when it is needed;\n`cargo xtask doctor` only looks."
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the image once, boot that file on every host, and print one table
    Demo {
        /// Print the table as one JSON document
        #[arg(long)]
        json: bool,
        /// Boot this file instead of building the image
        #[arg(long, value_name = "FILE")]
        image: Option<PathBuf>,
    },
    /// Boot the image on one host and show its console
    ///
    /// Succeeds only if the image ends with a good summary and the right value at the exit device.
    #[command(after_help = hosts())]
    Boot {
        /// Where to boot
        #[arg(long, value_parser = Host::named)]
        host: &'static Host,
        /// On which machine: pc, q35 or microvm [default: by host]
        #[arg(long)]
        machine: Option<Machine>,
        /// Boot this file instead of building the image
        #[arg(long, value_name = "FILE")]
        image: Option<PathBuf>,
        /// How many seconds the image may take [default: by host]
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
        timeout: Option<u64>,
        /// The kernel command line
        #[arg(last = true, value_name = "KERNEL ARGUMENTS")]
        arguments: Vec<String>,
    },
    /// Build the image and print its path
    Build {
        /// How to build it
        #[arg(long, value_enum, default_value = "release")]
        profile: Profile,
    },
    /// Run all tests, or those whose name holds the filter
    ///
    /// Formatting, clippy, docs, host tests, the build without std, and the image on all hosts. With VMI_NO_SKIP=1 a
    /// skipped test counts as failed.
    Test {
        /// A part of the names of the tests to run
        filter: Option<String>,
    },
    /// Count what ops, exits, clocks and page tables cost, in instructions, exits and bytes
    ///
    /// Writes every figure into target/bench.json, with a report for the browser beside it.
    Bench(bench::Options),
    /// Try hostile input of all kinds on vmi-run's code, far more than the tests do
    Hostile(hostile::Options),
    /// Count what vmi-run, QEMU and others cost from their start to the first line of the image
    Startup(startup::Options),
    /// Build kvm-unit-tests from a checkout, and run them under QEMU and under vmi-run, side by side
    ///
    /// Fails if a test that passes under QEMU does not under vmi-run, unless it needs what only QEMU has.
    KvmUnitTests(kvm_unit_tests::Options),
    /// Change the library and vmi-run in one place at a time, and see whether their tests notice
    ///
    /// Fails if a change that is not excused survives.
    Mutants(mutants::Options),
    /// Say what is missing and how to get it
    Doctor,
}

impl CommandLine {
    /// Runs the command; returns whether what it looked at is well.
    pub(crate) fn run(self) -> Result<bool> {
        match self.command {
            Command::Demo { json, image } => demo::run(image, json),
            Command::Boot { host, machine, image, timeout, arguments } => {
                install::qemu()?;
                let image = image.map_or_else(|| image::build(Target::choose(), Profile::Release), Ok)?;
                let mut boot = Boot::new(host, &image).arguments(&arguments.join(" "));
                if machine.is_some() && host.machines().len() == 1 {
                    bail!("the host `{host}` has one machine, none to choose");
                }
                boot.machine = machine.unwrap_or(boot.machine);
                boot.limit = timeout.map_or(boot.limit, Duration::from_secs);
                show(&boot)
            }
            Command::Build { profile } => {
                let image = image::build(Target::choose(), profile)?;
                writeln!(stdout(), "{}", image.display())?;
                Ok(true)
            }
            Command::Test { filter } => tests::run(filter.as_deref().unwrap_or_default()),
            Command::Bench(options) => bench::run(options),
            Command::Hostile(options) => hostile::run(&options),
            Command::Startup(options) => startup::run(&options),
            Command::KvmUnitTests(options) => kvm_unit_tests::run(&options),
            Command::Mutants(options) => mutants::run(&options),
            Command::Doctor => doctor::run(),
        }
    }
}

/// Boots with the console on stdout and the verdict on stderr.
fn show(boot: &Boot) -> Result<bool> {
    let progress = Progress::start(&format!("starting `{}`", boot.host));
    let run = boot.run_live(&mut |bytes| {
        progress.clear();
        stdout().write_all(bytes)?;
        stdout().flush()?;
        Ok(())
    })?;
    drop(progress);
    let report = judge(&run)?;
    say(&format!(
        "{}: passed, {} checks, {} skipped, {} ms",
        run.host,
        report.passed.len(),
        report.skipped.len(),
        run.millis
    ));
    Ok(true)
}

/// Lists the hosts for the help text.
fn hosts() -> String {
    let lines = HOSTS
        .iter()
        .map(|host| format!("  {host:<10} {} [{}, {} s]", host.about, host.machine, host.limit.as_secs()));
    format!("Hosts [machine, seconds]:\n{}", lines.collect::<Vec<_>>().join("\n"))
}
