//! Debian packages: asked for, fetched and unpacked, never installed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{install, process, progress};

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The package that depends on the newest one of a kind.
    pub(crate) newest: &'static str,
    /// How the name of that one begins.
    pub(crate) beginning: &'static str,
    /// Packages that are fetched as well.
    pub(crate) more: &'static [&'static str],
}

/// The packages as Debian offers them now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Packages {
    /// Their names, the newest one of the kind first.
    pub(crate) names: Vec<String>,
    /// The files to fetch, whose names hold the versions.
    pub(crate) files: Vec<String>,
}

/// Asks the package manager for the concrete packages and their versions.
pub(crate) fn newest(wanted: &Wanted) -> Result<Packages> {
    match ask(wanted) {
        Ok(packages) => Ok(packages),
        // A fresh machine may have no package lists yet.
        Err(_) => install::update_lists().and_then(|()| ask(wanted)),
    }
}

/// Returns when the package lists changed last, in seconds: while they do not, the newest packages are the same.
pub(crate) fn lists_changed() -> i64 {
    fs::metadata("/var/lib/apt/lists").map_or(0, |metadata| metadata.mtime())
}

fn ask(wanted: &Wanted) -> Result<Packages> {
    let Wanted { newest, beginning, more } = wanted;
    let depends = process::run_ok(Command::new("apt-cache").args(["depends", newest]))?;
    let concrete = depends
        .stdout
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| name.starts_with(beginning))
        .with_context(|| format!("apt-cache knows no `{beginning}…` that `{newest}` depends on"))?;
    let names: Vec<String> = [concrete].iter().chain(*more).map(|name| (*name).to_owned()).collect();
    let mut download = Command::new("apt-get");
    let uris = process::run_ok(download.args(["download", "--print-uris"]).args(&names))?;
    // A line is: 'URI' FILE SIZE HASH
    let files: Vec<String> = uris
        .stdout
        .lines()
        .filter(|line| line.starts_with('\''))
        .filter_map(|line| line.split_whitespace().nth(1))
        .map(str::to_owned)
        .collect();
    if files.len() != names.len() {
        bail!("apt-get offers {} files for `{}`, not {}", files.len(), names.join("`, `"), names.len());
    }
    Ok(Packages { names, files })
}

/// Fetches the packages and unpacks them into `root` in the directory.
pub(crate) fn unpack(packages: &Packages, directory: &Path) -> Result<()> {
    for package in fetch(packages, directory)? {
        let mut extract = Command::new("dpkg-deb");
        extract.arg("-x").arg(&package).arg(directory.join("root"));
        process::run_ok(&mut extract)?;
    }
    Ok(())
}

/// Fetches the packages and unpacks of each the first file whose name matches a pattern: large ones are not read to their end.
pub(crate) fn unpack_first(packages: &Packages, directory: &Path, pattern: &str) -> Result<()> {
    const SCRIPT: &str = r#"mkdir -p "$1" && dpkg-deb --fsys-tarfile "$0" |
        tar --extract --directory "$1" --occurrence=1 --wildcards "$2""#;
    for package in fetch(packages, directory)? {
        let mut extract = Command::new("sh");
        extract.args(["-c", SCRIPT]).arg(&package).arg(directory.join("root")).arg(pattern);
        process::run_ok(&mut extract)?;
    }
    Ok(())
}

/// Fetches the packages into the directory and returns their paths.
fn fetch(packages: &Packages, directory: &Path) -> Result<Vec<PathBuf>> {
    let download = || {
        let mut download = Command::new("apt-get");
        download.arg("download").args(&packages.names).current_dir(directory);
        process::run_ok(&mut download)
    };
    if let Err(error) = download() {
        // Lists that are too old name files that the archive no longer has.
        progress::say(&format!("{error:#}; updating the package lists"));
        install::update_lists()?;
        download()?;
    }
    debs(directory)
}

fn debs(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot list `{}`", directory.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths.filter(|path| path.extension().is_some_and(|extension| extension == "deb")).collect())
}
