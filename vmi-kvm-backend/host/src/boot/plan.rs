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
        let checked =
            |plan: Result<Option<Self>>| plan.transpose().map(|plan| plan?.checked(image, ram_bytes));
        let mut refused = match checked(linux::plan(image)) {
            Some(Ok(plan)) => return Ok(plan),
            tried => tried.and_then(Result::err),
        };
        let elf = elf::read(image).unwrap_or_else(|error| {
            refused.get_or_insert(error);
            None
        });
        for reader in READERS {
            match checked(reader(image, elf.as_ref())) {
                Some(Ok(plan)) => return Ok(plan),
                tried => refused = refused.or(tried.and_then(Result::err)),
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
