//! What is booted, and in which state its first CPU starts.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use super::{bzimage, pvh};
use crate::error::{Error, Result};
use crate::memory::Memory;

/// What is booted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Boot {
    /// A PVH ELF or a Linux kernel.
    pub image: PathBuf,
    /// The kernel's command line.
    pub command_line: String,
    /// The first file system of a Linux kernel, or the first module of another.
    pub initrd: Option<PathBuf>,
    /// Further modules.
    pub modules: Vec<PathBuf>,
}

/// The state in which the first CPU starts: 32-bit protected mode with flat segments, without paging and interrupts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Start {
    /// The first instruction.
    pub entry: u64,
    /// The start info of a PVH image.
    pub ebx: u64,
    /// The zero page of a Linux kernel.
    pub esi: u64,
}

/// Loads the image and everything it is given into the guest's memory.
///
/// # Errors
///
/// Fails for files that cannot be read, are not what they should be, or do not fit.
pub fn load(memory: &Memory, bytes: u64, boot: &Boot, rsdp: Option<u64>) -> Result<Start> {
    let mut image = open(&boot.image)?;
    let mut magic = [0; 4];
    let read = image.read(&mut magic).and_then(|_| image.rewind());
    read.map_err(|reason| Error::File { path: boot.image.clone(), reason })?;
    if magic == *b"\x7fELF" {
        pvh::load(memory, bytes, boot, &mut image, rsdp)
    } else if bzimage::is_linux(&mut image) {
        bzimage::load(memory, bytes, boot, &mut image, rsdp)
    } else {
        Err(Error::NotAnImage(boot.image.clone()))
    }
}

/// Opens a file, which must be one: reading a directory fails much later and less clearly.
pub(super) fn open(path: &Path) -> Result<File> {
    let open = || {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(std::io::ErrorKind::IsADirectory.into());
        }
        Ok(file)
    };
    open().map_err(|reason| Error::File { path: path.to_owned(), reason })
}
