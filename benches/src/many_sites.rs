//! As many sites as one wants, with their records, in memory of their own.

// UNSAFETY: lays records and text in a mapping, and implements their text.
#![expect(unsafe_code)]

use core::{hint::black_box, ops::Range, ptr, slice};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use vmi::{Text, patch::Records};
use vmi_abi::{Inline, Op, Override, Replacements, SITE_LEN_MAX, SiteRecord, cpu, io, irq};

use crate::program::PROGRAM;

/// Bytes from one site to the next: a line of the cache, so that the sites are no denser than code makes them.
const STRIDE: usize = 64;

/// The ops whose sites take turns, and that are replaced by a call, by other bytes, and by nothing.
const OPS: [Op; 3] = [irq::disable::OP, cpu::cycles::OP, io::delay::OP];

/// Sites of three ops in a piece of text that is never executed, and their records before it.
#[derive(Debug)]
pub struct ManySites {
    mapping: Range<*mut u8>,
    count: usize,
    text: [Range<*const u8>; 1],
}

impl ManySites {
    /// Makes so many sites, all native.
    ///
    /// # Panics
    ///
    /// When there is no memory for them near this program, which the calls have to reach.
    pub fn new(count: usize) -> Self {
        let records_bytes = (count * size_of::<SiteRecord>()).next_multiple_of(STRIDE);
        let len = records_bytes + count * STRIDE;
        let near = PROGRAM.ranges()[0].start.wrapping_sub(len.next_multiple_of(1 << 30)).cast_mut().cast();
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping; the address is a wish that the kernel does not grant where something is.
        let start = unsafe { mmap_anonymous(near, len, protection, MapFlags::PRIVATE) };
        let start: *mut u8 = start.expect("memory for sites").cast();
        let end = start.wrapping_add(len);
        let text = start.wrapping_add(records_bytes);
        let sites = Self { mapping: start..end, count, text: [text.cast_const()..end.cast_const()] };
        for number in 0..count {
            let (op, native) = native(OPS[number % OPS.len()]);
            let place = text.wrapping_add(number * STRIDE);
            let record = start.cast::<SiteRecord>().wrapping_add(number);
            let offset = (place.addr() - record.addr()) as i32;
            // SAFETY: inside the mapping, before the text, aligned as the mapping is.
            unsafe {
                record.write(SiteRecord { offset, op: op.number(), len: native.len() as u8, reserved: 0 })
            };
            // SAFETY: inside the mapping, and no longer than the distance of two sites.
            unsafe { place.copy_from_nonoverlapping(native.as_ptr(), native.len()) };
        }
        sites
    }

    /// Returns the records.
    pub fn records(&self) -> Records<'_> {
        Records::of_slice(self.sites())
    }

    /// Returns the records as they lie in memory.
    pub fn sites(&self) -> &[SiteRecord] {
        // SAFETY: `new` laid so many there, aligned; nobody writes them.
        unsafe { slice::from_raw_parts(self.mapping.start.cast(), self.count) }
    }

    /// Stores what is as long as the shortest site into every one of them: the least that editing them takes.
    pub fn store_by_hand(&mut self, text: u64) {
        let [low, high] = [text as u32, (text >> 32) as u32];
        for number in 0..self.count {
            let place = self.text[0].start.cast_mut().wrapping_add(number * STRIDE);
            // SAFETY: inside the text, which is this value's own.
            unsafe { place.cast::<u32>().write_volatile(low) };
            // SAFETY: as above.
            unsafe { place.wrapping_add(4).write_volatile(high as u8) };
        }
    }
}

impl Drop for ManySites {
    fn drop(&mut self) {
        let len = self.mapping.end.addr() - self.mapping.start.addr();
        // SAFETY: the mapping is this value's own. That it cannot be given back is no harm.
        let _ = unsafe { munmap(self.mapping.start.cast(), len) };
    }
}

// SAFETY: the text is this value's own mapping, never executed; bytes are copied to their place; no op is used here.
unsafe impl Text for ManySites {
    fn ranges(&self) -> &[Range<*const u8>] {
        &self.text
    }

    unsafe fn write(&self, place: *mut u8, bytes: &[u8]) {
        // SAFETY: by the caller, the bytes lie inside the text, which may be written.
        unsafe { place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }
}

// SAFETY: the pointers lead to memory of this value's own, which only `&mut self` and the patcher write.
unsafe impl Sync for ManySites {}

/// Returns replacements of every op that has sites here, one in each form.
pub fn replacements() -> Replacements {
    let mut all = Replacements::KEEP;
    all.set::<irq::disable>(vmi_abi::leaf!(irq::disable, || ()));
    // `rdtsc` behind other prefixes than the site's own, or nothing would be edited.
    // SAFETY: never executed.
    all.set::<cpu::cycles>(Override::Inline(unsafe { Inline::promise(&[0x36, 0x36, 0x36, 0x0f, 0x31]) }));
    all.set::<io::delay>(Override::Nop);
    all
}

/// Returns an op and the text of its sites, as one of this program's own shows it.
fn native(op: Op) -> (Op, &'static [u8]) {
    black_box(sites as fn());
    let records = Records::of_image().expect("records of this program");
    let (address, site) = records.iter().find(|(_, site)| site.op == op.number()).expect("a site of each op");
    assert!(usize::from(site.len) <= SITE_LEN_MAX);
    // SAFETY: a site of this program, which is mapped and as long as its record says.
    (op, unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(address), site.len.into()) })
}

/// Holds a site of each op, and is never called: they are not for programs.
fn sites() {
    vmi::irq::disable();
    let _ = vmi::cpu::cycles();
    vmi::io::delay();
}

#[cfg(test)]
mod tests {
    use vmi::patch::Plan;

    use super::*;

    #[test]
    fn as_many_sites_as_asked_for_are_edited_and_put_back() {
        let sites = ManySites::new(10);
        let bytes = || {
            let text = &sites.text[0];
            let len = text.end.addr() - text.start.addr();
            // SAFETY: the mapping, which nobody writes while the copy is made.
            unsafe { slice::from_raw_parts(text.start, len) }.to_vec()
        };
        let native = bytes();
        let plan = Plan::new(&replacements()).unwrap();
        let validated = plan.validate(sites.records(), &sites).unwrap();
        let counts = validated.counts();
        assert_eq!((counts.total, counts.call, counts.inline, counts.nop), (10, 4, 3, 3));
        // SAFETY: text that is never executed.
        let edited = unsafe { validated.apply() };
        let different = native.chunks(STRIDE).zip(bytes().chunks(STRIDE)).filter(|(a, b)| a != b).count();
        assert_eq!(different, 10);
        // SAFETY: as above.
        unsafe { edited.restore() };
        assert_eq!(bytes(), native);
    }
}
