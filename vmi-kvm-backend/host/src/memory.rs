//! The guest's memory: RAM from 0 up, with a hole for devices below 4 GiB.

use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::VmFd;
use vm_memory::{
    Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion, GuestRegionCollection, MemoryRegionAddress,
};

use crate::error::{Error, Result};
use crate::layout::{HOLE, IMAGE_MIN, LOW_RAM_END, PAGE};
use crate::region::Region;

/// The guest's memory.
pub type Memory = GuestRegionCollection<Region>;

/// The smallest memory: the low MiB, and another for an image.
const MIN: u64 = 2 << 20;

/// What kind of memory a range of the map is. Source: Xen, `hvm_memmap_table_entry`; the numbers are those of E820.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Kind {
    /// Free to use.
    Ram = 1,
    /// Not to be touched.
    Reserved = 2,
}

/// A range of the memory map that the guest is given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// Behind the last byte.
    pub end: u64,
    /// What is there.
    pub kind: Kind,
}

/// Returns where RAM of so many bytes lies: first byte and size.
pub fn ram(bytes: u64) -> Vec<(u64, u64)> {
    let low = bytes.min(HOLE.start);
    let mut ranges = vec![(0, low)];
    if bytes > low {
        ranges.push((HOLE.end, bytes - low));
    }
    ranges
}

/// Returns the memory map of a guest with so many bytes of RAM, in ascending order.
pub fn map(bytes: u64) -> Vec<Range> {
    let mut map = vec![
        Range { start: 0, end: LOW_RAM_END, kind: Kind::Ram },
        Range { start: LOW_RAM_END, end: IMAGE_MIN, kind: Kind::Reserved },
    ];
    for (start, size) in ram(bytes) {
        map.push(Range { start: start.max(IMAGE_MIN), end: start + size, kind: Kind::Ram });
    }
    map
}

/// Gets so many bytes of memory, all of them zero; none is used up before it is touched.
///
/// # Errors
///
/// Refuses sizes that are too small, uneven, or larger than the memory of this machine.
pub fn allocate(bytes: u64) -> Result<Memory> {
    if bytes < MIN {
        return Err(Error::MemoryTooSmall(bytes));
    }
    if !bytes.is_multiple_of(PAGE) {
        return Err(Error::MemoryUneven(bytes));
    }
    let system = rustix::system::sysinfo();
    // The type of these fields differs between C libraries.
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
    let available =
        (system.totalram as u64 + system.totalswap as u64).saturating_mul(u64::from(system.mem_unit));
    if bytes > available {
        return Err(Error::MemoryTooLarge { asked: bytes, available });
    }
    let failed = |reason| Error::Memory { asked: bytes, reason };
    let regions = ram(bytes).into_iter().map(|(start, size)| Region::new(GuestAddress(start), size as usize));
    let regions = regions.collect::<std::result::Result<_, _>>().map_err(failed)?;
    Memory::from_regions(regions).map_err(|error| failed(error.to_string()))
}

/// Gives the memory to the guest.
///
/// # Errors
///
/// Fails where KVM does.
pub(crate) fn register(vm: &VmFd, memory: &Memory) -> Result<()> {
    for (slot, region) in memory.iter().enumerate() {
        let place = region.get_host_address(MemoryRegionAddress(0));
        let place =
            place.map_err(|error| Error::Memory { asked: region.len(), reason: error.to_string() })?;
        let region = kvm_userspace_memory_region {
            slot: slot as u32,
            guest_phys_addr: region.start_addr().0,
            memory_size: region.len(),
            userspace_addr: place.addr() as u64,
            flags: 0,
        };
        register_one(vm, region)?;
    }
    Ok(())
}

// UNSAFETY: hands memory of this process to the guest.
#[expect(unsafe_code)]
fn register_one(vm: &VmFd, region: kvm_userspace_memory_region) -> Result<()> {
    // SAFETY: the region is a mapping of this process that the guest alone owns, and that lives as long as the
    // machine does: both are fields of `Shared`, which drops the VM first.
    unsafe { vm.set_user_memory_region(region) }.map_err(Error::kvm("take the guest's memory"))
}

/// Writes bytes to the guest's memory.
///
/// # Errors
///
/// Fails where there is no memory; callers place what they write by `layout`, so that cannot happen to them.
pub(crate) fn write(memory: &Memory, address: u64, bytes: &[u8]) -> Result<()> {
    memory
        .write_slice(bytes, GuestAddress(address))
        .map_err(|error| Error::Memory { asked: bytes.len() as u64, reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ram_goes_around_the_hole() {
        assert_eq!(ram(1 << 30), [(0, 1 << 30)]);
        assert_eq!(ram(3 << 30), [(0, 3 << 30)]);
        assert_eq!(ram((3 << 30) + PAGE), [(0, 3 << 30), (4 << 30, PAGE)]);
        assert_eq!(ram(16 << 30), [(0, 3 << 30), (4 << 30, 13 << 30)]);
    }

    #[test]
    fn the_map_ascends_without_overlap_and_names_all_ram_but_the_legacy_area() {
        for bytes in [MIN, 128 << 20, 3 << 30, 5 << 30] {
            let map = map(bytes);
            assert!(map.windows(2).all(|pair| pair[0].end <= pair[1].start), "{map:?}");
            let ram: u64 = map.iter().filter(|r| r.kind == Kind::Ram).map(|r| r.end - r.start).sum();
            assert_eq!(ram, bytes - (IMAGE_MIN - LOW_RAM_END));
        }
    }

    #[test]
    fn impossible_sizes_are_refused() {
        assert!(matches!(allocate(MIN - PAGE), Err(Error::MemoryTooSmall(_))));
        assert!(matches!(allocate(MIN + 1), Err(Error::MemoryUneven(_))));
        assert!(matches!(allocate(1 << 50), Err(Error::MemoryTooLarge { asked, .. }) if asked == 1 << 50));
    }
}
