//! `vmi-run`: runs a kernel under KVM, and speaks VMI with it.
//!
//! Nothing that it says is a reason to die of: where standard output or error takes nothing, the status is still the
//! guest's.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vmi_kvm_backend_host::confinement;
use vmi_kvm_backend_host::options::{Format, Options};
use vmi_kvm_backend_host::signals::Signals;
use vmi_kvm_backend_host::terminal::Terminal;
use vmi_kvm_backend_host::{Control, Ending, Error, Machine, Outcome, Output, Outside, Result, restart};

/// How long standard error may take for what is said after a run that was ended from outside.
const GRACE: Duration = Duration::from_millis(200);
/// How much of that whatever takes something now takes at least, without waiting. Source: Linux, "n_tty", WAKEUP_CHARS.
const PIECE: usize = 256;
/// How long an output that takes nothing now is left alone.
const RETRY: Duration = Duration::from_millis(1);

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        // Help is an error too, of a kind that is none. A status of 2 could be a guest's.
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(Ending::FAILED) } else { ExitCode::SUCCESS };
        }
    };
    if options.help_bad_host {
        write(io::stdout(), Options::help_on_bad_host().as_bytes());
        return ExitCode::SUCCESS;
    }
    match confine(&options).and_then(|()| run(&options)) {
        Ok(outcome) => {
            tell(&options, &outcome);
            ExitCode::from(outcome.ending.status())
        }
        Err(error) => {
            say(&format!("vmi-run: {error}\n"), None);
            ExitCode::from(Ending::FAILED)
        }
    }
}

fn confine(options: &Options) -> Result<()> {
    if options.no_seccomp { Ok(()) } else { confinement::enter() }
}

fn run(options: &Options) -> Result<Outcome> {
    let control = options.control.as_deref().map(Control::bind).transpose()?;
    // Until the machine is made, which may mean to read for long, signals do what they always do. What they leave of the
    // control socket is replaced by the next run.
    let mut config = options.config();
    let _copies = config.restart.then(|| config.boot.copy_pipes(config.memory_bytes)).transpose()?;
    let machine = match &options.restore {
        Some(file) => Machine::restore(file, &config, output()?),
        None => Machine::new(&config, output()?),
    }?;
    let (held_back, signals) = Signals::take()?;
    let outside = || {
        let signals = signals.try_clone();
        Ok(Outside {
            input: io::stdin().as_fd().try_clone_to_owned().ok(),
            signals: Some(signals.map_err(|reason| Error::System { what: "copy the signals", reason })?),
            terminal: Terminal::of_input()?,
            control: control.as_ref().map(Control::listener).transpose()?,
        })
    };
    let outcome = restart::run(machine, &config, output, outside)?;
    if outcome.ending.is_from_outside() {
        // What is left takes a moment, and whoever asks for the end once more does not want it undone.
        std::mem::forget(held_back);
    }
    Ok(outcome)
}

/// Returns standard output: not `Stdout`, whose buffer writes on whatever interrupts it.
fn output() -> Result<Box<dyn Output>> {
    let output = io::stdout().as_fd().try_clone_to_owned();
    let output = output.map_err(|reason| Error::System { what: "copy standard output", reason })?;
    Ok(Box::new(File::from(output)))
}

/// Tells what was asked for, and what was lost, on standard error: standard output is the guest's console.
fn tell(options: &Options, outcome: &Outcome) {
    let mut text = String::new();
    if let (Some(format), Some(statistics)) = (options.stats, &outcome.statistics) {
        match format {
            Format::Table => text += &statistics.to_string(),
            Format::Json => text += &format!("{}\n", statistics.to_json()),
        }
    }
    // Who closes a pipe wants no more of it.
    if let Some(lost) = outcome.lost.as_ref().filter(|lost| lost.kind != ErrorKind::BrokenPipe) {
        text += &format!("vmi-run: {lost}\n");
    }
    if options.verbose {
        text += &format!("vmi-run: {}\n", outcome.ending);
    }
    let at_most = outcome.ending.is_from_outside().then_some(GRACE);
    say(&text, at_most);
}

/// Says something on standard error, which may take nothing for so long at most.
fn say(text: &str, at_most: Option<Duration>) {
    let Some(at_most) = at_most else { return write(io::stderr(), text.as_bytes()) };
    let deadline = Instant::now() + at_most;
    for piece in text.as_bytes().chunks(PIECE) {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: 0, tv_nsec: left.subsec_nanos().into() };
        let stderr = io::stderr();
        if !poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], Some(&left)).is_ok_and(|ready| ready != 0) {
            return;
        }
        write(stderr, piece);
    }
}

/// Writes all of it, unless the output is closed or broken.
fn write(mut output: impl Write, text: &[u8]) {
    let mut left = text;
    while !left.is_empty() {
        match output.write(left) {
            Ok(written) if written != 0 => left = left.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY),
            _ => return,
        }
    }
    let _ = output.flush();
}
