//! The options of `vmi-run`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, CommandFactory, Parser, ValueEnum};

use crate::bad_host::{BadHost, Claim, ClockFault, CpuidRule, FailedCall, Hold, MsrRule, Steal};
use crate::boot::{Boot, Module};
use crate::devices::{Name, Present};
use crate::machine::Config;
use crate::pins::Pins;
use crate::profile::Profile;

/// The heading under which the options for a bad host stand.
const BAD: &str = "Bad host";
/// The options that say what a machine is made of, which is in a snapshot already.
const MADE: [&str; 16] = [
    "image",
    "arguments",
    "memory",
    "cpus",
    "profile",
    "initrd",
    "module",
    "without",
    "restart",
    "cpuid",
    "claim",
    "msr",
    "fail",
    "clock",
    "hold",
    "steal",
];
/// The ways in which the clock page can be spoiled.
const CLOCK_FAULTS: &str = "odd|torn|back|shift=N|zero|future|paused|apart|end|stale|anew";

/// Run a kernel under KVM: a PVH or multiboot image, or a Linux bzImage
#[derive(Debug, Parser)]
#[command(name = "vmi-run", version, disable_help_flag = true)]
#[command(override_usage = "vmi-run [OPTIONS] IMAGE [-- ARGUMENTS...]")]
#[command(after_help = "The exit status is the guest's; 123 quit, 124 time limit, 125 failure, 126 crash")]
pub struct Options {
    /// The kernel: a PVH or multiboot image, or a Linux bzImage
    #[arg(required_unless_present_any = ["help_bad_host", "restore"], hide = true)]
    image: Option<PathBuf>,
    /// The kernel's command line
    #[arg(last = true, hide = true)]
    arguments: Vec<String>,
    /// Memory; K, M or G may follow
    #[arg(short, long, value_name = "SIZE", default_value = "128M", value_parser = size)]
    memory: u64,
    /// How many CPUs
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    cpus: usize,
    /// Run each on one CPU of this machine, by turns: 0,2-5
    #[arg(long, value_name = "CPUS")]
    pin: Option<Pins>,
    /// What the guest finds: vmi (KVM and VMI), kvm, or bare
    #[arg(long, value_name = "NAME", default_value = "vmi", hide_default_value = true)]
    profile: Profile,
    /// First file system of Linux, first module of another
    #[arg(short, long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// A further module: 'FILE' or 'FILE ARGUMENTS'
    #[arg(long, value_name = "FILE")]
    module: Vec<Module>,
    /// Leave out a device; a wrong name lists them
    #[arg(long, value_name = "DEVICE")]
    without: Vec<Name>,
    /// Start the guest again after a reset
    #[arg(long)]
    restart: bool,
    /// End the guest after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    limit: Option<Duration>,
    /// Obey commands that come by a socket
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// Go on from a snapshot instead
    #[arg(long, value_name = "FILE", conflicts_with_all = MADE)]
    pub restore: Option<PathBuf>,
    /// Count exits, and tell at the end: table or json
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "table", hide_possible_values = true)]
    pub stats: Option<Format>,
    /// Leave system calls unrestricted
    #[arg(long)]
    pub no_seccomp: bool,
    /// Say how the run ended
    #[arg(short, long)]
    pub verbose: bool,
    /// Print help
    #[arg(short, long, action = ArgAction::HelpShort)]
    help: Option<bool>,
    /// Tell of the options that make a bad host of this one
    #[arg(long)]
    pub help_bad_host: bool,
    /// Override bits of a register of a CPUID leaf
    #[arg(long, value_name = "LEAF[.SUBLEAF]:REG=VALUE[/MASK]", help_heading = BAD, hide = true)]
    cpuid: Vec<CpuidRule>,
    /// Set a feature bit of KVM's without a service behind it
    #[arg(long, value_name = "BIT", help_heading = BAD, hide = true)]
    claim: Vec<Claim>,
    /// Override bits of a model-specific register, or have it fault
    #[arg(long, value_name = "MSR=VALUE[/MASK]|fault", help_heading = BAD, hide = true)]
    msr: Vec<MsrRule>,
    /// Answer VMI calls with a refusal
    #[arg(long, value_name = "[CALL=]STATUS", help_heading = BAD, hide = true)]
    fail: Option<FailedCall>,
    /// Spoil the clock page
    #[arg(long, value_name = CLOCK_FAULTS, help_heading = BAD, hide = true)]
    clock: Option<ClockFault>,
    /// Hold a CPU off at a mark
    #[arg(long, value_name = "MARK:CPU:MILLISECONDS", help_heading = BAD, hide = true)]
    hold: Vec<Hold>,
    /// Add steal time at every mark
    #[arg(long, value_name = "MILLISECONDS", help_heading = BAD, hide = true)]
    steal: Option<Steal>,
}

