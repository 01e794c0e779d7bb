//! What an image is, and how it wants to be started.

use super::elf::{self, Elf};
use super::input::Input;
use super::segment::{self, Segment};
use super::{linux, multiboot, multiboot2, pvh};
use crate::error::{Error, Result};

/// What an image is, as far as it is used.
#[derive(Debug)]
pub(super) struct Plan {
    /// What it is made of.
    pub(super) segments: Vec<Segment>,
    /// The first instruction, in 32-bit protected mode.
    pub(super) entry: u64,
    /// How it is told what it is given.
    pub(super) protocol: Protocol,
}

/// A boot protocol.
#[derive(Debug)]
pub(super) enum Protocol {
    /// PVH.
    Pvh,
    /// Multiboot, the first version.
    Multiboot,
    /// Multiboot2; an image that could lie elsewhere is told where it lies.
    Multiboot2 {
        /// Its first byte.
        load_base: Option<u32>,
    },
    /// Linux's own.
    Linux(Box<linux::Kernel>),
}

/// Makes a plan of an image, which may be an ELF file, if the image speaks the protocol.
type Reader = fn(&Input, Option<&Elf>) -> Result<Option<Plan>>;

/// In this order, because PVH says most, and because multiboot is what others start an image by that has multiboot2 too.
const READERS: [Reader; 3] = [pvh::plan, multiboot::plan, multiboot2::plan];

impl Plan {
    /// Makes the plan of an image, by the first protocol that it speaks and whose demands can be met.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the image; if it speaks several protocols, by the first.
    pub(super) fn of(image: &Input, ram_bytes: u64) -> Result<Self> {
        if let Some(plan) = linux::plan(image)? {
            return plan.checked(image, ram_bytes);
        }
        let (elf, mut refused) = match elf::read(image).transpose() {
            Some(Ok(elf)) => (Some(elf), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        for reader in READERS {
            let plan = reader(image, elf.as_ref()).transpose();
            match plan.map(|plan| plan?.checked(image, ram_bytes)) {
                Some(Ok(plan)) => return Ok(plan),
                Some(Err(error)) => refused = refused.or(Some(error)),
                None => {}
            }
        }
        let path = || image.path.clone();
        Err(refused.unwrap_or_else(|| match elf {
            Some(_) => Error::NoEntry(path()),
            None => Error::NotAnImage(path()),
        }))
    }

    /// Checks that everything lies where it can, and sorts the segments.
    fn checked(mut self, image: &Input, ram_bytes: u64) -> Result<Self> {
        self.segments = segment::check(image, self.segments, ram_bytes)?;
        let entry = self.entry;
        if !self.segments.iter().any(|segment| (segment.start..segment.end()).contains(&entry)) {
            return Err(Error::EntryOutside { path: image.path.clone(), entry });
        }
        Ok(self)
    }
}
