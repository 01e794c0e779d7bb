//! One commit and one compiler make one image, wherever it is built.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::run::{Context, Outcome, Test};
use crate::bench::Budgets;
use crate::image::{self, Target};
use crate::{process, workspace};

pub(super) const TESTS: &[Test] = &[
    Test { name: "one_image::another_folder_gives_the_same_bytes", run: another_folder },
    Test { name: "one_image::the_front_page_names_its_hash", run: front_page },
];

/// Another workspace, another target directory, and another home of cargo, so that fetched packages lie elsewhere too.
fn another_folder(context: &mut Context) -> Result<Outcome> {
    let image = context.image()?;
    let copy = context.directory().join("a copy/of the workspace");
    let home = context.directory().join("cargo");
    copy_workspace(&workspace::root(), &copy)?;
    link_cargo_home(&home)?;
    let program = context.program(["build"])?;
    let program = program.env("CARGO_MANIFEST_DIR", copy.join("xtask")).env("CARGO_HOME", home);
    let finished = program.env("CARGO_TARGET_DIR", copy.join("target")).run()?;
    ensure!(finished.status.success(), "it does not build there: {}", finished.stderr);
    let other = PathBuf::from(finished.stdout.trim());
    ensure!(other.starts_with(&copy), "`{}` was not built there", other.display());
    let [here, there] = [&image, &other].map(|image| image::read(image));
    let (here, there) = (here?, there?);
    let differs = here.iter().zip(&there).position(|(here, there)| here != there);
    ensure!(
        here == there,
        "{} bytes, there {}, the first that differs is {differs:?}",
        here.len(),
        there.len()
    );
    Ok(Outcome::Passed)
}

/// Copies what the workspace is made of, but not what was built of it.
pub(super) fn copy_workspace(from: &Path, to: &Path) -> Result<()> {
    let target = workspace::target();
    fs::create_dir_all(to).with_context(|| format!("cannot make `{}`", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list `{}`", from.display()))? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == ".git" || from == target {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy_workspace(&from, &to)?;
        } else {
            fs::copy(&from, &to).with_context(|| format!("cannot copy `{}`", from.display()))?;
        }
    }
    Ok(())
}

/// Makes a home of cargo that holds what the user's holds, so that nothing need be fetched again.
fn link_cargo_home(home: &Path) -> Result<()> {
    fs::create_dir(home).context("cannot make a home of cargo")?;
    let Some(known) = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| {
        let user = std::env::var_os("HOME")?;
        Some(PathBuf::from(user).join(".cargo"))
    }) else {
        return Ok(());
    };
    for entry in fs::read_dir(&known).into_iter().flatten() {
        let entry = entry?;
        symlink(entry.path(), home.join(entry.file_name())).context("cannot link what cargo has fetched")?;
    }
    Ok(())
}

fn front_page(context: &mut Context) -> Result<Outcome> {
    let known = Budgets::read()?.rustc;
    let rustc = process::run_ok(workspace::rustc().arg("--version"))?.stdout;
    if Target::choose() != Target::BareMetal || rustc.trim() != known {
        return Ok(Outcome::Skipped(format!("the hash is that of an image for bare metal by {known}")));
    }
    let page = fs::read_to_string(workspace::root().join("README.md")).context("there is no front page")?;
    let said = page.lines().find_map(|line| line.strip_prefix("image SHA-256 "));
    let is = image::sha256(&context.image()?)?;
    ensure!(said == Some(&*is), "README.md says {said:?}, the image's is {is}");
    Ok(Outcome::Passed)
}
