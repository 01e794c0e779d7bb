//! CPUID tables of machines, made from recorded ones.

use std::arch::x86_64::CpuidResult;

/// The leaves that matter here, each with EAX, EBX, ECX and EDX; all others are zero.
pub type Leaves = [(u32, [u32; 4])];

const VENDOR: (u32, [u32; 4]) = (0, [0x1c, 0x6874_7541, 0x444d_4163, 0x6974_6e65]);
const FAMILY: (u32, [u32; 4]) = (1, [0x00b0_0f21, 0x0102_0800, 0x7ffa_3203, 0x178b_fbff]);

/// An AMD CPU without a hypervisor.
pub static BARE: &Leaves = &[VENDOR, FAMILY];

/// That CPU under KVM.
pub static KVM: &Leaves = &[VENDOR, FAMILY, kvm_at(0x4000_0000), features_at(0x4000_0001)];

/// That CPU under a KVM that announces Hyper-V's interface before its own.
pub static KVM_BEHIND_HYPER_V: &Leaves = &[
    VENDOR,
    FAMILY,
    (0x4000_0000, [0x4000_000c, 0x7263_694d, 0x666f_736f, 0x7648_2074]),
    (0x4000_0001, [0x3123_7648, 0, 0, 0]),
    kvm_at(0x4000_0100),
    features_at(0x4000_0101),
];

/// That CPU under a KVM at the last place where an interface may start.
pub static KVM_AT_THE_END: &Leaves = &[VENDOR, FAMILY, kvm_at(0x4000_ff00), features_at(0x4000_ff01)];

const fn kvm_at(base: u32) -> (u32, [u32; 4]) {
    (base, [base + 1, 0x4b4d_564b, 0x564b_4d56, 0x4d])
}

const fn features_at(leaf: u32) -> (u32, [u32; 4]) {
    (leaf, [0x0100_7efb, 0, 0, 0])
}

/// Returns what answers for the `cpuid` instruction on such a machine.
pub fn answering(leaves: &Leaves) -> impl Fn(u32, u32) -> CpuidResult {
    |leaf, _| {
        let found = leaves.iter().find(|known| known.0 == leaf);
        let [eax, ebx, ecx, edx] = found.map_or([0; 4], |known| known.1);
        CpuidResult { eax, ebx, ecx, edx }
    }
}
