//! The part of the rig that is the same for every boot: made once, kept under `target/`, made anew when a package
//! or a file that went into it changes.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::archive::Archive;
use crate::host::Machine;
use crate::packages::{self, Wanted};
use crate::progress::{Progress, say};
use crate::{install, process, qemu, workspace};

/// The packages that the rig is made of.
const PACKAGES: Wanted =
    Wanted { newest: "linux-image-cloud-amd64", beginning: "linux-image-", more: &["busybox-static"] };

/// Changes whenever what is written into the archive changes.
const FORMAT: u32 = 3;

/// The first process.
const INIT: &str = include_str!("init.sh");

/// The kernel modules that make KVM on AMD and the disk, in the order in which they are loaded.
const MODULES: [&str; 9] = [
    "virt/lib/irqbypass.ko",
    "arch/x86/kvm/kvm.ko",
    "arch/x86/kvm/kvm-amd.ko",
    "drivers/virtio/virtio.ko",
    "drivers/virtio/virtio_ring.ko",
    "drivers/virtio/virtio_pci_legacy_dev.ko",
    "drivers/virtio/virtio_pci_modern_dev.ko",
    "drivers/virtio/virtio_pci.ko",
    "drivers/block/virtio_blk.ko",
];

/// Where QEMU lies in the rig, and where its firmware.
pub(crate) const QEMU: &str = "/usr/bin/qemu";
pub(crate) const FIRMWARE: &str = "/usr/share/qemu";

/// The finished rig.
#[derive(Debug)]
pub(super) struct Base {
    /// The Linux kernel.
    pub(super) kernel: PathBuf,
    /// The archive with everything that does not change from boot to boot.
    pub(super) archive: PathBuf,
    /// Where states of the rig made of the two may lie.
    pub(super) states: PathBuf,
}

/// What went into a rig; another value means another rig.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Ingredients {
    format: u32,
    /// The hash of the first process.
    init: String,
    /// Package files, whose names hold the versions.
    packages: Vec<String>,
    /// QEMU, its libraries and firmware: path, size in bytes, time of change in seconds.
    files: Vec<(PathBuf, u64, i64)>,
}

/// What is known about the rig in the cache.
#[derive(Debug, Deserialize, Serialize)]
struct Label {
    ingredients: Ingredients,
    /// When the package lists had changed last.
    lists: i64,
}

/// Says what is in the cache, for `doctor`.
pub(crate) fn describe() -> Option<String> {
    let label = read_label()?;
    Some(label.ingredients.packages.join(", "))
}

/// Returns the rig, made now if the one in the cache is not made of what there is today.
pub(super) fn ensure() -> Result<Base> {
    install::qemu()?;
    let directory = directory();
    fs::create_dir_all(workspace::target()).context("cannot make the target directory")?;
    let lock =
        File::create(workspace::target().join("rig.lock")).context("cannot make the lock of the rig")?;
    lock.lock().context("cannot lock the rig")?;

    let label = read_label();
    let files = files_for_qemu()?;
    let seen = seen(&files)?;
    let lists = packages::lists_changed();
    let init = digest(INIT.as_bytes());
    let is_same_but_packages = |label: &Label| {
        let Ingredients { format, init: known, files, .. } = &label.ingredients;
        (*format, known, files) == (FORMAT, &init, &seen)
    };
    if let Some(label) = &label
        && is_same_but_packages(label)
        && label.lists == lists
    {
        return Ok(base(&directory));
    }
    let packages = match packages::newest(&PACKAGES) {
        Ok(packages) => packages,
        Err(error) if label.as_ref().is_some_and(is_same_but_packages) => {
            say(&format!("the rig in the cache is used as it is: {error:#}"));
            return Ok(base(&directory));
        }
        Err(error) => return Err(error.context("the rig cannot be made")),
    };
    let ingredients = Ingredients {
        format: FORMAT,
        init: init.clone(),
        packages: packages.files.clone(),
        files: seen.clone(),
    };
    if label.is_none_or(|label| label.ingredients != ingredients) {
        let _progress = Progress::start("making the rig (once): Linux with KVM, busybox, QEMU");
        make(&packages, &files).context("the rig cannot be made")?;
    }
    write_label(&Label { ingredients, lists: packages::lists_changed() })?;
    Ok(base(&directory))
}

/// Writes an initramfs of busybox, an `init` that is a shell script, and programs of this machine.
pub(crate) fn initramfs(file: &Path, init: &str, programs: &[&Path]) -> Result<()> {
    let mut archive = Archive::new(BufWriter::new(File::create(file).context("cannot make an initramfs")?));
    for directory in ["dev", "proc"] {
        archive.directory(directory)?;
    }
    archive.program("init", init.as_bytes())?;
    ensure()?;
    archive.copy("bin/busybox", &directory().join("busybox"))?;
    for program in programs {
        let libraries = libraries(program)?;
        for file in libraries.iter().map(PathBuf::as_path).chain([*program]) {
            archive.copy(&file.display().to_string(), file)?;
        }
    }
    archive.finish()?.flush()?;
    Ok(())
}

