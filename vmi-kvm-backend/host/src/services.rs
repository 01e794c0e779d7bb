//! What VMI's calls by port have the machine do.

// UNSAFETY: gives pages of the guest's memory back to the operating system.
#![expect(unsafe_code)]

use std::time::{SystemTime, UNIX_EPOCH};

use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryRegion, MemoryRegionAddress};

use crate::accounting::Mark;
use crate::ending::Ending;
use crate::port_call::{Exits, Services, Unable};
use crate::shared::Shared;

impl Services for Shared {
    fn console_line(&self, _vcpu: usize, line: &[u8]) -> Result<(), Unable> {
        self.console.put_line(line);
        self.console.wait_for_room();
        Ok(())
    }

    fn release_pages(&self, address: u64, bytes: u64) -> Result<(), Unable> {
        let region = self.memory.find_region(GuestAddress(address)).ok_or(Unable)?;
        let offset = address - region.start_addr().0;
        // The range is all memory, and between two regions there is none: it lies in this one.
        if bytes > region.len() - offset {
            return Err(Unable);
        }
        let start = region.get_host_address(MemoryRegionAddress(offset)).map_err(|_| Unable)?;
        // SAFETY: the range lies in a private anonymous mapping that the guest alone uses, where pages that read as
        // zeros are as good as any; this program holds no reference into it.
        let advised = unsafe { libc::madvise(start.cast(), bytes as usize, libc::MADV_DONTNEED) };
        if advised == 0 { Ok(()) } else { Err(Unable) }
    }

    fn wall_clock_ns(&self) -> Result<u64, Unable> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| Unable)?;
        u64::try_from(since.as_nanos()).map_err(|_| Unable)
    }

    fn shutdown(&self, _vcpu: usize, code: u8) {
        self.end(Ok(Ending::Exit(code)));
    }

    fn exits(&self, vcpu: usize) -> Exits {
        let (of_vcpu, of_all) = self.book.totals(vcpu);
        Exits { of_vcpu, of_all }
    }

    fn trace_mark(&self, vcpu: usize, mark: u64, value: u64) {
        self.book.mark(Mark { mark, value, cpu: vcpu });
        self.add_steal_time(vcpu);
        for held in self.holds.mark(mark) {
            self.interrupt(held, vcpu);
        }
    }
}