/// How statistics are told.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// As an aligned table.
    Table,
    /// As one JSON document on one line.
    Json,
}

impl Options {
    /// Returns the machine that is asked for.
    pub fn config(&self) -> Config {
        let mut devices = Present::ALL;
        self.without.iter().for_each(|device| devices.without(*device));
        let boot = Boot {
            image: self.image.clone().unwrap_or_default(),
            command_line: self.arguments.join(" "),
            initrd: self.initrd.clone(),
            modules: self.module.clone(),
        };
        Config {
            memory_bytes: self.memory,
            cpus: self.cpus,
            pins: self.pin.clone().unwrap_or_default(),
            profile: self.profile,
            devices,
            restart: self.restart,
            limit: self.limit,
            statistics: self.stats.is_some(),
            bad_host: BadHost {
                cpuid: self.cpuid.clone(),
                claims: self.claim.clone(),
                msrs: self.msr.clone(),
                failed_call: self.fail,
                clock: self.clock,
                holds: self.hold.clone(),
                steal: self.steal,
            },
            ..Config::new(boot)
        }
    }

    /// Returns the help on the options that make a bad host.
    pub fn help_on_bad_host() -> String {
        let mut help = String::from("Options that make a bad host of this one, for tests:\n");
        for option in Self::command().get_arguments().filter(|option| option.get_help_heading() == Some(BAD))
        {
            let value = option.get_value_names().and_then(|names| names.first()).map_or("", |name| name);
            let name = option.get_long().unwrap_or_default();
            help += &format!(
                "  --{name} {value}\n          {}\n",
                option.get_help().cloned().unwrap_or_default()
            );
        }
        help
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
    let limit = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    // A timer counts them with a sign.
    i64::try_from(limit.as_secs()).map(|_| limit).map_err(|_| "more than a timer can take".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_fits_on_a_screen_and_leaves_nothing_out() {
        let help = Options::command().render_help().to_string();
        let bad = Options::help_on_bad_host();
        for text in [&help, &bad] {
            assert!(text.lines().count() <= 24, "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        }
        for option in Options::command().get_arguments() {
            let Some(name) = option.get_long() else { continue };
            assert!(help.contains(&format!("--{name}")) || bad.contains(&format!("--{name} ")), "{name}");
            assert!(option.get_help().is_some(), "{name}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("3G"), Ok(3 << 30));
        assert_eq!(size("512k"), Ok(512 << 10));
        for text in ["", "M", "-1", "1T", "99999999999999G", "1.5G"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn arguments_stand_behind_two_dashes() {
        let options = Options::try_parse_from(["vmi-run", "-m", "2G", "image", "--", "-m", "x"]).unwrap();
        let config = options.config();
        assert_eq!((config.memory_bytes, config.boot.command_line.as_str()), (2 << 30, "-m x"));
        assert!(Options::try_parse_from(["vmi-run"]).is_err());
    }

    #[test]
    fn modules_have_arguments_behind_a_space() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("with space");
        std::fs::write(&path, "").unwrap();
        let spaced = path.to_str().unwrap();
        let words = ["vmi-run", "image", "--module", "a", "--module", "b c=1 d", "--module", spaced];
        let modules = Options::try_parse_from(words).unwrap().config().boot.modules;
        let modules: Vec<_> = modules
            .iter()
            .map(|module| (module.path.to_str().unwrap(), module.command_line.as_str()))
            .collect();
        assert_eq!(modules, [("a", ""), ("b", "c=1 d"), (spaced, "")]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(Options::try_parse_from(["vmi-run", "image", "argument"]).is_err());
        assert!(Options::try_parse_from(["vmi-run", "--without", "floppy", "image"]).is_err());
    }
}
