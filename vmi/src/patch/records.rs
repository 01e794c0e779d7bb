//! Site records: the image's, or others.

// UNSAFETY: makes a slice of what the linker gathered between two symbols.
#![expect(unsafe_code)]

use core::{ptr, slice};

use vmi_abi::SiteRecord;

use crate::Error;

unsafe extern "C" {
    #[link_name = "__start_vmi_sites"]
    static START: SiteRecord;
    #[link_name = "__stop_vmi_sites"]
    static STOP: SiteRecord;
}

/// Site records in the order in which they lie in the image. Their places are relative to their own addresses.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a>(&'a [SiteRecord]);

impl<'a> Records<'a> {
    /// Returns the records of the running image.
    ///
    /// # Errors
    ///
    /// [`Error::NoRecords`] and [`Error::RecordsCut`].
    pub fn of_image() -> Result<Records<'static>, Error> {
        let (start, stop) = (&raw const START, &raw const STOP);
        let count = whole_records(start.addr(), stop.addr())?;
        // SAFETY: the linker put `count` whole, aligned records between its two symbols; nothing writes them, and
        // every bit pattern is a `SiteRecord`.
        Ok(Records(unsafe { slice::from_raw_parts(start, count) }))
    }

    /// Returns records that lie in a slice, in ascending order of their sites: of a module, or some of the image's.
    pub fn of_slice(records: &'a [SiteRecord]) -> Self {
        Self(records)
    }

    /// Returns the records as they lie in memory.
    pub fn as_slice(self) -> &'a [SiteRecord] {
        self.0
    }

    /// Returns how many records there are.
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Tells whether there is none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Returns the records with the addresses of their sites.
    pub fn iter(self) -> impl Iterator<Item = (usize, &'a SiteRecord)> {
        self.0.iter().map(|record| (Self::place(record), record))
    }

    /// Returns the address of a record's site.
    #[inline(always)]
    pub(super) fn place(record: &SiteRecord) -> usize {
        ptr::from_ref(record).addr().wrapping_add_signed(record.offset as isize)
    }

    /// Returns the index of one of these records.
    pub(super) fn index(self, record: &SiteRecord) -> usize {
        (ptr::from_ref(record).addr() - self.0.as_ptr().addr()) / size_of::<SiteRecord>()
    }
}

/// Returns how many records lie between two addresses.
fn whole_records(start: usize, stop: usize) -> Result<usize, Error> {
    let bytes = stop.wrapping_sub(start);
    match bytes {
        0 => Err(Error::NoRecords),
        _ if !start.is_multiple_of(align_of::<SiteRecord>())
            || !bytes.is_multiple_of(size_of::<SiteRecord>())
            || stop < start =>
        {
            Err(Error::RecordsCut(bytes))
        }
        _ => Ok(bytes / size_of::<SiteRecord>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_21_empty_table_because_the_linker_dropped_it() {
        assert_eq!(whole_records(0x1000, 0x1000), Err(Error::NoRecords));
    }

    #[test]
    fn row_21_count_not_multiple_of_entry_size() {
        assert_eq!(whole_records(0x1000, 0x1000 + 17), Err(Error::RecordsCut(17)));
        assert_eq!(whole_records(0x1001, 0x1009), Err(Error::RecordsCut(8)));
        assert!(matches!(whole_records(0x1008, 0x1000), Err(Error::RecordsCut(_))));
        assert_eq!(whole_records(0x1000, 0x1010), Ok(2));
    }
}
