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
use crate::topology::Topology;

/// Leaf 1 ECX: the APIC timer takes a deadline; a hypervisor is present.
const TSC_DEADLINE: u32 = 1 << 24;
const HYPERVISOR: u32 = 1 << 31;
/// A leaf that is told apart by its subleaf. Source: KVM API, "KVM_SET_CPUID2".
pub(crate) const SIGNIFICANT_INDEX: u32 = 1;
/// Where the leaves of an interface may start, and how many it has at most.
const BASES: Range<u32> = 0x4000_0000..0x4001_0000;
const INTERFACE_LEAVES: usize = 0x100;

/// The leaves that all CPUs have, from which those of each are made.
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
        leaves.add_users_features(kvm.check_extension(Cap::TscDeadlineTimer));
        Ok(leaves)
    }

    /// Returns leaves that are given.
    #[cfg(test)]
    pub(crate) fn of_entries(entries: Vec<kvm_cpuid_entry2>) -> Self {
        Self { entries, cpus: 1 }
    }

    /// Adds the two features that KVM leaves to its user.
    fn add_users_features(&mut self, deadline: bool) {
        if let Some(leaf) = self.find(1, 0) {
            leaf.ecx |= HYPERVISOR | if deadline { TSC_DEADLINE } else { 0 };
        }
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
            // One that is there already, and was not meant, is told apart by its subleaf.
            let others = self.entries.iter().any(|entry| entry.function == leaf);
            let flags = if subleaf == 0 && !others { 0 } else { SIGNIFICANT_INDEX };
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

    /// Takes away all by which a guest finds a hypervisor.
    pub(crate) fn hide_hypervisor(&mut self) {
        self.entries.retain(|entry| !BASES.contains(&entry.function));
        if let Some(leaf) = self.find(1, 0) {
            leaf.ecx &= !HYPERVISOR;
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

    /// Returns the leaves as the CPU of that number, of that vendor, sees them.
    #[must_use]
    pub(crate) fn of(&self, vendor: Vendor, cpu: usize) -> Self {
        let mut of_cpu = self.clone();
        let topology = Topology { vendor, cpus: self.cpus as u32, cpu: cpu as u32 };
        topology.describe(&mut of_cpu.entries);
        of_cpu
    }

    /// Returns the leaves as KVM takes them.
    ///
    /// # Errors
    ///
    /// Fails where there are more than that.
    pub(crate) fn to_kvm(&self) -> Result<CpuId> {
        let count = self.entries.len();
        CpuId::from_entries(&self.entries)
            .map_err(|_| Error::Option(format!("{count} CPUID leaves are more than KVM takes")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(functions: &[(u32, u32, u32)]) -> Leaves {
        let leaf =
            |&(function, index, flags)| kvm_cpuid_entry2 { function, index, flags, ..Default::default() };
        Leaves { entries: functions.iter().map(leaf).collect(), cpus: 1 }
    }

    #[test]
    fn a_leaf_that_is_missing_is_added_once() {
        let mut leaves = leaves(&[(1, 0, 0), (0xb, 1, SIGNIFICANT_INDEX)]);
        leaves.find_or_add(0x4000_0001, 0).eax = 8;
        assert_eq!(leaves.find_or_add(0x4000_0001, 0).eax, 8);
        assert!(leaves.find(0x4000_0002, 0).is_none());
        assert_eq!(leaves.find_or_add(0xb, 1).index, 1);
        leaves.find_or_add(0xb, 7).eax = 1;
        leaves.find_or_add(0xb, 0).eax = 2;
        assert_eq!([0, 1, 7].map(|subleaf| leaves.read(0xb, subleaf).eax), [2, 0, 1]);
        assert_eq!(leaves.read(0xb, 3).eax, 0);
    }

    #[test]
    fn a_hypervisor_that_is_hidden_is_nowhere() {
        let mut leaves = leaves(&[(1, 0, 0), (0x4000_0000, 0, 0), (0x4000_0001, 0, 0), (0x8000_0000, 0, 0)]);
        leaves.add_users_features(true);
        leaves.hide_hypervisor();
        assert_eq!(leaves.read(1, 0).ecx, TSC_DEADLINE);
        let left: Vec<u32> = leaves.entries.iter().map(|entry| entry.function).collect();
        assert_eq!(left, [1, 0x8000_0000]);
    }

    #[test]
    fn what_kvm_leaves_to_its_user_is_added() {
        for (deadline, expected) in [(true, HYPERVISOR | TSC_DEADLINE), (false, HYPERVISOR)] {
            let mut leaves = leaves(&[(0, 0, 0), (1, 0, 0)]);
            leaves.add_users_features(deadline);
            assert_eq!(leaves.read(1, 0).ecx, expected);
        }
    }
}
