//! What the figures may depend on.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};

use crate::host::{Host, Place, Vmm};
use crate::{process, qemu, rig, workspace};

/// The compiler that builds the image.
pub(super) const RUSTC: &str = "rustc";
/// The emulator, which also runs in the rig.
pub(super) const QEMU: &str = "qemu";
/// The rig's kernel.
pub(super) const LINUX: &str = "linux";
/// Our virtual machine monitor.
pub(super) const VMI_RUN: &str = "vmi-run";
/// This machine, on which no counted figure depends.
pub(super) const MACHINE: &str = "machine";

/// Names the versions that decide what the host's part of a figure is.
pub(super) fn of_host(host: &Host) -> Vec<String> {
    let names: &[&str] = match (host.place, host.vmm) {
        (Place::Here, _) => &[],
        (Place::Rig, Vmm::Qemu) => &[LINUX, QEMU, RUSTC],
        (Place::Rig, Vmm::VmiRun) => &[LINUX, VMI_RUN, RUSTC],
    };
    names.iter().map(ToString::to_string).collect()
}

/// Finds all versions. That of the rig is known once it was used.
pub(super) fn find() -> Result<BTreeMap<String, String>> {
    let mut versions = BTreeMap::new();
    let mut put = |name: &str, version: String| versions.insert(name.to_owned(), version);
    put(RUSTC, rustc()?);
    put(QEMU, first_line(Command::new(qemu::find()?).arg("--version"))?);
    put(VMI_RUN, env!("CARGO_PKG_VERSION").to_owned());
    put(MACHINE, machine());
    if let Some(packages) = rig::describe() {
        put(LINUX, packages);
    }
    Ok(versions)
}

/// Returns the version of the compiler.
pub(super) fn rustc() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    first_line(Command::new(rustc).arg("--version").current_dir(workspace::root()))
}

fn first_line(command: &mut Command) -> Result<String> {
    let finished = process::run_ok(command)?;
    let line = finished.stdout.lines().next().map(str::to_owned);
    line.with_context(|| format!("`{}` says nothing", process::line(command)))
}

/// Names the processor, and how many of it there are.
fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")).and_then(|rest| rest.split_once(':'));
    let count = thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {count} CPUs", model.map_or("unknown processor", |(_, model)| model.trim()))
}
