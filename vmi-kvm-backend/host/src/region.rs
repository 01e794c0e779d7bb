//! A range of the guest's memory: memory of this process, aligned for large pages and kept out of core dumps.

use std::ptr;

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use vm_memory::bitmap::BS;
use vm_memory::guest_memory::Result as AccessResult;
use vm_memory::{
    GuestAddress, GuestMemoryRegion, GuestMemoryRegionBytes, GuestRegionMmap, GuestUsize,
    MemoryRegionAddress, MmapRegion, VolatileSlice,
};

/// The size and alignment of a large page.
const LARGE: usize = 2 << 20;

/// A range of the guest's memory.
#[derive(Debug)]
pub struct Region {
    memory: GuestRegionMmap,
    _mapping: Mapping,
}

impl Region {
    /// Maps so many bytes for the guest's memory from an address on, all of them zero.
    ///
    /// # Errors
    ///
    /// Says why the system does not give the memory.
    pub(crate) fn new(start: GuestAddress, size: usize) -> Result<Self, String> {
        let mapping = Mapping::new(size).map_err(|error| error.to_string())?;
        mapping.advise(start).map_err(|error| error.to_string())?;
        let memory = mapping.view().map_err(|error| error.to_string())?;
        let memory = GuestRegionMmap::new(memory, start).ok_or("the address space ends before it")?;
        Ok(Self { memory, _mapping: mapping })
    }
}

impl GuestMemoryRegion for Region {
    type B = ();

    fn len(&self) -> GuestUsize {
        self.memory.len()
    }

    fn start_addr(&self) -> GuestAddress {
        self.memory.start_addr()
    }

    fn bitmap(&self) -> BS<'_, ()> {
        self.memory.bitmap()
    }

    fn get_host_address(&self, address: MemoryRegionAddress) -> AccessResult<*mut u8> {
        self.memory.get_host_address(address)
    }

    fn get_slice(&self, offset: MemoryRegionAddress, count: usize) -> AccessResult<VolatileSlice<'_>> {
        GuestMemoryRegion::get_slice(&self.memory, offset, count)
    }
}

impl GuestMemoryRegionBytes for Region {}

/// A mapping that begins where a large page may, unmapped when dropped.
#[derive(Debug)]
struct Mapping {
    address: *mut u8,
    size: usize,
}

// UNSAFETY: a mapping belongs to the process, and is not touched but through the view.
#[expect(unsafe_code)]
// SAFETY: the address is used by `drop` alone.
unsafe impl Send for Mapping {}

// UNSAFETY: as for `Send`.
#[expect(unsafe_code)]
// SAFETY: shared references give the address to nobody.
unsafe impl Sync for Mapping {}

// UNSAFETY: maps and unmaps memory of this process.
#[expect(unsafe_code)]
impl Mapping {
    fn new(size: usize) -> Result<Self, Errno> {
        // A large page more than asked for holds a place for the rest that is aligned.
        let whole = size.checked_add(LARGE).ok_or(Errno::NOMEM)?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at a place of the system's choice replaces none.
        let base =
            unsafe { mmap_anonymous(ptr::null_mut(), whole, ProtFlags::READ | ProtFlags::WRITE, flags) }?;
        let base = base.cast::<u8>();
        let before = base.addr().next_multiple_of(LARGE) - base.addr();
        let mapping = Self { address: base.wrapping_add(before), size };
        let behind = mapping.address.wrapping_add(size);
        for (address, size) in [(base, before), (behind, LARGE - before)] {
            if size > 0 {
                // SAFETY: a part of the mapping just made, which nothing uses: what is used lies between the two.
                unsafe { munmap(address.cast(), size) }?;
            }
        }
        Ok(mapping)
    }

