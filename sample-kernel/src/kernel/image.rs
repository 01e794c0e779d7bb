//! The image's own program headers: where text, constants and data are, whatever script linked them.

// UNSAFETY: reads the ELF header that the linker put into the image.
#![expect(unsafe_code)]

use core::{ops::Range, slice};

unsafe extern "C" {
    static __ehdr_start: u8;
}

/// A loaded segment.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The addresses at which it was linked.
    pub range: Range<usize>,
    /// Whether it holds instructions.
    pub executable: bool,
    /// Whether it is written to.
    pub writable: bool,
}

/// Program header fields. Source: System V ABI, "Program Header".
const PT_LOAD: u32 = 1;
const PF_X: u32 = 1;
const PF_W: u32 = 2;

#[repr(C)]
struct ProgramHeader {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    physical: u64,
    file_len: u64,
    memory_len: u64,
    align: u64,
}

const _: () = assert!(size_of::<ProgramHeader>() == 56);

/// Returns the loaded segments, in ascending order of address.
pub fn segments() -> impl Iterator<Item = Segment> {
    headers().iter().filter(|header| header.kind == PT_LOAD && header.memory_len != 0).map(|header| {
        let start = header.address as usize;
        Segment {
            range: start..start + header.memory_len as usize,
            executable: header.flags & PF_X != 0,
            writable: header.flags & PF_W != 0,
        }
    })
}

fn headers() -> &'static [ProgramHeader] {
    let header = &raw const __ehdr_start;
    // SAFETY: the ELF header is part of the first segment; `e_phoff` is its 8 bytes at 32.
    let offset = unsafe { header.wrapping_add(32).cast::<u64>().read() } as usize;
    // SAFETY: likewise; `e_phnum` is its 2 bytes at 56.
    let count = unsafe { header.wrapping_add(56).cast::<u16>().read() };
    let first = header.wrapping_add(offset).cast();
    // SAFETY: `e_phnum` program headers lie behind the ELF header in the same segment, 8-aligned; nothing writes them.
    unsafe { slice::from_raw_parts(first, count.into()) }
}

/// Returns a hash of the text (FNV-1a, 64 bits): the same only if every byte is.
pub fn text_hash() -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for segment in segments().filter(|segment| segment.executable) {
        for address in segment.range {
            let byte: *const u8 = core::ptr::with_exposed_provenance(address);
            // SAFETY: the segment is loaded; the patcher may write it, but not now.
            let byte = unsafe { byte.read_volatile() };
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
    hash
}
