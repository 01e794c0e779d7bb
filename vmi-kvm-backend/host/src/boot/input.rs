//! Files that are read to their end, whether or not it is known beforehand where that is.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, memfd_create};

use crate::error::{Error, Result};

/// A file of known length that can be read at any place.
#[derive(Debug)]
pub(crate) struct Input {
    /// What it is called.
    pub(super) path: PathBuf,
    /// The file, or what was read from it.
    pub(super) file: File,
    /// Its length in bytes; never 0.
    pub(super) length: u64,
    /// Whether it had to be read to its end to know that.
    pub(super) copied: bool,
}

impl Input {
    /// Opens a file. What has no length of its own, like a pipe or most of `/proc`, is read to its end, of which there
    /// may be so many bytes at most.
    ///
    /// # Errors
    ///
    /// Fails for what cannot be read, is empty or does not end.
    pub(super) fn open(path: &Path, most: u64) -> Result<Self> {
        let cannot = |reason| Error::File { path: path.to_owned(), reason };
        let mut file = File::open(path).map_err(cannot)?;
        let about = file.metadata().map_err(cannot)?;
        if about.is_dir() {
            return Err(cannot(std::io::ErrorKind::IsADirectory.into()));
        }
        let mut length = about.len();
        let copied = !about.is_file() || !ends_at(&file, length).map_err(cannot)?;
        if copied {
            (file, length) = copy(file, most).map_err(cannot)?;
            if length > most {
                return Err(Error::Endless { path: path.to_owned(), most });
            }
        }
        if length == 0 {
            return Err(Error::Empty(path.to_owned()));
        }
        Ok(Self { path: path.to_owned(), file, length, copied })
    }

    /// Reads bytes at an offset, as many as there are.
    ///
    /// # Errors
    ///
    /// Fails where the file cannot be read.
    pub(super) fn read_at(&self, offset: u64, most: usize) -> Result<Vec<u8>> {
        let there_are = self.length.saturating_sub(offset).min(most as u64);
        let mut bytes = vec![0; there_are as usize];
        let read = self.file.read_exact_at(&mut bytes, offset);
        read.map_err(|reason| Error::File { path: self.path.clone(), reason })?;
        Ok(bytes)
    }

    /// Returns a path by which the same bytes can be read again as long as this lives.
    pub(crate) fn path_to_read(&self) -> PathBuf {
        if self.copied {
            return format!("/proc/self/fd/{}", self.file.as_raw_fd()).into();
        }
        self.path.clone()
    }

    /// Makes the error that says what is wrong with the file.
    pub(super) fn damaged(&self, reason: impl std::fmt::Display) -> Error {
        Error::Damaged { path: self.path.clone(), reason: reason.to_string() }
    }
}

/// Tells whether a file ends where its metadata says: those of `/proc` say 0, and those of `/sys` a page.
fn ends_at(file: &File, length: u64) -> std::io::Result<bool> {
    let mut byte = [0];
    let Some(last) = length.checked_sub(1) else { return Ok(file.read_at(&mut byte, 0)? == 0) };
    Ok(file.read_at(&mut byte, last)? == 1)
}

/// Reads a file to its end, or to one byte more than it may have; returns a copy in memory, and its length.
fn copy(file: File, most: u64) -> std::io::Result<(File, u64)> {
    let mut copy = File::from(memfd_create("vmi-run", MemfdFlags::CLOEXEC)?);
    let length = std::io::copy(&mut file.take(most.saturating_add(1)), &mut copy)?;
    copy.flush()?;
    copy.rewind()?;
    Ok((copy, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = 1 << 20;

    fn contents(input: &Input) -> Vec<u8> {
        input.read_at(0, usize::MAX).unwrap()
    }

    #[test]
    fn files_without_a_length_are_read_to_their_end() {
        let version = Input::open(Path::new("/proc/version"), MOST).unwrap();
        assert_eq!(contents(&version), std::fs::read("/proc/version").unwrap());
        // A page long by its own word.
        let size = Path::new("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
        if let Ok(bytes) = std::fs::read(size) {
            assert_eq!(contents(&Input::open(size, MOST).unwrap()), bytes);
        }
        // More than a pipe holds.
        let bytes: Vec<u8> = (0..300_000).map(|at| at as u8).collect();
        let (read, mut write) = std::io::pipe().unwrap();
        let sent = bytes.clone();
        let writer = std::thread::spawn(move || write.write_all(&sent));
        let path = format!("/proc/self/fd/{}", read.as_raw_fd());
        let piped = Input::open(Path::new(&path), MOST).unwrap();
        writer.join().unwrap().unwrap();
        assert!(piped.copied);
        assert_eq!(contents(&piped), bytes);
        assert_eq!(piped.read_at(299_990, 100).unwrap(), bytes[299_990..]);
        assert_eq!(piped.read_at(u64::MAX, 100).unwrap(), [0; 0]);
    }

    #[test]
    fn what_is_empty_or_never_ends_is_refused() {
        assert!(matches!(Input::open(Path::new("/dev/null"), MOST), Err(Error::Empty(_))));
        let empty = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(Input::open(empty.path(), MOST), Err(Error::Empty(_))));
        let zero = Input::open(Path::new("/dev/zero"), MOST);
        assert!(matches!(zero, Err(Error::Endless { most: MOST, .. })), "{zero:?}");
    }

    #[test]
    fn files_of_any_length_are_not_copied() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"x").unwrap();
        let input = Input::open(file.path(), 0).unwrap();
        assert_eq!((input.copied, input.length), (false, 1));
    }
}
