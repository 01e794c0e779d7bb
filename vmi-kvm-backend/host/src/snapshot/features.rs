//! What a guest was told that its CPUs can do, and what those of this machine can.

use kvm_bindings::kvm_cpuid_entry2;

use crate::cpuid::{Leaves, SIGNIFICANT_INDEX};

/// Bits that follow what the guest does: it uses XSAVE, it uses protection keys.
const OSXSAVE: u32 = 1 << 27;
const OSPKE: u32 = 1 << 4;

/// Where features stand: leaf, subleaf, register, and the bits that are features. Source: Intel SDM volume 2A, "CPUID—CPU
/// Identification"; AMD64 APM volume 3, "Obtaining Processor Information Via the CPUID Instruction"; KVM
/// documentation, "KVM CPUID bits".
const FEATURES: [(u32, u32, Register, u32); 16] = [
    (1, 0, Register::Ecx, !OSXSAVE),
    (1, 0, Register::Edx, u32::MAX),
    (7, 0, Register::Ebx, u32::MAX),
    (7, 0, Register::Ecx, !OSPKE),
    (7, 0, Register::Edx, u32::MAX),
    (7, 1, Register::Eax, u32::MAX),
    (0xd, 0, Register::Eax, u32::MAX),
    (0xd, 0, Register::Edx, u32::MAX),
    (0xd, 1, Register::Eax, u32::MAX),
    (0x4000_0001, 0, Register::Eax, u32::MAX),
    (0x8000_0001, 0, Register::Ecx, u32::MAX),
    (0x8000_0001, 0, Register::Edx, u32::MAX),
    (0x8000_0007, 0, Register::Edx, u32::MAX),
    (0x8000_0008, 0, Register::Ebx, u32::MAX),
    (0x8000_000a, 0, Register::Edx, u32::MAX),
    (0x8000_0021, 0, Register::Eax, u32::MAX),
];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Register {
    Eax,
    Ebx,
    Ecx,
    Edx,
}

impl Register {
    fn of(self, leaf: &kvm_cpuid_entry2) -> u32 {
        match self {
            Self::Eax => leaf.eax,
            Self::Ebx => leaf.ebx,
            Self::Ecx => leaf.ecx,
            Self::Edx => leaf.edx,
        }
    }
}

/// Looks whether a CPU of this machine can be one that had these leaves.
///
/// # Errors
///
/// Names what it lacks.
pub(super) fn compare(had: &[kvm_cpuid_entry2], has: &mut Leaves) -> Result<(), String> {
    let mut has = |leaf, subleaf| has.find(leaf, subleaf).copied().unwrap_or_default();
    let had = |leaf, subleaf| find(had, leaf, subleaf);
    let vendor = |leaf: kvm_cpuid_entry2| {
        let name = [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes).concat();
        String::from_utf8_lossy(&name).escape_debug().to_string()
    };
    let (then, now) = (vendor(had(0, 0)), vendor(has(0, 0)));
    if then != now {
        return Err(format!("its CPUs are of `{then}`, and this machine's of `{now}`"));
    }
    for (leaf, subleaf, register, bits) in FEATURES {
        let lacking = register.of(&had(leaf, subleaf)) & !register.of(&has(leaf, subleaf)) & bits;
        if lacking != 0 {
            return Err(format!(
                "its CPUs have features that this machine's KVM lacks: bits {lacking:#x} of {register:?} in CPUID leaf \
                 {leaf:#x}.{subleaf}"
            ));
        }
    }
    Ok(())
}

fn find(leaves: &[kvm_cpuid_entry2], leaf: u32, subleaf: u32) -> kvm_cpuid_entry2 {
    let is_it = |entry: &&kvm_cpuid_entry2| {
        entry.function == leaf && (entry.flags & SIGNIFICANT_INDEX == 0 || entry.index == subleaf)
    };
    leaves.iter().find(is_it).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves() -> Vec<kvm_cpuid_entry2> {
        let leaf = |function, index, flags| kvm_cpuid_entry2 {
            function,
            index,
            flags,
            eax: 0xff,
            ebx: 0x6874_7541,
            ecx: 0x444d_4163,
            edx: 0x6974_6e65,
            ..Default::default()
        };
        let mut leaves = vec![leaf(0, 0, 0), leaf(1, 0, 0)];
        leaves.extend([0, 1].map(|subleaf| leaf(7, subleaf, SIGNIFICANT_INDEX)));
        leaves
    }

    #[test]
    fn a_machine_that_has_more_will_do_and_one_that_lacks_a_feature_does_not() {
        let had = leaves();
        assert_eq!(compare(&had, &mut Leaves::of_entries(had.clone())), Ok(()));
        let mut more = had.clone();
        more[1].edx |= 1;
        more[3].eax |= 1 << 30;
        assert_eq!(compare(&had, &mut Leaves::of_entries(more)), Ok(()));
        let mut less = had.clone();
        less[3].eax &= !1;
        let refused = compare(&had, &mut Leaves::of_entries(less)).unwrap_err();
        assert!(refused.ends_with("bits 0x1 of Eax in CPUID leaf 0x7.1"), "{refused}");
        let mut without = had.clone();
        without.truncate(2);
        assert!(compare(&had, &mut Leaves::of_entries(without)).is_err(), "a leaf is missing");
        let mut used = had.clone();
        used[1].ecx |= OSXSAVE;
        assert_eq!(
            compare(&used, &mut Leaves::of_entries(had.clone())),
            Ok(()),
            "which the guest does itself"
        );
        let mut foreign = had.clone();
        foreign[0].ebx = u32::from_le_bytes(*b"Genu");
        let refused = compare(&had, &mut Leaves::of_entries(foreign)).unwrap_err();
        assert_eq!(refused, "its CPUs are of `AuthenticAMD`, and this machine's of `GenuenticAMD`");
    }
}
