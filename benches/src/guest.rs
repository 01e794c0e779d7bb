//! Guests on this machine's own KVM: whether it has one that answers in time, and what the sample kernel measures in
//! them.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use vmi_kvm_backend_host::{Boot, Config, Ending, Machine, Outside};

/// How long a guest may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// What the guest measures: beginnings of names.
const WORDS: &str = "bench=exit,clock";
/// What the guest ends with where all went well. Source: the sample kernel's exit device.
const PASSED: u8 = 0x10;
/// Where an image is that was built already.
const IMAGE: &str = "VMI_BENCH_IMAGE";
/// Has a KVM tried that is no hardware's.
const ANY_KVM: &str = "VMI_BENCH_ANY_KVM";

/// What a guest measured: ticks of its time-stamp counter a turn, by name and variant.
pub type Figures = BTreeMap<String, f64>;

/// The boots of this run, each of which measures everything.
#[derive(Debug)]
pub struct Guests {
    image: PathBuf,
    boots: Vec<Figures>,
}

impl Guests {
    /// Finds out whether guests run here, by running one.
    ///
    /// # Errors
    ///
    /// Says why they do not.
    pub fn find() -> Result<Self, String> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/kvm")
            .map_err(|error| format!("/dev/kvm cannot be opened: {error}"))?;
        if env::var_os(ANY_KVM).is_none() && !has_virtualization() {
            return Err(format!(
                "the CPU has no hardware virtualization: this KVM is an emulation ({ANY_KVM}=1 tries it)"
            ));
        }
        let image = match env::var_os(IMAGE) {
            Some(image) => PathBuf::from(image),
            None => build()?,
        };
        let first = boot(&image)?;
        Ok(Self { image, boots: vec![first] })
    }

    /// Returns what there is to measure.
    pub fn names(&self) -> Vec<String> {
        self.boots.iter().take(1).flat_map(Figures::keys).cloned().collect()
    }

    /// Returns a figure of the boot of this number. Boots as often as needed.
    ///
    /// # Panics
    ///
    /// When a guest does not do again what it did before.
    pub fn figure(&mut self, boot_number: usize, name: &str) -> f64 {
        while self.boots.len() <= boot_number {
            self.boots.push(boot(&self.image).expect("a guest that runs again"));
        }
        *self.boots[boot_number].get(name).expect("a figure that was there before")
    }
}

/// Tells whether the CPU has VMX or SVM. A `/dev/kvm` without either interprets guests, and not all that they do.
fn has_virtualization() -> bool {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    cpu.split_ascii_whitespace().any(|flag| flag == "vmx" || flag == "svm")
}

/// Builds the sample kernel as the project's own command does, which says where it is.
fn build() -> Result<PathBuf, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["xtask", "build"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .map_err(|error| format!("cargo cannot be started: {error}"))?;
    let path = String::from_utf8_lossy(&built.stdout).trim().to_owned();
    if !built.status.success() {
        let said = String::from_utf8_lossy(&built.stderr);
        return Err(format!("the image cannot be built: {}", said.lines().last().unwrap_or_default()));
    }
    Ok(PathBuf::from(path))
}

/// Boots the image once.
fn boot(image: &Path) -> Result<Figures, String> {
    let console = Console::default();
    let boot =
        Boot { image: image.to_owned(), command_line: WORDS.to_owned(), initrd: None, modules: Vec::new() };
    let config = Config { limit: Some(PATIENCE), ..Config::new(boot) };
    let machine = Machine::new(&config, Box::new(console.clone())).map_err(|error| error.to_string())?;
    let outcome = machine.run(Outside::default()).map_err(|error| error.to_string())?;
    let console = console.text();
    match outcome.ending {
        Ending::Exit(PASSED) => figures(&console),
        Ending::TimeLimit => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        ending => Err(format!("{ending}: {}", last_words(&console))),
    }
}

/// Returns the line that says most about a failure: the first on an exception or a failed check, or the last of all.
fn last_words(console: &str) -> &str {
    let mut lines = console.lines().filter(|line| !line.trim().is_empty());
    let telling = lines.clone().find(|line| line.starts_with("exception") || line.starts_with("FAIL"));
    telling.or_else(|| lines.next_back()).unwrap_or("it said nothing")
}

/// Where a guest's console goes.
#[derive(Clone, Debug, Default)]
struct Console(Arc<Mutex<Vec<u8>>>);

impl Console {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Console {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a console's lines on what was measured in a loop while the backend served the kernel, and subtracts the empty
/// loop. The sample kernel's module `bench` says what the words are.
///
/// # Errors
///
/// Names a line that is none, or says that there is none.
fn figures(console: &str) -> Result<Figures, String> {
    let mut all = Figures::new();
    for line in console.lines().filter(|line| line.starts_with("bench ")) {
        let no_figure = || format!("the guest printed `{line}`");
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let &[_, name, variant, surrounding, phase, turns, _, short, least, _, _] = words.as_slice() else {
            return Err(no_figure());
        };
        if (surrounding, phase) == ("loop", "after") {
            let ticks = |text: &str| text.parse::<u64>().map_err(|_| no_figure());
            let turn = (ticks(least)? as f64 - ticks(short)? as f64) / ticks(turns)? as f64;
            all.insert(format!("{name}, {variant}"), turn);
        }
    }
    let empty = all.remove("empty, empty").unwrap_or_default();
    let own = |name: &str| all.get(&format!("{}, empty", name.split(',').next().unwrap_or_default()));
    let figures: Figures = all
        .iter()
        .filter(|(name, _)| !name.ends_with(", empty"))
        .map(|(name, turn)| (name.clone(), turn - own(name).unwrap_or(&empty)))
        .collect();
    if figures.is_empty() { Err("the guest measured nothing".to_owned()) } else { Ok(figures) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_loop_is_subtracted() {
        let console = "bench empty empty loop after 64 4 100 228 912 228\n\
            bench exit::cpuid bare loop after 64 4 1000 2280 9120 2280\n\
            bench exit::cpuid bare loop before 64 4 0 64 256 64\n\
            bench exit::batch_16 empty loop after 64 4 100 740 2960 740\n\
            bench exit::batch_16 site loop after 64 4 100 6500 26000 6500\nnothing else\n";
        let found = figures(console).unwrap();
        let expected = [("exit::batch_16, site", 90.0), ("exit::cpuid, bare", 18.0)];
        assert_eq!(found, expected.map(|(name, turn)| (name.to_owned(), turn)).into());
    }

    #[test]
    fn a_failure_is_told_by_its_line() {
        for (console, line) in [
            ("bench 1\nexception: page fault\n  rip 0\n\n", "exception: page fault"),
            ("FAIL bench/nothing: no such benchmark\n0 passed\n", "FAIL bench/nothing: no such benchmark"),
            ("one\ntwo\n\n", "two"),
            ("\n", "it said nothing"),
        ] {
            assert_eq!(last_words(console), line);
        }
    }

    #[test]
    fn what_is_no_figure_is_refused() {
        let line = "bench exit::cpuid bare loop after 64 4 1000 2280 9120 2280";
        for console in ["", "hello", &line[..line.len() - 5], &line.replace("2280", "x")] {
            assert!(figures(console).is_err(), "{console}");
        }
    }
}
