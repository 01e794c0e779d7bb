//! The CPUID leaves a guest sees: those that KVM really supports, numbered for the CPU that reads them, with KVM's
//! own leaves among them.

use std::arch::x86_64::CpuidResult;
use std::ops::Range;

use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES, kvm_cpuid_entry2};
use kvm_ioctls::{Cap, Kvm};

use vmi_abi::cpuid::CallOpcode;
use vmi_abi::port_call::Announcement;
use vmi_abi::{CommandLine, Machine};

use crate::accounting::Vendor;
use crate::error::{Error, Result};

/// Leaf 1 ECX: the APIC timer takes a deadline; a hypervisor is present. EDX: several logical CPUs in a package.
const TSC_DEADLINE: u32 = 1 << 24;
const HYPERVISOR: u32 = 1 << 31;
const HTT: u32 = 1 << 28;
/// Leaf 0x8000_0001 ECX: the logical CPUs of a package are cores.
const CMP_LEGACY: u32 = 1 << 1;
/// A leaf that is told apart by its subleaf. Source: KVM API, "KVM_SET_CPUID2".
const SIGNIFICANT_INDEX: u32 = 1;
/// Where the leaves of an interface may start, and how many it has at most.
const BASES: Range<u32> = 0x4000_0000..0x4001_0000;
const INTERFACE_LEAVES: usize = 0x100;

/// The leaves for CPU 0, from which those of the others are made.
#[derive(Clone, Debug)]
pub(crate) struct Leaves {
    entries: Vec<kvm_cpuid_entry2>,
    cpus: usize,
}

impl Leaves {
    /// Asks KVM what it supports.
    ///
    /// # Errors
    ///
    /// Fails where KVM does.
    pub(crate) fn supported(kvm: &Kvm, cpus: usize) -> Result<Self> {
        let supported = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES);
        let supported = supported.map_err(Error::kvm("tell which CPUID leaves it supports"))?;
        let mut leaves = Self { entries: supported.as_slice().to_vec(), cpus };
        let deadline = kvm.check_extension(Cap::TscDeadlineTimer);
        if let Some(leaf) = leaves.find(1, 0) {
            // KVM leaves these two to its user.
            leaf.ecx |= HYPERVISOR | if deadline { TSC_DEADLINE } else { 0 };
        }
        Ok(leaves)
    }

    /// Returns a leaf, if there is one.
    pub(crate) fn find(&mut self, leaf: u32, subleaf: u32) -> Option<&mut kvm_cpuid_entry2> {
        self.entries.iter_mut().find(|entry| {
            entry.function == leaf && (entry.flags & SIGNIFICANT_INDEX == 0 || entry.index == subleaf)
        })
    }

    /// Returns a leaf, made now if there is none.
    pub(crate) fn find_or_add(&mut self, leaf: u32, subleaf: u32) -> &mut kvm_cpuid_entry2 {
        let found = self.entries.iter().position(|entry| {
            entry.function == leaf && (entry.flags & SIGNIFICANT_INDEX == 0 || entry.index == subleaf)
        });
        let at = found.unwrap_or_else(|| {
            let flags = if subleaf == 0 { 0 } else { SIGNIFICANT_INDEX };
            self.entries.push(kvm_cpuid_entry2 {
                function: leaf,
                index: subleaf,
                flags,
                ..Default::default()
            });
            self.entries.len() - 1
        });
        &mut self.entries[at]
    }

    /// Tells whose reasons for exits they are: AMD's CPUs have SVM, all others that KVM runs on have VMX.
    pub(crate) fn vendor(&self) -> Vendor {
        let cpuid = |leaf, subleaf| self.read(leaf, subleaf);
        let vendor = Machine::new(&cpuid, CommandLine::default()).vendor();
        if vendor.call_opcode() == Some(CallOpcode::Vmmcall) { Vendor::Amd } else { Vendor::Intel }
    }

    /// Puts the leaves of the VMI interface beside those of KVM, at the first place that is free.
    pub(crate) fn announce(&mut self, announcement: &Announcement) {
        let free = BASES.step_by(INTERFACE_LEAVES).find(|base| self.read(*base, 0).eax == 0);
        for (leaf, registers) in announcement.leaves(free.unwrap_or(BASES.end)) {
            let entry = self.find_or_add(leaf, 0);
            (entry.eax, entry.ebx, entry.ecx, entry.edx) =
                (registers.eax, registers.ebx, registers.ecx, registers.edx);
        }
    }

    /// Reads a leaf as a CPU does, but for leaves that are not there: they are zero.
    fn read(&self, leaf: u32, subleaf: u32) -> CpuidResult {
        let entry = self.entries.iter().find(|entry| {
            entry.function == leaf && (entry.flags & SIGNIFICANT_INDEX == 0 || entry.index == subleaf)
        });
        let entry = entry.copied().unwrap_or_default();
        CpuidResult { eax: entry.eax, ebx: entry.ebx, ecx: entry.ecx, edx: entry.edx }
    }

    /// Returns the leaves as the CPU of that number sees them.
    ///
    /// # Errors
    ///
    /// Fails where there are more than KVM takes.
    pub(crate) fn of(&self, cpu: usize) -> Result<CpuId> {
        let (id, cpus) = (cpu as u32, self.cpus as u32);
        let width = cpus.next_power_of_two().trailing_zeros();
        let mut entries = self.entries.clone();
        for entry in &mut entries {
            match entry.function {
                1 => {
                    entry.ebx = entry.ebx & 0x0000_ffff | cpus.min(255) << 16 | id << 24;
                    entry.edx = set(entry.edx, HTT, cpus > 1);
                }
                // Cores in the package.
                4 if entry.eax != 0 => entry.eax = entry.eax & 0x03ff_ffff | (cpus - 1).min(63) << 26,
                // One thread a core; all cores in one package. Source: Intel SDM volume 2A, "CPUID", leaf 0BH.
                0xb | 0x1f => {
                    let (shift, count, level) = match entry.index {
                        0 => (0, 1, 1 << 8),
                        1 => (width, cpus, 2 << 8 | 1),
                        index => (0, 0, index),
                    };
                    (entry.eax, entry.ebx, entry.ecx, entry.edx) = (shift, count, level, id);
                }
                0x8000_0001 => entry.ecx = set(entry.ecx, CMP_LEGACY, cpus > 1),
                // Source: AMD64 APM volume 3, "CPUID Fn8000_0008_ECX" and "CPUID Fn8000_001E".
                0x8000_0008 => entry.ecx = width << 12 | (cpus - 1).min(255),
                0x8000_001e => (entry.eax, entry.ebx, entry.ecx) = (id, id & 0xff, 0),
                _ => {}
            }
        }
        CpuId::from_entries(&entries)
            .map_err(|_| Error::Option(format!("{} CPUID leaves are more than KVM takes", entries.len())))
    }
}

