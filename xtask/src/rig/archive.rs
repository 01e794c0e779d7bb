//! Archives that the Linux kernel unpacks into its first file system (cpio, format "newc").
//!
//! The kernel takes several archives one behind the other (Linux, `Documentation/driver-api/early-userspace/
//! buffer-format.rst`), so the large part is made once and each boot appends a small one.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use cpio::newc::{Builder, trailer};

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;

/// An archive being written.
#[derive(Debug)]
pub(super) struct Archive<W> {
    writer: W,
    directories: BTreeSet<String>,
}

impl<W: Write> Archive<W> {
    /// Starts an archive.
    pub(super) fn new(writer: W) -> Self {
        Self { writer, directories: BTreeSet::new() }
    }

    /// Adds a directory and the directories above it.
    pub(super) fn directory(&mut self, path: &str) -> Result<()> {
        let path = path.trim_matches('/');
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for directory in ends.map(|end| &path[..end]).filter(|directory| !directory.is_empty()) {
            if self.directories.insert(directory.to_owned()) {
                self.entry(directory, DIRECTORY, &[])?;
            }
        }
        Ok(())
    }

    /// Adds a file.
    pub(super) fn file(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        self.file_with_mode(path, FILE, bytes)
    }

    /// Adds a file that can be executed.
    pub(super) fn program(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        self.file_with_mode(path, PROGRAM, bytes)
    }

    /// Adds a copy of a file of this machine.
    pub(super) fn copy(&mut self, path: &str, from: &Path) -> Result<()> {
        let bytes = fs::read(from).with_context(|| format!("cannot read `{}`", from.display()))?;
        self.program(path, &bytes)
    }

    /// Ends the archive and returns the writer, which holds a multiple of 4 bytes if it began so.
    pub(super) fn finish(self) -> Result<W> {
        trailer(self.writer).context("cannot write the archive")
    }

    fn file_with_mode(&mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
        let path = path.trim_matches('/');
        if let Some((directory, _)) = path.rsplit_once('/') {
            self.directory(directory)?;
        }
        self.entry(path, mode, bytes)
    }

    fn entry(&mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
        let mut write = || -> std::io::Result<()> {
            let size = u32::try_from(bytes.len()).map_err(std::io::Error::other)?;
            let mut entry = Builder::new(path).mode(mode).nlink(1).write(&mut self.writer, size);
            entry.write_all(bytes)?;
            entry.finish()?;
            Ok(())
        };
        write().with_context(|| format!("cannot write `{path}` into the archive"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directory_comes_before_what_it_holds_and_once() {
        let mut archive = Archive::new(Vec::new());
        archive.file("/a/b/c", b"hello").unwrap();
        archive.program("a/b/d", b"").unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let mut names = Vec::new();
        let mut rest: &[u8] = &bytes;
        loop {
            let entry = cpio::newc::Reader::new(rest).unwrap();
            if entry.entry().is_trailer() {
                break;
            }
            names.push((entry.entry().name().to_owned(), entry.entry().mode()));
            rest = entry.finish().unwrap();
        }
        let expected = [("a", DIRECTORY), ("a/b", DIRECTORY), ("a/b/c", FILE), ("a/b/d", PROGRAM)]
            .map(|(n, m)| (n.to_owned(), m));
        assert_eq!(names, expected);
    }
}
