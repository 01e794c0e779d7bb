//! The Xen hypervisor: fetched once, kept under `target/`, and given the image for its dom0.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::boot::Boot;
use crate::packages::{self, Packages, Wanted};
use crate::progress::{Progress, say};
use crate::{process, workspace};

const PACKAGES: Wanted = Wanted { newest: "xen-system-amd64", beginning: "xen-hypervisor-", more: &[] };

/// Memory for Xen itself, in MiB.
const MEMORY_MIB: u32 = 256;

/// Xen's command line, but for dom0's memory. The first serial port is left to dom0.
const WORDS: &str = "console=com2 com2=115200,8n1 loglvl=all guest_loglvl=all dom0=pvh";

/// What is known about the hypervisor in the cache.
#[derive(Debug, Deserialize, Serialize)]
struct Label {
    /// Package files, whose names hold the versions.
    packages: Vec<String>,
    /// When the package lists had changed last.
    lists: i64,
}

/// What QEMU needs to start Xen with an image.
#[derive(Debug)]
pub(crate) struct Dom0 {
    hypervisor: PathBuf,
    /// Holds a name for the image: QEMU ends a module's name at the first blank.
    directory: TempDir,
}

impl Dom0 {
    /// Prepares a boot of its image.
    pub(crate) fn prepare(boot: &Boot) -> Result<Self> {
        let hypervisor = hypervisor()?;
        let directory =
            tempfile::Builder::new().prefix("vmi-xen-").tempdir().context("cannot make a directory")?;
        let image = fs::canonicalize(&boot.image).context("cannot find the image")?;
        symlink(image, directory.path().join("image")).context("cannot name the image")?;
        Ok(Self { hypervisor, directory })
    }

    /// Returns the arguments for QEMU, with the image's console and Xen's on these character devices.
    pub(crate) fn qemu_arguments(&self, boot: &Boot, console: &str, log: &str) -> Vec<String> {
        let mut arguments = boot.machine_arguments(boot.memory_mib + MEMORY_MIB, console);
        let image = self.directory.path().join("image");
        // Commas part modules.
        let module = format!("{} {}", image.display(), boot.arguments).replace(',', ",,");
        for (option, value) in [
            ("-serial", format!("chardev:{log}")),
            // Xen starts no PVH dom0 without an IOMMU.
            ("-device", "amd-iommu".to_owned()),
            ("-kernel", self.hypervisor.display().to_string()),
            ("-initrd", module),
            ("-append", format!("{WORDS} dom0_mem={}M", boot.memory_mib)),
        ] {
            arguments.extend([option.to_owned(), value]);
        }
        arguments.extend_from_slice(&boot.vmm_arguments);
        arguments
    }
}

/// Says what is in the cache, for `doctor`.
pub(crate) fn describe() -> Option<String> {
    Some(read_label()?.packages.join(", "))
}

/// Returns the hypervisor, fetched now if the one in the cache is not what the package lists offer.
pub(crate) fn hypervisor() -> Result<PathBuf> {
    fs::create_dir_all(workspace::target()).context("cannot make the target directory")?;
    let lock = File::create(workspace::target().join("xen.lock")).context("cannot make the lock of Xen")?;
    lock.lock().context("cannot lock Xen")?;

    let label = read_label();
    let hypervisor = directory().join("xen");
    if label.as_ref().is_some_and(|label| label.lists == packages::lists_changed()) {
        return Ok(hypervisor);
    }
    let packages = match packages::newest(&PACKAGES) {
        Ok(packages) => packages,
        Err(error) if label.is_some() => {
            say(&format!("the Xen in the cache is used as it is: {error:#}"));
            return Ok(hypervisor);
        }
        Err(error) => return Err(error.context("Xen cannot be had")),
    };
    if label.is_none_or(|label| label.packages != packages.files) {
        let _progress = Progress::start("fetching Xen (once)");
        make(&packages).context("Xen cannot be had")?;
    }
    let label = Label { packages: packages.files, lists: packages::lists_changed() };
    fs::write(directory().join("label.json"), serde_json::to_string_pretty(&label)?)
        .context("cannot write Xen's label")?;
    Ok(hypervisor)
}

fn directory() -> PathBuf {
    workspace::target().join("xen")
}

fn read_label() -> Option<Label> {
    let text = fs::read_to_string(directory().join("label.json")).ok()?;
    serde_json::from_str(&text).ok()
}

/// Puts the hypervisor into the cache.
fn make(packages: &Packages) -> Result<()> {
    let work = tempfile::Builder::new().prefix("xen-").tempdir_in(workspace::target())?;
    packages::unpack(packages, work.path())?;
    let boot = work.path().join("root/boot");
    let packed = packed(&boot)?;
    // QEMU loads it only unpacked.
    process::run_ok(Command::new("gzip").arg("-d").arg(&packed))?;
    // What is half made has no label.
    fs::create_dir_all(directory())?;
    match fs::remove_file(directory().join("label.json")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    fs::rename(packed.with_extension(""), directory().join("xen"))?;
    Ok(())
}

/// Finds the packed hypervisor.
fn packed(directory: &Path) -> Result<PathBuf> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot list `{}`", directory.display()))?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .find(|path| path.extension().is_some_and(|extension| extension == "gz"))
        .context("the package holds no hypervisor")
}