fn set(value: u32, bit: u32, on: bool) -> u32 {
    if on { value | bit } else { value & !bit }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(cpus: usize) -> Leaves {
        let leaf = |function, index, flags| kvm_cpuid_entry2 { function, index, flags, ..Default::default() };
        let entries = vec![
            leaf(1, 0, 0),
            leaf(0xb, 0, SIGNIFICANT_INDEX),
            leaf(0xb, 1, SIGNIFICANT_INDEX),
            leaf(0x8000_0008, 0, 0),
        ];
        Leaves { entries, cpus }
    }

    #[test]
    fn every_cpu_finds_its_number_wherever_it_looks() {
        for cpus in [1, 2, 3, 254] {
            for cpu in 0..cpus {
                let leaves = leaves(cpus).of(cpu).unwrap();
                let [one, thread, core, size] = leaves.as_slice() else { panic!("four leaves") };
                assert_eq!(one.ebx >> 24, cpu as u32);
                assert_eq!((thread.edx, core.edx), (cpu as u32, cpu as u32));
                assert_eq!(core.ebx, cpus as u32);
                assert!(1_u32 << core.eax >= cpus as u32);
                assert_eq!(size.ecx & 0xff, cpus as u32 - 1);
                assert_eq!(one.edx & HTT != 0, cpus > 1);
            }
        }
    }

    #[test]
    fn a_leaf_that_is_missing_is_added_once() {
        let mut leaves = leaves(1);
        leaves.find_or_add(0x4000_0001, 0).eax = 8;
        assert_eq!(leaves.find_or_add(0x4000_0001, 0).eax, 8);
        assert!(leaves.find(0x4000_0002, 0).is_none());
        assert_eq!(leaves.find_or_add(0xb, 1).index, 1);
        leaves.find_or_add(0xb, 7).eax = 1;
        assert_eq!(leaves.find(0xb, 0).unwrap().eax, 0);
    }
}
