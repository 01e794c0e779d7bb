//! A kernel of a few lines outside the workspace, which links the crates by path.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::run::{Context, Outcome, Test};
use crate::boot::Boot;
use crate::full_run::judge;
use crate::host::{Host, Place};
use crate::{install, process, workspace};

pub(super) const TESTS: &[Test] = &[Test {
    name: "outside::a_kernel_of_a_few_lines_links_the_crates_and_boots",
    run: a_kernel_of_a_few_lines,
}];

/// The whole kernel, but for the boot stub, which is the sample kernel's.
const MAIN: &str = include_str!("main.rs");

const BUILD: &str = "[build]\ntarget = \"x86_64-unknown-none\"\n\n[target.x86_64-unknown-none]\nrustflags = \
    [\"-Crelocation-model=static\", \"-Clink-arg=--entry=pvh_start\"]\n";

fn a_kernel_of_a_few_lines(context: &mut Context) -> Result<Outcome> {
    if let Err(error) = install::target(install::TARGET) {
        return Ok(Outcome::Skipped(format!("{error:#}")));
    }
    let root = workspace::root();
    let package = context.directory().join("tiny");
    fs::create_dir_all(package.join(".cargo")).context("cannot make a directory")?;
    let path = |name: &str| format!("{name} = {{ path = {:?} }}\n", root.join(name).display().to_string());
    let manifest = format!(
        "[package]\nname = \"tiny\"\nedition = \"2024\"\n\n[[bin]]\nname = \"tiny\"\npath = \"main.rs\"\n\n[dependencies]\n{}{}\n\
         [profile.dev]\npanic = \"abort\"\n",
        path("vmi"),
        path("vmi-kvm-backend")
    );
    let boot = fs::read_to_string(root.join("sample-kernel/src/kernel/boot.s")).context("no boot stub")?;
    for (name, text) in [
        ("Cargo.toml", manifest.as_str()),
        ("main.rs", MAIN),
        ("boot.s", &boot),
        (".cargo/config.toml", BUILD),
    ] {
        fs::write(package.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--target-dir"]).arg(package.join("target")).current_dir(&package);
    let built = process::run(&mut cargo)?;
    ensure!(built.status.success(), "it does not build: {}", built.stderr);
    let image = package.join("target/x86_64-unknown-none/debug/tiny");
    for host in Host::gates() {
        let report = judge(&Boot::new(host, &image).run()?)?;
        let expected = if host.place == Place::Rig { "kvm" } else { "native" };
        ensure!(report.backend() == Some(expected), "{host}: {:?}", report.backend());
    }
    Ok(Outcome::Passed)
}
