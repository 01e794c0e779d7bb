//! A checkout of kvm-unit-tests: looked at, copied, and built in the copy, so that it stays as it is.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::unittests::PATH;
use crate::progress::Progress;
use crate::{install, process};

/// Names of what a build leaves behind: a copy with that could be taken for built.
const BUILT: [&str; 6] = ["a", "d", "efi", "elf", "flat", "o"];

/// The built tests; gone when dropped.
#[derive(Debug)]
pub(super) struct Tree(TempDir);

/// Returns what the checkout says of its tests.
///
/// # Errors
///
/// Says why it is no checkout of kvm-unit-tests.
pub(super) fn look(tree: &Path) -> Result<String> {
    let name = tree.display();
    let metadata = fs::metadata(tree).with_context(|| format!("there is no `{name}`"))?;
    ensure!(metadata.is_dir(), "`{name}` is no directory");
    for file in [PATH, "configure"] {
        ensure!(tree.join(file).is_file(), "`{name}` is no checkout of kvm-unit-tests: it has no `{file}`");
    }
    fs::read_to_string(tree.join(PATH)).with_context(|| format!("cannot read `{name}/{PATH}`"))
}

impl Tree {
    /// Copies the checkout and builds the tests for 64 bits.
    ///
    /// # Errors
    ///
    /// Quotes the last words of a build that fails.
    pub(super) fn build(checkout: &Path) -> Result<Self> {
        install::c_tools()?;
        let _progress = Progress::start("building kvm-unit-tests");
        let tree = tempfile::Builder::new().prefix("vmi-kvm-unit-tests-").tempdir();
        let tree = tree.context("cannot make a directory")?;
        let itself = fs::canonicalize(tree.path()).context("cannot find the copy")?;
        copy(checkout, tree.path(), &itself)?;
        let jobs = thread::available_parallelism().map_or(1, usize::from);
        for (program, argument) in
            [("./configure", "--arch=x86_64".to_owned()), ("make", format!("-j{jobs}"))]
        {
            let mut command = Command::new(program);
            // A make above this one has other jobs in mind.
            command.arg(argument).current_dir(tree.path()).env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
            run(&mut command)?;
        }
        Ok(Self(tree))
    }

    /// Returns the image of that name, if there is one.
    pub(super) fn image(&self, file: &str) -> Option<PathBuf> {
        let image = self.0.path().join(PATH).with_file_name(file);
        image.is_file().then_some(image)
    }
}

/// Runs a step of the build.
fn run(command: &mut Command) -> Result<()> {
    let finished = process::run(command)?;
    // A make says last of all that it failed, a compiler before that why.
    let error = finished.stderr.lines().find(|line| line.contains("error: "));
    let said = error.unwrap_or_else(|| finished.last_words()).trim();
    let (line, status) = (process::line(command), finished.status);
    ensure!(status.success(), "kvm-unit-tests cannot be built: `{line}` failed ({status}): {said}");
    Ok(())
}

/// Copies what was not built, and not the copy itself, which may lie in the checkout. Without what git knows, warnings of
/// newer compilers are no errors to `configure`.
fn copy(from: &Path, to: &Path, itself: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot list `{}`", from.display()))? {
        let entry = entry.with_context(|| format!("cannot list `{}`", from.display()))?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let cannot = || format!("cannot copy `{}`", from.display());
        let kind = entry.file_type().with_context(cannot)?;
        let is_built = from.extension().and_then(OsStr::to_str).is_some_and(|name| BUILT.contains(&name));
        if entry.file_name() == ".git" || is_built && !kind.is_dir() {
            continue;
        }
        if kind.is_dir() {
            if fs::canonicalize(&from).with_context(cannot)? == itself {
                continue;
            }
            fs::create_dir(&to).with_context(cannot)?;
            copy(&from, &to, itself)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&from).with_context(cannot)?, &to).with_context(cannot)?;
        } else if kind.is_file() {
            fs::copy(&from, &to).with_context(cannot)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_sources_and_nothing_built() {
        let from = tempfile::tempdir().unwrap();
        let to = tempfile::tempdir_in(from.path()).unwrap();
        let path = |name: &str| from.path().join(name);
        for name in [".git", "x86", "lib.d"] {
            fs::create_dir(path(name)).unwrap();
        }
        for name in [".git/HEAD", "x86/a.c", "x86/a.o", "x86/a.flat", "x86/.a.d", "lib.d/b.h", "configure"] {
            fs::write(path(name), name).unwrap();
        }
        symlink("configure", path("link")).unwrap();
        copy(from.path(), to.path(), &fs::canonicalize(to.path()).unwrap()).unwrap();
        let is_there = |name: &str| to.path().join(name).symlink_metadata().is_ok();
        for name in ["x86/a.c", "lib.d/b.h", "configure", "link"] {
            assert!(is_there(name), "{name}");
        }
        let itself = to.path().file_name().unwrap().to_str().unwrap();
        for name in [".git", "x86/a.o", "x86/a.flat", "x86/.a.d", itself] {
            assert!(!is_there(name), "{name}");
        }
        assert_eq!(fs::read_link(to.path().join("link")).unwrap(), Path::new("configure"));
    }
}
