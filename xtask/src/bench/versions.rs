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
const QEMU: &str = "qemu";
/// The rig's kernel.
const LINUX: &str = "linux";
/// Our virtual machine monitor.
const VMI_RUN: &str = "vmi-run";
/// This machine, on which no counted figure depends.
const MACHINE: &str = "machine";

/// Names the versions that decide what the host's part of a figure is.
pub(super) fn of_host(host: &Host) -> Vec<String> {
    let names: &[&str] = match (host.place, host.vmm) {
        (Place::Here | Place::Xen, _) => &[],
        (Place::Rig, Vmm::Qemu) => &[LINUX, QEMU, RUSTC],
        (Place::Rig, Vmm::VmiRun) => &[LINUX, VMI_RUN, RUSTC],
    };
    names.iter().map(ToString::to_string).collect()
}

/// Finds all versions but that of the rig's kernel, which is known once the rig was used.
pub(super) fn find() -> Result<BTreeMap<String, String>> {
    let mut versions = BTreeMap::new();
    let mut put = |name: &str, version: String| versions.insert(name.to_owned(), version);
    put(RUSTC, rustc()?);
    put(QEMU, first_line(Command::new(qemu::find()?).arg("--version"))?);
    put(VMI_RUN, env!("CARGO_PKG_VERSION").to_owned());
    put(MACHINE, machine());
    Ok(versions)
}

/// Names the packages that the rig is made of; its kernel is one.
pub(super) fn linux() -> Option<(String, String)> {
    rig::describe().map(|packages| (LINUX.to_owned(), packages))
}

/// Returns the version of the compiler.
fn rustc() -> Result<String> {
    first_line(workspace::rustc().arg("--version"))
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