    /// Asks for large pages, but for the first one, and for no dump.
    fn advise(&self, start: GuestAddress) -> Result<(), Errno> {
        let advise = |offset: usize, size: usize, advice: Advice| {
            // SAFETY: a part of our mapping; none of these pieces of advice changes what it holds.
            unsafe { madvise(self.address.wrapping_add(offset).cast(), size, advice) }
        };
        advise(0, self.size, Advice::LinuxDontDump)?;
        // What starts a guest lies here and there in the first large page, and most of it is never touched.
        let small = if start.0 == 0 { LARGE.min(self.size) } else { 0 };
        if self.size > small {
            match advise(small, self.size - small, Advice::LinuxHugepage) {
                // A kernel without large pages does with small ones.
                Ok(()) | Err(Errno::INVAL) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn view(&self) -> Result<MmapRegion, vm_memory::mmap::MmapRegionError> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: our mapping, which outlives the view: both are fields of `Region`, which drops the view first.
        unsafe { MmapRegion::build_raw(self.address, self.size, protection, flags) }
    }
}

// UNSAFETY: unmaps memory of this process.
#[expect(unsafe_code)]
impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: our mapping, and nothing uses it any more: the guest that had it is gone, and the view was dropped.
        let unmapped = unsafe { munmap(self.address.cast(), self.size) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use vm_memory::Bytes;

    use super::*;

    /// Returns the flags of the mapping that has this byte ("The /proc Filesystem", smaps: VmFlags).
    fn flags(address: usize) -> Vec<String> {
        let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines = smaps.lines();
        let holds = |line: &str| {
            let (start, end) = line.split(' ').next()?.split_once('-')?;
            let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
            Some((start..end).contains(&address))
        };
        lines.find(|line| holds(line) == Some(true)).unwrap();
        let flags = lines.find_map(|line| line.strip_prefix("VmFlags:")).unwrap();
        flags.split_whitespace().map(str::to_owned).collect()
    }

    fn host(region: &Region, offset: u64) -> usize {
        region.get_host_address(MemoryRegionAddress(offset)).unwrap().addr()
    }

    #[test]
    fn it_is_aligned_for_large_pages_and_holds_what_is_written() {
        for (start, size) in [(0, 3 << 20), (4_u64 << 30, 5 << 20), (0, LARGE), (0, 4096)] {
            let region = Region::new(GuestAddress(start), size).unwrap();
            assert!(host(&region, 0).is_multiple_of(LARGE));
            assert_eq!(region.len(), size as u64);
            region.write_slice(&[1, 2], MemoryRegionAddress(size as u64 - 2)).unwrap();
            let mut bytes = [0; 3];
            region.read_slice(&mut bytes, MemoryRegionAddress(size as u64 - 3)).unwrap();
            assert_eq!(bytes, [0, 1, 2]);
            assert!(region.write_slice(&[1, 2], MemoryRegionAddress(size as u64 - 1)).is_err());
        }
    }

    #[test]
    fn it_is_not_dumped_and_asks_for_large_pages_behind_the_first() {
        let region = Region::new(GuestAddress(0), 4 * LARGE).unwrap();
        let has = |offset: usize, flag: &str| flags(host(&region, offset as u64)).iter().any(|f| f == flag);
        assert!(has(0, "dd") && has(LARGE, "dd") && has(4 * LARGE - 1, "dd"));
        let is_known = fs::exists("/sys/kernel/mm/transparent_hugepage").unwrap();
        assert_eq!((has(0, "hg"), has(LARGE, "hg"), has(4 * LARGE - 1, "hg")), (false, is_known, is_known));
    }

    #[test]
    fn it_is_gone_when_dropped() {
        let region = Region::new(GuestAddress(0), 64 << 20).unwrap();
        let address = region._mapping.address;
        assert_eq!(flags(address.addr()).iter().filter(|flag| *flag == "dd").count(), 1);
        drop(region);
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        assert!(!maps.contains(&format!("{:x}-", address.addr())), "{maps}");
    }

    #[test]
    fn more_than_there_can_be_is_an_error() {
        assert!(Region::new(GuestAddress(0), usize::MAX - 4095).is_err());
        assert!(Region::new(GuestAddress(0), 1 << 50).is_err());
    }
}