/// Returns the Linux kernel of the rig, which is a guest as good as any.
pub(crate) fn kernel() -> Result<PathBuf> {
    Ok(ensure()?.kernel)
}

fn directory() -> PathBuf {
    workspace::target().join("rig")
}

fn base(directory: &Path) -> Base {
    Base {
        kernel: directory.join("vmlinuz"),
        archive: directory.join("base.cpio"),
        states: directory.to_owned(),
    }
}

fn read_label() -> Option<Label> {
    let text = fs::read_to_string(directory().join("label.json")).ok()?;
    serde_json::from_str(&text).ok()
}

fn write_label(label: &Label) -> Result<()> {
    let text = serde_json::to_string_pretty(label).context("cannot write the rig's label")?;
    fs::write(directory().join("label.json"), text).context("cannot write the rig's label")
}

/// Makes the rig beside its place and moves it there whole, so that half a rig is never found.
fn make(packages: &packages::Packages, files: &[PathBuf]) -> Result<()> {
    let work = tempfile::Builder::new().prefix("rig-").tempdir_in(workspace::target())?;
    packages::unpack(packages, work.path())?;
    let root = work.path().join("root");
    let release = packages.names[0].trim_start_matches("linux-image-").trim_end_matches("-unsigned");

    let new = work.path().join("new");
    fs::create_dir(&new)?;
    let kernel = root.join(format!("boot/vmlinuz-{release}"));
    fs::rename(&kernel, base(&new).kernel).with_context(|| format!("`{}` is missing", kernel.display()))?;

    // Uncompressed: unpacking under emulation takes longer than reading a larger file.
    let mut archive = Archive::new(BufWriter::new(File::create(base(&new).archive)?));
    for directory in ["dev", "proc", "sys", "tmp"] {
        archive.directory(directory)?;
    }
    archive.copy("bin/busybox", &root.join("bin/busybox"))?;
    fs::copy(root.join("bin/busybox"), new.join("busybox")).context("busybox is missing")?;
    let mut order = String::new();
    for module in MODULES {
        let from = root.join(format!("lib/modules/{release}/kernel/{module}"));
        let name = module.rsplit('/').next().unwrap_or(module);
        archive.copy(&format!("lib/modules/{name}"), &from)?;
        order += &format!("{name}\n");
    }
    archive.file("lib/modules/order", order.as_bytes())?;
    archive.program("init", INIT.as_bytes())?;
    archive.copy(QEMU, &qemu::find()?)?;
    for library in libraries(&qemu::find()?)? {
        archive.copy(&library.display().to_string(), &library)?;
    }
    for file in files.iter().filter(|file| is_firmware(file)) {
        let name = file.file_name().unwrap_or_default().display();
        archive.copy(&format!("{FIRMWARE}/{name}"), file)?;
    }
    archive.finish()?.flush()?;

    match fs::remove_dir_all(directory()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    fs::rename(&new, directory())?;
    Ok(())
}

/// Returns a name for these bytes that other bytes do not have.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

/// Lists QEMU, the libraries it is linked with, and the firmware files of all machines.
fn files_for_qemu() -> Result<Vec<PathBuf>> {
    let mut files = vec![qemu::find()?];
    files.extend(libraries(&qemu::find()?)?);
    for (name, file) in install::firmware(&firmware_names())? {
        files.push(file.with_context(|| format!("QEMU's firmware file `{name}` is missing"))?);
    }
    Ok(files)
}

fn firmware_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = Machine::ALL.iter().flat_map(|machine| machine.firmware()).copied().collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn is_firmware(file: &Path) -> bool {
    file.file_name().is_some_and(|name| firmware_names().iter().any(|firmware| name == *firmware))
}

/// Lists the libraries that a program is linked with, by the paths at which it looks for them.
pub(crate) fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let listed = process::run(Command::new("ldd").arg(program))?;
    let mut libraries = Vec::new();
    // Of a static program `ldd` says that it is no dynamic one, and fails.
    for line in listed.stdout.lines() {
        if line.contains("not found") {
            bail!("a library of `{}` is missing: {}", program.display(), line.trim());
        }
        libraries.extend(line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from));
    }
    Ok(libraries)
}

fn seen(files: &[PathBuf]) -> Result<Vec<(PathBuf, u64, i64)>> {
    let look = |file: &PathBuf| {
        let metadata = fs::metadata(file).with_context(|| format!("cannot look at `{}`", file.display()))?;
        Ok((file.clone(), metadata.len(), metadata.mtime()))
    };
    files.iter().map(look).collect()
}
