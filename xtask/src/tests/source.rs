//! The source: its form, its lints, its docs, its tests on this machine, and its build without std.

use anyhow::{Result, bail};

use super::run::{Context, Outcome, Test};
use crate::image::{Profile, Target};
use crate::progress::say;
use crate::{install, process, workspace};

/// The crates that a kernel links, none of which may need std.
const GUEST_CRATES: [&str; 5] = ["vmi-abi", "vmi-native", "vmi", "vmi-host-backend", "vmi-kvm-backend"];

pub(super) const TESTS: &[Test] = &[
    Test { name: "source::is_formatted", run: is_formatted },
    Test { name: "source::has_no_clippy_warning", run: has_no_clippy_warning },
    Test { name: "source::has_no_clippy_warning_without_std", run: has_no_clippy_warning_without_std },
    Test { name: "source::docs_have_no_warning", run: docs_have_no_warning },
    Test { name: "source::host_tests_pass", run: host_tests_pass },
    Test { name: "source::guest_crates_build_without_std_in_release", run: build_release },
    Test { name: "source::guest_crates_build_without_std_in_debug", run: build_debug },
];

fn is_formatted(_: &mut Context) -> Result<Outcome> {
    // The names of the files are enough: `cargo fmt` sets them right.
    cargo(&["fmt", "--all", "--check", "--", "--files-with-diff"], None)
}

fn has_no_clippy_warning(_: &mut Context) -> Result<Outcome> {
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], None)
}

fn has_no_clippy_warning_without_std(_: &mut Context) -> Result<Outcome> {
    let arguments = guest_arguments("clippy", &["--package", "sample-kernel", "--", "-D", "warnings"]);
    without_std(&arguments)
}

fn docs_have_no_warning(_: &mut Context) -> Result<Outcome> {
    cargo(&["doc", "--workspace", "--no-deps"], Some(("RUSTDOCFLAGS", "-D warnings")))
}

fn host_tests_pass(_: &mut Context) -> Result<Outcome> {
    cargo(&["test", "--workspace"], None)
}

fn build_release(context: &mut Context) -> Result<Outcome> {
    build(context, Profile::Release)
}

fn build_debug(context: &mut Context) -> Result<Outcome> {
    build(context, Profile::Dev)
}

fn build(context: &mut Context, profile: Profile) -> Result<Outcome> {
    if let Outcome::Skipped(reason) = without_std(&guest_arguments("build", &["--profile", profile.name()]))?
    {
        return Ok(Outcome::Skipped(reason));
    }
    context.image_for(Target::BareMetal, profile)?;
    Ok(Outcome::Passed)
}

fn guest_arguments<'a>(command: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let packages = GUEST_CRATES.iter().flat_map(|name| ["--package", name]);
    [command, "--target", install::TARGET].into_iter().chain(packages).chain(more.iter().copied()).collect()
}

/// Runs cargo for the bare-metal target, where that can be had.
fn without_std(arguments: &[&str]) -> Result<Outcome> {
    match install::target(install::TARGET) {
        Ok(()) => cargo(arguments, None),
        Err(error) => Ok(Outcome::Skipped(format!("{error:#}"))),
    }
}

/// Runs cargo and shows what it said if it fails.
fn cargo(arguments: &[&str], variable: Option<(&str, &str)>) -> Result<Outcome> {
    let mut command = workspace::cargo();
    command.args(arguments).envs(variable);
    let finished = process::run(&mut command)?;
    if !finished.status.success() {
        say(finished.stdout.trim_end());
        say(finished.stderr.trim_end());
        bail!("`cargo {}` failed ({})", arguments.join(" "), finished.status);
    }
    Ok(Outcome::Passed)
}
