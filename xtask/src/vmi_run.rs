//! `vmi-run`, our own virtual machine monitor: how it is built, started, and what its end means.

use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Result, anyhow};

use crate::boot::{Boot, Ending};
use crate::progress::Progress;
use crate::{image, install, process, workspace};

/// The package that holds it.
const PACKAGE: &str = "vmi-kvm-backend-host";

/// The target whose programs need nothing beside themselves.
const STATIC_TARGET: &str = "x86_64-unknown-linux-musl";

/// Makes programs of the machine's own target need nothing beside themselves, where the other cannot be had.
const STATIC_FLAGS: [&str; 2] = ["-Ctarget-feature=+crt-static", "-Crelocation-model=static"];

/// Builds the program, once, and returns its path.
pub(crate) fn build() -> Result<PathBuf> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(built) = BUILT.get() {
        return Ok(built.clone());
    }
    let built = build_static(&["build", "--bin", "vmi-run"], "vmi-run")?;
    Ok(BUILT.get_or_init(|| built).clone())
}

/// Builds a program of the package, static, in release; the words are cargo's command and what it is to build.
pub(crate) fn build_static(words: &[&str], program: &str) -> Result<PathBuf> {
    let mut cargo = workspace::cargo();
    cargo.args(words).args(["--package", PACKAGE, "--release", "--message-format=json-render-diagnostics"]);
    if install::target(STATIC_TARGET).is_ok() {
        cargo.args(["--target", STATIC_TARGET]);
    } else {
        cargo.args(["--target", image::FALLBACK_TARGET]);
        cargo.env("CARGO_ENCODED_RUSTFLAGS", STATIC_FLAGS.join("\x1f"));
    }
    let _progress = Progress::start(&format!("building {program}"));
    image::run_build(&mut cargo, program)
}

/// Builds the package's tests that need a KVM, as all tests of this machine are built.
pub(crate) fn build_guests() -> Result<PathBuf> {
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--workspace", "--test", "guests", "--no-run"]);
    cargo.arg("--message-format=json-render-diagnostics");
    let _progress = Progress::start("building the tests of vmi-run");
    image::run_build(&mut cargo, "guests")
}

/// Returns the arguments that boot the image at that path.
pub(crate) fn arguments(boot: &Boot, image: &str) -> Vec<String> {
    let mut words: Vec<String> = ["--verbose", "--memory"].map(str::to_owned).to_vec();
    words.extend([
        format!("{}M", boot.memory_mib),
        "--limit".to_owned(),
        boot.limit.as_secs().max(1).to_string(),
    ]);
    words.extend_from_slice(&boot.vmm_arguments);
    words.extend([image.to_owned(), "--".to_owned(), boot.arguments.clone()]);
    words
}

/// Runs it on this machine, to the end; returns the console, the ending, and what it said beside.
pub(crate) fn run_here(boot: &Boot) -> Result<(String, Ending, String)> {
    let mut command = std::process::Command::new(build()?);
    command.args(arguments(boot, &boot.image.display().to_string())).stdin(std::process::Stdio::null());
    let finished = process::run(&mut command)?;
    let status = finished.status.code().ok_or_else(|| anyhow!("vmi-run ended with {}", finished.status))?;
    let ending = ending(status, &finished.stderr);
    Ok((finished.stdout, ending, finished.stderr))
}

/// Tells from its status and its last words how the boot ended.
pub(crate) fn ending(status: i32, stderr: &str) -> Ending {
    let last = stderr.lines().rev().find_map(|line| line.strip_prefix("vmi-run: "));
    match (status, last) {
        (124, Some("the guest's time was up")) => Ending::TimedOut,
        (0, Some("the guest switched the machine off")) => Ending::PowerOff,
        (0, Some("the guest reset the machine")) => Ending::Reset,
        (126, Some("the guest's CPU gave up after a triple fault")) => Ending::Reset,
        (0..=255, Some(said)) if said.starts_with("the guest ended with status ") => {
            Ending::Exit(status as u8)
        }
        (_, said) => Ending::Died {
            status: format!("status {status}"),
            stderr: said.unwrap_or(stderr.trim_end()).to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_told_apart() {
        assert_eq!(ending(16, "vmi-run: the guest ended with status 16\n"), Ending::Exit(16));
        assert_eq!(ending(124, "vmi-run: the guest's time was up\n"), Ending::TimedOut);
        assert_eq!(ending(0, "vmi-run: the guest switched the machine off"), Ending::PowerOff);
        assert_eq!(ending(0, "vmi-run: the guest reset the machine"), Ending::Reset);
        assert!(matches!(ending(0, ""), Ending::Died { .. }));
        assert!(
            matches!(ending(125, "vmi-run: no /dev/kvm"), Ending::Died { stderr, .. } if stderr == "no /dev/kvm")
        );
    }
}
