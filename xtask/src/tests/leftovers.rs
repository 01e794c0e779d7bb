//! Finds processes by a mark in their environment, which children inherit whatever group they move to.

use std::fs;

use anyhow::{Context, Result};

/// A process that runs.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: i32,
    pub(super) command: String,
}

/// Lists the processes whose environment holds the mark `NAME=VALUE`.
pub(super) fn marked(mark: &str) -> Result<Vec<Found>> {
    let entries = fs::read_dir("/proc").context("cannot list the processes")?;
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    // A process may end while we look: then its files are gone, and it was not left.
    let found = ids.filter_map(|id| {
        let environment = fs::read(format!("/proc/{id}/environ")).ok()?;
        let is_marked = environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes());
        let command = fs::read(format!("/proc/{id}/cmdline")).ok().filter(|_| is_marked)?;
        Some(Found { id, command: String::from_utf8_lossy(&command).replace('\0', " ").trim().to_owned() })
    });
    Ok(found.collect())
}
