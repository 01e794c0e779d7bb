//! Builds the VMI image, boots it on every host, and tests everything.
//!
//! `cargo xtask --help` lists the commands.

mod bench;
mod boot;
mod command_line;
mod console;
mod demo;
mod doctor;
mod elf;
mod full_run;
mod host;
mod hostile;
mod image;
mod install;
mod interrupt;
mod kvm_unit_tests;
mod mutants;
mod packages;
mod process;
mod progress;
mod qemu;
mod qmp;
mod remap;
mod rig;
mod startup;
mod table;
mod tests;
mod vmi_run;
mod workspace;
mod xen;

use std::io;
use std::process::ExitCode;

use clap::Parser;

/// Ends the program with the status of the command; errors become one sentence on stderr.
fn main() -> ExitCode {
    let command_line = command_line::CommandLine::parse();
    match workspace::check().and_then(|()| interrupt::watch()).and_then(|()| command_line.run()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if is_broken_pipe(&error) => ExitCode::from(141),
        Err(error) => {
            if let Some(interrupted) = error.downcast_ref::<interrupt::Interrupted>() {
                progress::say(&format!("error: {interrupted}"));
                return ExitCode::from(interrupted.status());
            }
            progress::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Tells whether the reader of our output went away (`| head`): a reason to stop, not to complain.
/// The status is the one a shell reports for death by SIGPIPE.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
