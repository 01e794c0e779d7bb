//! The options of `vmi-run`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::boot::Boot;
use crate::devices::{Name, Present};
use crate::machine::Config;

/// Run a kernel under KVM, and speak VMI with it.
#[derive(Debug, Parser)]
#[command(name = "vmi-run", version, max_term_width = 80)]
#[command(after_help = "The exit status is the guest's; 124 time limit, 125 failure, 126 guest crashed.")]
pub struct Options {
    /// The kernel: a PVH ELF file or a Linux bzImage
    image: PathBuf,
    /// The kernel's command line
    #[arg(last = true)]
    arguments: Vec<String>,
    /// Memory, with K, M or G behind the number
    #[arg(short, long, value_name = "SIZE", default_value = "128M", value_parser = size)]
    memory: u64,
    /// How many CPUs
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    cpus: usize,
    /// First file system of a Linux kernel, first module of another
    #[arg(short, long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// A further module; may be given again
    #[arg(long, value_name = "FILE")]
    module: Vec<PathBuf>,
    /// Leave a device out: serial, exit, reset, power, pvpanic, rtc
    #[arg(long, value_name = "DEVICE")]
    without: Vec<Name>,
    /// End the guest after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    limit: Option<Duration>,
    /// Say how the run ended
    #[arg(short, long)]
    pub verbose: bool,
}

impl Options {
    /// Returns the machine that is asked for.
    pub fn config(&self) -> Config {
        let mut devices = Present::ALL;
        self.without.iter().for_each(|device| devices.without(*device));
        let boot = Boot {
            image: self.image.clone(),
            command_line: self.arguments.join(" "),
            initrd: self.initrd.clone(),
            modules: self.module.clone(),
        };
        Config { memory_bytes: self.memory, cpus: self.cpus, devices, limit: self.limit, ..Config::new(boot) }
    }
}

fn size(text: &str) -> std::result::Result<u64, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 10),
        Some((at, 'M' | 'm')) => (&text[..at], 20),
        Some((at, 'G' | 'g')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let number: u64 = number.parse().map_err(|_| "a number, and K, M or G behind it".to_owned())?;
    number.checked_mul(1 << unit).ok_or_else(|| "more than 64 bits can say".to_owned())
}

fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
