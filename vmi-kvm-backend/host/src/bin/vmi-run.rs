//! `vmi-run`: runs a kernel under KVM, and speaks VMI with it.

use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;

use clap::Parser;
use vmi_kvm_backend_host::options::{Format, Options};
use vmi_kvm_backend_host::{Ending, Machine, Outcome, Outside, Result, restart, terminal};

fn main() -> ExitCode {
    let options = Options::parse();
    if options.help_bad_host {
        print!("{}", Options::help_on_bad_host());
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(outcome) => {
            tell(&options, &outcome);
            ExitCode::from(outcome.ending.status())
        }
        Err(error) => {
            eprintln!("vmi-run: {error}");
            ExitCode::from(Ending::FAILED)
        }
    }
}

fn run(options: &Options) -> Result<Outcome> {
    let signals = terminal::take_signals()?;
    let config = options.config();
    let machine = Machine::new(&config, Box::new(io::stdout()))?;
    let input = io::stdin().as_fd().try_clone_to_owned().ok();
    let _raw = terminal::Raw::take()?;
    let outside = Outside { input, signals: Some(signals) };
    restart::run(machine, &config, || Box::new(io::stdout()), outside)
}

/// Tells what was asked for, on standard error: standard output is the guest's console.
fn tell(options: &Options, outcome: &Outcome) {
    if let (Some(format), Some(statistics)) = (options.stats, &outcome.statistics) {
        match format {
            Format::Table => eprint!("{statistics}"),
            Format::Json => eprintln!("{}", statistics.to_json()),
        }
    }
    if options.verbose {
        eprintln!("vmi-run: {}", outcome.ending);
    }
}
