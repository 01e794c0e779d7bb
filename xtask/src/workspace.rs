//! Where things are: the root of the workspace, its target directory, and cargo.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Returns the root of the workspace.
pub(crate) fn root() -> PathBuf {
    // Started by hand, the program works where it was built.
    let xtask = by_cargo().unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    xtask.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Returns the package's directory as cargo tells whatever it runs.
fn by_cargo() -> Option<PathBuf> {
    env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).filter(|path| path.ends_with("xtask"))
}

/// Sees to it that the workspace is the one that the user is in, if any.
///
/// # Errors
///
/// Names both where the program was built in another checkout and started by hand.
pub(crate) fn check() -> Result<()> {
    let here = env::current_dir().context("there is no current directory")?;
    let other = here.ancestors().find(|directory| directory.join("xtask/Cargo.toml").is_file());
    let Some(other) = other.filter(|_| by_cargo().is_none()) else { return Ok(()) };
    let root = root();
    ensure!(
        root.canonicalize().is_ok_and(|root| other.canonicalize().is_ok_and(|other| other == root)),
        "this program was built for `{}`, and `{}` is another checkout: start it there by `cargo xtask`",
        root.display(),
        other.display()
    );
    Ok(())
}

/// Returns the directory that cargo builds into, which also holds our caches.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(target) => root().join(target),
        None => root().join("target"),
    }
}

/// Makes a cargo command that runs in the workspace, free of flags meant for other programs.
///
/// Flags from the environment would replace those of `.cargo/config.toml`, and with them how the image is linked.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}

/// Makes a command of the compiler that cargo uses in the workspace.
pub(crate) fn rustc() -> Command {
    let mut command = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.current_dir(root());
    command
}

/// Finds a program as the shell would.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let found = |path: PathBuf| path.is_file().then_some(path);
    if name.contains('/') {
        return found(PathBuf::from(name));
    }
    env::split_paths(&env::var_os("PATH")?).find_map(|directory| found(directory.join(name)))
}
