//! What is missing is installed: QEMU and a browser by the package manager, the bare-metal target by rustup, cargo-mutants by
//! cargo.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};

use crate::progress::{Progress, say};
use crate::{process, qemu, workspace};

/// The packages that hold QEMU and its firmware.
const QEMU_PACKAGES: [&str; 3] = ["qemu-system-x86", "qemu-system-data", "seabios"];

/// The browser that opens the report, by its names; the first is also that of the package.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// What builds C by a `configure` and a `Makefile`: programs, and the packages that hold them.
const C_TOOLS: [(&str, &str); 5] =
    [("bash", "bash"), ("gcc", "gcc"), ("getopt", "util-linux"), ("make", "make"), ("objcopy", "binutils")];

/// Rust's target for freestanding images.
pub(crate) const TARGET: &str = "x86_64-unknown-none";

/// The command that installs QEMU, as a user would type it.
pub(crate) fn qemu_command() -> String {
    format!("sudo apt-get install -y --no-install-recommends {}", QEMU_PACKAGES.join(" "))
}

/// The command that adds the target, as a user would type it.
pub(crate) fn target_command() -> String {
    format!("rustup target add {TARGET}")
}

/// Makes sure that QEMU is there.
///
/// # Errors
///
/// Names the command that would install it, where that takes rights we do not have.
pub(crate) fn qemu() -> Result<()> {
    // A program that the user chose is the user's to provide.
    if qemu::find().is_ok() || qemu::is_chosen() {
        return qemu::find().map(drop);
    }
    let _progress = Progress::start("installing QEMU");
    say("QEMU is missing; installing it by apt-get");
    packages(&QEMU_PACKAGES)?;
    qemu::find().map(drop)
}

/// Makes sure that there is a browser, and returns its path.
///
/// # Errors
///
/// Says why it cannot be had.
pub(crate) fn browser() -> Result<PathBuf> {
    let find = || BROWSERS.iter().find_map(|name| workspace::find_program(name));
    if let Some(browser) = find() {
        return Ok(browser);
    }
    let _progress = Progress::start("installing Chromium");
    say("Chromium is missing; installing it by apt-get");
    packages(&BROWSERS[..1])?;
    find().context("the package chromium holds no browser")
}

/// Makes sure that C can be built.
///
/// # Errors
///
/// Names the command that would install what is missing, where that takes rights we do not have.
pub(crate) fn c_tools() -> Result<()> {
    let is_missing = |(program, _): &&(&str, &str)| workspace::find_program(program).is_none();
    let missing: Vec<&str> = C_TOOLS.iter().filter(is_missing).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(", ");
    let _progress = Progress::start(&format!("installing {names}"));
    say(&format!("{names} missing; installing by apt-get"));
    packages(&missing)
}

/// Makes sure that there is cargo-mutants.
pub(crate) fn cargo_mutants() -> Result<()> {
    let _one = one_at_a_time();
    if process::run(workspace::cargo().args(["mutants", "--version"]))?.status.success() {
        return Ok(());
    }
    let _progress = Progress::start("installing cargo-mutants");
    say("cargo-mutants is missing; installing it by cargo");
    process::run_ok(workspace::cargo().args(["install", "--locked", "cargo-mutants"]))?;
    Ok(())
}

/// Keeps threads that install apart: rustup does not, and apt-get fails rather than wait for its lists.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Installs packages by the package manager.
fn packages(names: &[&str]) -> Result<()> {
    let _one = one_at_a_time();
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(names);
    if let Err(error) = apt_get(&install) {
        // A fresh machine has no package lists; old lists name files that are gone.
        update_lists().map_err(|_| error)?;
        apt_get(&install)?;
    }
    Ok(())
}

/// Fetches the package lists.
pub(crate) fn update_lists() -> Result<()> {
    apt_get(&["update"])
}

/// Runs apt-get with the rights it needs.
fn apt_get(arguments: &[&str]) -> Result<()> {
    let by_hand = || format!("run `sudo apt-get {}`", arguments.join(" "));
    if workspace::find_program("apt-get").is_none() {
        bail!("there is no apt-get here to install {}", arguments.join(" "));
    }
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new("apt-get")
    } else if can_sudo() {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        sudo
    } else {
        bail!("neither root nor a sudo that asks for no password is at hand: {}", by_hand());
    };
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["-o", "DPkg::Lock::Timeout=120"]).args(arguments);
    process::run_ok(&mut command).with_context(by_hand)?;
    Ok(())
}

fn can_sudo() -> bool {
    process::run(Command::new("sudo").args(["-n", "true"])).is_ok_and(|finished| finished.status.success())
}

/// Finds firmware files where QEMU looks for them; `None` for one that is nowhere.
pub(crate) fn firmware<'a>(names: &[&'a str]) -> Result<Vec<(&'a str, Option<PathBuf>)>> {
    let listed = process::run_ok(Command::new(qemu::find()?).args(["-L", "help"]))?;
    let directories: Vec<PathBuf> = listed.stdout.lines().map(PathBuf::from).collect();
    let find =
        |name: &str| directories.iter().map(|directory| directory.join(name)).find(|file| file.is_file());
    Ok(names.iter().map(|name| (*name, find(name))).collect())
}

/// Tells whether the compiler has the bare-metal target.
pub(crate) fn has_target(target: &str) -> Result<bool> {
    let mut rustc = workspace::rustc();
    let directory = process::run_ok(rustc.args(["--print", "target-libdir", "--target", target]))?.stdout;
    Ok(PathBuf::from(directory.trim()).is_dir())
}

/// Makes sure that the compiler has a target.
///
/// # Errors
///
/// Says why it cannot be had.
pub(crate) fn target(target: &str) -> Result<()> {
    let _one = one_at_a_time();
    if has_target(target)? {
        return Ok(());
    }
    if workspace::find_program("rustup").is_none() {
        bail!("the target {target} is missing and there is no rustup to add it");
    }
    let _progress = Progress::start(&format!("adding the target {target}"));
    say(&format!("the target {target} is missing; adding it by rustup"));
    process::run_ok(Command::new("rustup").args(["target", "add", target]).current_dir(workspace::root()))?;
    Ok(())
}
