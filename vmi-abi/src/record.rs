//! The record of a site, as it lies in the image.

/// Where an op stands in the image: one record of section `vmi_sites`, in ascending order of the place.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteRecord {
    /// Distance in bytes from this record to the first byte of the site.
    pub offset: i32,
    /// Number of the op.
    pub op: u16,
    /// Length of the site in bytes: 5, or that of its instruction if longer.
    pub len: u8,
    /// Always 0.
    pub reserved: u8,
}

const _: () = assert!(size_of::<SiteRecord>() == 8 && align_of::<SiteRecord>() == 4);
const _: () = assert!(core::mem::offset_of!(SiteRecord, op) == 4);
const _: () = assert!(core::mem::offset_of!(SiteRecord, len) == 6);
const _: () = assert!(core::mem::offset_of!(SiteRecord, reserved) == 7);

/// Bytes of the shortest site: a near `call` or `jmp` fits.
pub const SITE_LEN_MIN: usize = 5;

/// Bytes of the longest site an image may hold.
pub const SITE_LEN_MAX: usize = 8;
