//! Where things are: the root of the workspace, its target directory, and cargo.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the root of the workspace.
pub(crate) fn root() -> PathBuf {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    // Cargo sets the variable for what it runs; the value from build time serves when the program is started by hand.
    let xtask = manifest.filter(|path| path.ends_with("xtask"));
    let xtask = xtask.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    xtask.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
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
