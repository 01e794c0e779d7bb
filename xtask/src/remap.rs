//! What the folders that the compiler reads are called in the image: the same wherever they are, so that one commit and
//! one compiler make one image.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::{image, install, process, workspace};

/// What cargo says of the packages.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
    workspace_root: String,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    manifest_path: String,
    /// Where it was fetched; nothing for one of ours.
    source: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    dependencies: Vec<String>,
}

/// Returns the compiler's flags that rename the folders: the workspace, each fetched package of the image, and the
/// source of `core`, whose own name the compiler replaces where that source is installed.
pub(crate) fn flags() -> Result<Vec<String>> {
    static FOUND: OnceLock<Vec<String>> = OnceLock::new();
    if let Some(flags) = FOUND.get() {
        return Ok(flags.clone());
    }
    let mut cargo = workspace::cargo();
    cargo.args(["metadata", "--format-version", "1", "--filter-platform", install::TARGET]);
    let metadata: Metadata = serde_json::from_str(&process::run_ok(&mut cargo)?.stdout)
        .context("cargo's metadata is not what it was")?;
    let mut names = vec![(metadata.workspace_root.clone(), "/vmi".to_owned())];
    names.extend(fetched(&metadata).into_iter().map(|package| {
        let folder = package.manifest_path.trim_end_matches("/Cargo.toml").to_owned();
        (folder, format!("/{}-{}", package.name, package.version))
    }));
    names.extend(core()?);
    let flags: Vec<String> = names.iter().flat_map(|(folder, name)| spelled(folder, name)).collect();
    Ok(FOUND.get_or_init(|| flags).clone())
}

/// Returns the packages of the image that are not ours.
///
/// Not all that the workspace has: a library of the tools' that changes its version would compile the image anew.
fn fetched(metadata: &Metadata) -> Vec<&Package> {
    let nodes: HashMap<&str, &Node> =
        metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let image = metadata.packages.iter().find(|package| package.name == image::PACKAGE);
    let mut open: Vec<&str> = image.iter().map(|package| package.id.as_str()).collect();
    let mut seen: HashSet<&str> = HashSet::new();
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            open.extend(nodes.get(id).into_iter().flat_map(|node| &node.dependencies).map(String::as_str));
        }
    }
    let is_fetched = |package: &&Package| package.source.is_some() && seen.contains(package.id.as_str());
    metadata.packages.iter().filter(is_fetched).collect()
}

/// Returns the source of `core` and what it was called where it was built; nothing where the compiler does not tell.
fn core() -> Result<Option<(String, String)>> {
    let version = process::run_ok(workspace::rustc().arg("-vV"))?.stdout;
    let commit = version.lines().find_map(|line| line.strip_prefix("commit-hash: "));
    let sysroot = process::run_ok(workspace::rustc().args(["--print", "sysroot"]))?.stdout;
    let source = format!("{}/lib/rustlib/src/rust", sysroot.trim());
    Ok(commit.filter(|commit| *commit != "unknown").map(|commit| (source, format!("/rustc/{commit}"))))
}

/// Renames a folder by the path that leads there and by its own: the compiler writes down the folder it is started in as
/// the system calls it, without links.
fn spelled(folder: &str, name: &str) -> Vec<String> {
    let own = fs::canonicalize(folder).ok().map(|own| own.display().to_string());
    let own = own.filter(|own| own != folder);
    let folders = own.into_iter().chain([folder.to_owned()]);
    folders.map(|folder| format!("--remap-path-prefix={folder}={name}")).collect()
}
