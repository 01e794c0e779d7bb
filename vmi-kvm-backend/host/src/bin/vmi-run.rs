//! `vmi-run`: runs a kernel under KVM, and speaks VMI with it.

use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;

use clap::Parser;
use vmi_kvm_backend_host::options::Options;
use vmi_kvm_backend_host::{Ending, Machine, Outside, Result, terminal};

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(ending) => {
            if options.verbose {
                eprintln!("vmi-run: {ending}");
            }
            ExitCode::from(ending.status())
        }
        Err(error) => {
            eprintln!("vmi-run: {error}");
            ExitCode::from(Ending::FAILED)
        }
    }
}

fn run(options: &Options) -> Result<Ending> {
    let signals = terminal::take_signals()?;
    let machine = Machine::new(&options.config(), Box::new(io::stdout()))?;
    let input = io::stdin().as_fd().try_clone_to_owned().ok();
    let _raw = terminal::Raw::take()?;
    machine.run(Outside { input, signals: Some(signals) })
}
