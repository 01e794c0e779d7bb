//! The walk from site to site through the ranges of text.

// UNSAFETY: reads the text of sites.
#![expect(unsafe_code)]

use core::{ops::Range, ptr, slice};

use vmi_abi::{SITE_LEN_MAX, SITE_LEN_MIN, Text};

use crate::Flaw;

/// Where the next site may lie: inside the text, behind the sites before.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    /// The next site does not start below: the start of this range, or the end of the site before.
    floor: usize,
    /// What starts below has [`SITE_LEN_MAX`] bytes in this range.
    brim: usize,
    range: Range<usize>,
    rest: slice::Iter<'a, Range<*const u8>>,
    /// The end of the last site in the ranges before this one.
    before: usize,
}

impl<'a> Walk<'a> {
    /// Starts at the first range of text.
    pub(super) fn new(text: &'a dyn Text) -> Self {
        let mut walk = Self { floor: 0, brim: 0, range: 0..0, rest: text.ranges().iter(), before: 0 };
        walk.advance();
        walk
    }

    /// Returns what stands at `address`, in the first bytes of a little-endian word, unless a closer look at it is needed:
    /// there are fewer than eight bytes of text, or the walk is beyond it.
    #[inline(always)]
    pub(super) fn peek(&self, address: usize) -> Option<u64> {
        if address < self.floor || address >= self.brim {
            return None;
        }
        let place: *const u64 = ptr::with_exposed_provenance(address);
        // SAFETY: eight bytes of this range of text, which `Text` promises is readable.
        Some(unsafe { place.read_unaligned() })
    }

    /// Goes on behind the site at `address`.
    #[inline(always)]
    pub(super) fn pass(&mut self, address: usize, len: u8) {
        self.floor = address + usize::from(len);
    }

    /// Goes on to the range in which the site at `address` lies and returns its text as a little-endian word.
    ///
    /// # Errors
    ///
    /// [`Flaw::Order`] and [`Flaw::OutsideText`]. Nothing was read.
    pub(super) fn seek(&mut self, address: usize, len: u8) -> Result<u64, Flaw> {
        if address < self.end() {
            return Err(Flaw::Order(self.end()));
        }
        while address >= self.range.end {
            if !self.advance() {
                return Err(Flaw::OutsideText);
            }
        }
        if address < self.range.start || self.range.end - address < usize::from(len) {
            return Err(Flaw::OutsideText);
        }
        // SAFETY: the site lies inside this range of text, which `Text` promises is readable.
        Ok(unsafe { read(address, len) })
    }

    /// Returns the end of the site before.
    fn end(&self) -> usize {
        if self.floor > self.range.start { self.floor } else { self.before }
    }

    /// Goes on to the next range of text, if there is one.
    fn advance(&mut self) -> bool {
        let Some(range) = self.rest.next() else { return false };
        self.before = self.end();
        self.range = range.start.addr()..range.end.addr();
        self.floor = self.before.max(self.range.start);
        self.brim = self.range.end.saturating_sub(SITE_LEN_MAX - 1);
        true
    }
}

/// Reads a site as a little-endian word, by two loads that overlap.
///
/// # Safety
///
/// - `address..address + len` is readable.
/// - `len` is from [`SITE_LEN_MIN`] to [`SITE_LEN_MAX`].
#[inline]
pub(super) unsafe fn read(address: usize, len: u8) -> u64 {
    const _: () = assert!(SITE_LEN_MIN >= size_of::<u32>() && SITE_LEN_MAX == size_of::<u64>());
    let head: *const u32 = ptr::with_exposed_provenance(address);
    let behind = usize::from(len) - size_of::<u32>();
    let tail = head.wrapping_byte_add(behind);
    // SAFETY: the first four bytes of the site, which has at least five.
    let low = unsafe { head.read_unaligned() };
    // SAFETY: the last four bytes of the site.
    let high = unsafe { tail.read_unaligned() };
    u64::from(low) | u64::from(high) << (8 * behind)
}
