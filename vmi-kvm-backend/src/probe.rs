//! Detection: from CPUID alone, no hypercall, no MSR.

use vmi_abi::{
    Machine,
    cpuid::{self, Interface},
};

use crate::{Features, Hints};

/// Leaf of feature and hint bits, counted from the signature. Source: KVM documentation, "KVM CPUID bits".
const FEATURES_LEAF: u32 = 1;

/// KVM's interface as CPUID announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where the interface stands.
    pub interface: Interface,
    /// What the host does; unknown bits are kept.
    pub features: Features,
    /// What the host recommends; unknown bits are kept.
    pub hints: Hints,
}

/// Looks for KVM, wherever in the hypervisor leaves its signature stands. A signature whose maximum leaf does not
/// reach the feature leaf is KVM without features.
pub fn probe(machine: &Machine<'_>) -> Option<Found> {
    let interface = machine.interface(cpuid::KVM)?;
    let leaf = machine.leaf(&interface, FEATURES_LEAF);
    Some(Found {
        interface,
        features: Features::from_bits_retain(leaf.map_or(0, |leaf| leaf.eax)),
        hints: Hints::from_bits_retain(leaf.map_or(0, |leaf| leaf.edx)),
    })
}
