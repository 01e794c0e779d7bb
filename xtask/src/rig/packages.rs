//! The Debian packages that the rig is made of: asked for, fetched and unpacked, never installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{install, process, progress};

/// The package that depends on the newest kernel.
const NEWEST_KERNEL: &str = "linux-image-cloud-amd64";

/// The packages as Debian offers them now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Packages {
    /// The kernel: name of the concrete package.
    pub(super) kernel: String,
    /// The files to fetch, whose names hold the versions.
    pub(super) files: Vec<String>,
}

/// Asks the package manager for the concrete packages and their versions.
pub(super) fn newest() -> Result<Packages> {
    match ask() {
        Ok(packages) => Ok(packages),
        // A fresh machine may have no package lists yet.
        Err(_) => install::update_lists().and_then(|()| ask()),
    }
}

fn ask() -> Result<Packages> {
    let depends = process::run_ok(Command::new("apt-cache").args(["depends", NEWEST_KERNEL]))?;
    let kernel = depends
        .stdout
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| name.starts_with("linux-image-"))
        .with_context(|| format!("apt-cache knows no kernel that `{NEWEST_KERNEL}` depends on"))?
        .to_owned();
    let uris = process::run_ok(Command::new("apt-get").args([
        "download",
        "--print-uris",
        &kernel,
        "busybox-static",
    ]))?;
    // A line is: 'URI' FILE SIZE HASH
    let files: Vec<String> = uris
        .stdout
        .lines()
        .filter(|line| line.starts_with('\''))
        .filter_map(|line| line.split_whitespace().nth(1))
        .map(str::to_owned)
        .collect();
    if files.len() != 2 {
        bail!("apt-get offers {} files for `{kernel}` and `busybox-static`, not 2", files.len());
    }
    Ok(Packages { kernel, files })
}

/// Fetches the packages and unpacks them into the directory.
pub(super) fn unpack(packages: &Packages, directory: &Path) -> Result<()> {
    let fetch = || {
        let mut download = Command::new("apt-get");
        download.args(["download", &packages.kernel, "busybox-static"]).current_dir(directory);
        process::run_ok(&mut download)
    };
    if let Err(error) = fetch() {
        // Lists that are too old name files that the archive no longer has.
        progress::say(&format!("{error:#}; updating the package lists"));
        install::update_lists()?;
        fetch()?;
    }
    for package in debs(directory)? {
        let mut extract = Command::new("dpkg-deb");
        extract.arg("-x").arg(&package).arg(directory.join("root"));
        process::run_ok(&mut extract)?;
    }
    Ok(())
}

fn debs(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot list `{}`", directory.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths.filter(|path| path.extension().is_some_and(|extension| extension == "deb")).collect())
}
