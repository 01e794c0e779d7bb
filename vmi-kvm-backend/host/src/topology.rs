//! The leaves of CPUID that tell how CPUs and caches belong together: made for the guest, for what KVM returns of them is
//! the host's or only a part.
//!
//! The guest's CPUs are cores of one thread each in one package. Their APIC numbers are 0 and up, caches of the first and
//! second level are a core's own, those above are shared by all. Sources: Intel SDM volume 2A, "CPUID"; AMD64 APM volume
//! 3, "Obtaining Processor Information Via the CPUID Instruction".

use kvm_bindings::kvm_cpuid_entry2;

use crate::accounting::Vendor;
use crate::cpuid::SIGNIFICANT_INDEX;

/// Leaf 1 EDX: there may be several logical CPUs in a package.
const HTT: u32 = 1 << 28;
/// Leaf 0x8000_0001 ECX: those are cores, not threads; leaves 0x8000_001d and 0x8000_001e are there.
const CMP_LEGACY: u32 = 1 << 1;
const TOPOLOGY_EXTENSIONS: u32 = 1 << 22;
/// Leaf 0x8000_0008 ECX: how many cores there are, less one, and how many bits of an APIC number are a core's.
const CORES: u32 = 0xf0ff;

/// Leaves of levels, and their types of level.
const LEVELS: u32 = 0xb;
const LEVELS_V2: u32 = 0x1f;
const THREADS: u32 = 1 << 8;
const CORES_LEVEL: u32 = 2 << 8;
/// AMD's leaf of levels, which says more than the guest has to say.
const AMD_LEVELS: u32 = 0x8000_0026;

/// Leaves of caches, and their fields in EAX.
const CACHES: u32 = 4;
const AMD_CACHES: u32 = 0x8000_001d;
const AMD_NUMBERS: u32 = 0x8000_001e;
const CACHE_LEVEL_SHIFT: u32 = 5;
const CACHE_LEVEL: u32 = 0b111;
const CACHE_SHARED_SHIFT: u32 = 14;
const CACHE_SHARED_MAX: u32 = 0xfff;
const CACHE_CORES_SHIFT: u32 = 26;
const CACHE_CORES_MAX: u32 = 0x3f;
/// The lowest level that all CPUs share.
const SHARED_LEVEL: u32 = 3;

/// A CPU's place among the guest's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Topology {
    /// Whose CPUs they are.
    pub(crate) vendor: Vendor,
    /// How many there are, 1 to 254.
    pub(crate) cpus: u32,
    /// The number of this one.
    pub(crate) cpu: u32,
}

impl Topology {
    /// Makes the leaves.
    pub(crate) fn describe(&self, entries: &mut Vec<kvm_cpuid_entry2>) {
        let has = |leaf| {
            let range = leaf & 0x8000_0000;
            entries.iter().any(|entry| entry.function == range && entry.eax >= leaf)
        };
        let amd = self.vendor == Vendor::Amd;
        let extended =
            entries.iter().any(|entry| entry.function == 0x8000_0001 && entry.ecx & TOPOLOGY_EXTENSIONS != 0);
        let (levels, levels_v2) = (has(LEVELS), has(LEVELS_V2) && !amd);
        let numbers = amd && extended && has(AMD_NUMBERS);

        entries.retain(|entry| ![LEVELS, LEVELS_V2, AMD_LEVELS, AMD_NUMBERS].contains(&entry.function));
        entries.iter_mut().for_each(|entry| self.change(entry));
        for (leaf, _) in [(LEVELS, levels), (LEVELS_V2, levels_v2)].into_iter().filter(|(_, made)| *made) {
            entries.extend(self.levels(leaf));
        }
        if numbers {
            // One thread a core, one node.
            let (eax, ebx) = (self.cpu, self.cpu);
            entries.push(kvm_cpuid_entry2 { function: AMD_NUMBERS, eax, ebx, ..Default::default() });
        }
    }

    /// Sets what is the guest's in a leaf that says other things too.
    fn change(&self, entry: &mut kvm_cpuid_entry2) {
        let amd = self.vendor == Vendor::Amd;
        let several = self.cpus > 1;
        match entry.function {
            1 => {
                let count = if amd { self.cpus } else { self.numbers() };
                entry.ebx = entry.ebx & 0xffff | count.min(0xff) << 16 | self.cpu << 24;
                entry.edx = set(entry.edx, HTT, several);
            }
            CACHES | AMD_CACHES if entry.eax != 0 => {
                let shared = entry.eax >> CACHE_LEVEL_SHIFT & CACHE_LEVEL >= SHARED_LEVEL;
                // Intel counts the numbers that there may be, AMD the CPUs that there are.
                let all = if entry.function == CACHES { self.numbers() } else { self.cpus };
                let cores = if entry.function == CACHES { self.numbers() - 1 } else { 0 };
                entry.eax = entry.eax & ((1 << CACHE_SHARED_SHIFT) - 1)
                    | if shared { (all - 1).min(CACHE_SHARED_MAX) } else { 0 } << CACHE_SHARED_SHIFT
                    | cores.min(CACHE_CORES_MAX) << CACHE_CORES_SHIFT;
            }
            0x8000_0001 => entry.ecx = set(entry.ecx, CMP_LEGACY, amd && several),
            0x8000_0008 => {
                let cores = if amd { self.width() << 12 | (self.cpus - 1) } else { 0 };
                entry.ecx = entry.ecx & !CORES | cores;
            }
            _ => {}
        }
    }

    /// Returns the levels: threads of a core, cores of the package, and the end.
    fn levels(&self, function: u32) -> [kvm_cpuid_entry2; 3] {
        let level = |index, eax, ebx, kind| kvm_cpuid_entry2 {
            function,
            index,
            flags: SIGNIFICANT_INDEX,
            eax,
            ebx,
            ecx: kind | index,
            edx: self.cpu,
            ..Default::default()
        };
        [level(0, 0, 1, THREADS), level(1, self.width(), self.cpus, CORES_LEVEL), level(2, 0, 0, 0)]
    }

    /// Returns how many bits the number of a CPU takes.
    fn width(&self) -> u32 {
        self.numbers().trailing_zeros()
    }

    /// Returns how many numbers these bits make.
    fn numbers(&self) -> u32 {
        self.cpus.next_power_of_two()
    }
}

fn set(value: u32, bit: u32, on: bool) -> u32 {
    if on { value | bit } else { value & !bit }
}

#[cfg(test)]
mod tests;
