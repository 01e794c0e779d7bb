//! What is booted, and in which state its first CPU starts.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use super::input::Input;
use super::plan::{Plan, Protocol};
use super::space::Space;
use super::{linux, multiboot, multiboot2, pvh, segment};
use crate::error::Result;
use crate::layout::{BASE_MEMORY, BIOS_DATA, EBDA_SEGMENT, LOW_RAM_END};
use crate::memory::{self, Memory};

/// What the loader is called where it says its name.
pub(super) const LOADER: &str = concat!("vmi-run ", env!("CARGO_PKG_VERSION"));

/// What is booted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Boot {
    /// An ELF file with a PVH note, an image with a multiboot or multiboot2 header, or a Linux kernel.
    pub image: PathBuf,
    /// The kernel's command line.
    pub command_line: String,
    /// The first file system of a Linux kernel, or the first module of another.
    pub initrd: Option<PathBuf>,
    /// Further modules.
    pub modules: Vec<Module>,
}

/// Copies of files, which can be read as long as this lives.
#[derive(Debug)]
#[must_use = "the copies are gone when this is dropped"]
pub struct Copies {
    _files: Vec<Input>,
}

impl Boot {
    /// Copies what has no length of its own, like a pipe that can be read only once, and names the copies in its place: for
    /// a guest that is started again. A file may have so many bytes at most.
    ///
    /// # Errors
    ///
    /// Fails for what cannot be read, is empty or does not end.
    pub fn copy_pipes(&mut self, most: u64) -> Result<Copies> {
        let modules = self.modules.iter_mut().map(|module| &mut module.path);
        let paths = [&mut self.image].into_iter().chain(&mut self.initrd).chain(modules);
        let mut files = Vec::new();
        for path in paths {
            let file = Input::open(path, most)?;
            *path = file.path_to_read();
            files.push(file);
        }
        files.retain(|file| file.copied);
        Ok(Copies { _files: files })
    }
}

/// A file that a kernel is given, as it is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Module {
    /// The file.
    pub path: PathBuf,
    /// Its own command line.
    pub command_line: String,
}

impl From<PathBuf> for Module {
    /// Makes a module without a command line.
    fn from(path: PathBuf) -> Self {
        Self { path, command_line: String::new() }
    }
}

impl FromStr for Module {
    type Err = Infallible;

    /// Takes the name of a file, with a command line behind a space. A file that is named like all of it is it.
    fn from_str(text: &str) -> std::result::Result<Self, Infallible> {
        Ok(match text.split_once(' ') {
            Some((path, line)) if !PathBuf::from(text).exists() => {
                Self { path: path.into(), command_line: line.to_owned() }
            }
            _ => PathBuf::from(text).into(),
        })
    }
}

impl Boot {
    /// Returns everything that goes along with the image, in order.
    pub(super) fn given(&self) -> impl Iterator<Item = Module> {
        self.initrd.iter().cloned().map(Module::from).chain(self.modules.iter().cloned())
    }
}

/// A CPU's mode.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Mode {
    /// 32-bit protected mode with flat segments, without paging.
    #[default]
    Protected,
    /// Real mode, in the code segment of the first instruction, which the BIOS goes to.
    Real,
}

/// The state in which the first CPU starts, without interrupts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Start {
    /// Its mode.
    pub(crate) mode: Mode,
    /// The first instruction.
    pub(crate) entry: u64,
    /// What tells a multiboot image that it is one.
    pub(crate) eax: u64,
    /// The start info of a PVH image, the information of a multiboot image.
    pub(crate) ebx: u64,
    /// The zero page of a Linux kernel, or its segments in real mode.
    pub(crate) esi: u64,
    /// The stack of a kernel in real mode.
    pub(crate) stack: u64,
    /// The descriptors of the segments.
    pub(crate) gdt: u64,
}

/// An image that is in memory.
pub(crate) struct Loaded {
    /// How it starts.
    pub(crate) start: Start,
    /// The image itself.
    pub(crate) image: Input,
}

/// Loads the image and everything it is given into the guest's memory, and the descriptors of its first segments.
///
/// # Errors
///
/// Fails for files that cannot be read, are not what they should be, or do not fit.
pub(crate) fn load(
    memory: &Memory,
    bytes: u64,
    boot: &Boot,
    rsdp: Option<u64>,
    descriptors: &[u8],
) -> Result<Loaded> {
    let image = Input::open(&boot.image, bytes)?;
    let plan = Plan::of(&image, bytes)?;
    if plan.segments.iter().all(|segment| segment.start >= BIOS_DATA.end) {
        memory::write(memory, EBDA_SEGMENT, &((LOW_RAM_END >> 4) as u16).to_le_bytes())?;
        memory::write(memory, BASE_MEMORY, &((LOW_RAM_END >> 10) as u16).to_le_bytes())?;
    }
    segment::load(memory, &image, &plan.segments)?;
    let space = &mut Space::new(memory, bytes, &plan.segments);
    let mut start = match plan.protocol {
        Protocol::Pvh => pvh::tell(space, boot, rsdp),
        Protocol::Multiboot => multiboot::tell(space, boot),
        Protocol::Multiboot2 { load_base } => multiboot2::tell(space, boot, load_base, rsdp),
        Protocol::Linux(kernel) => linux::tell(space, boot, &kernel, rsdp),
    }?;
    start.entry = plan.entry;
    start.gdt = space.put(descriptors)?;
    Ok(Loaded { start, image })
}
