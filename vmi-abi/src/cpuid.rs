//! Which hypervisor interfaces CPUID announces, and whose CPU it is.
//!
//! The hypervisor bit (leaf 1, ECX bit 31) is neither required nor believed: minimal virtual machine monitors hand
//! their guests CPUID tables without it, and emulators set it over empty leaves. What counts is a signature.

use core::{arch::x86_64::CpuidResult, fmt, ops::RangeInclusive};

/// A source of CPUID leaves, by leaf and subleaf: the CPU, or a recorded dump.
pub type Cpuid<'a> = dyn Fn(u32, u32) -> CpuidResult + 'a;

/// Signature of KVM. Source: KVM documentation, "KVM CPUID bits".
pub const KVM: [u8; 12] = *b"KVMKVMKVM\0\0\0";

/// First leaf at which an interface may start. Source: KVM documentation, "KVM CPUID bits".
const FIRST_BASE: u32 = 0x4000_0000;
/// Behind the last leaf at which an interface may start. Linux and Xen guests scan the same 64 Ki leaves.
const END_OF_BASES: u32 = 0x4001_0000;
/// Distance of two interfaces, and so the number of leaves each of them has.
const LEAVES: u32 = 0x100;

/// One hypervisor interface that CPUID announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Leaf at which the interface starts.
    pub base: u32,
    /// Its last leaf, as announced; for KVM, 0 is already replaced by `base + 1`.
    pub max_leaf: u32,
    /// EBX, ECX and EDX of the base leaf.
    pub signature: [u8; 12],
}

impl Interface {
    /// Takes the leaf at `base` for the start of an interface, whatever it holds.
    pub(crate) fn of(base: u32, leaf: CpuidResult) -> Self {
        let signature = text([leaf.ebx, leaf.ecx, leaf.edx]);
        // "Old hosts set eax value to 0x0. This should be interpreted as if the value was 0x40000001."
        // (KVM documentation, "KVM CPUID bits")
        let max_leaf = if leaf.eax == 0 && signature == KVM { base + 1 } else { leaf.eax };
        Self { base, max_leaf, signature }
    }

    /// Returns the leaves that belong to the interface. A maximum below the base, or in another interface's leaves,
    /// is a lie that leaves only the base: what an absent leaf returns is another leaf's content on some CPUs.
    pub fn leaves(&self) -> RangeInclusive<u32> {
        let last = self.base.saturating_add(LEAVES - 1);
        self.base..=if (self.base..=last).contains(&self.max_leaf) { self.max_leaf } else { self.base }
    }

    /// Tells whether the maximum leaf is 0 or one of the interface's own.
    pub(crate) fn reaches(&self) -> bool {
        self.max_leaf == 0 || self.leaves().contains(&self.max_leaf)
    }

    /// Returns the leaf `offset` leaves above the base, or `None` where the interface does not reach so far.
    pub fn leaf(&self, cpuid: &Cpuid<'_>, offset: u32) -> Option<CpuidResult> {
        let leaf = self.base.checked_add(offset)?;
        self.leaves().contains(&leaf).then(|| cpuid(leaf, 0))
    }

    /// Tells whether the signature reads as a name: printable ASCII with at least one letter or digit, filled up by
    /// zeros at the end only.
    pub(crate) fn has_name(&self) -> bool {
        let name = self.name();
        name.iter().all(|byte| (b' '..=b'~').contains(byte)) && name.iter().any(u8::is_ascii_alphanumeric)
    }

    /// Returns the signature without the zeros at its end.
    fn name(&self) -> &[u8] {
        let len = self.signature.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        &self.signature[..len]
    }
}

/// Prints the signature without the zeros and blanks around it; a byte that is not printable ASCII is escaped.
impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name().trim_ascii().escape_ascii())
    }
}

/// The CPU's vendor, as leaf 0 spells it. A name for what a table says: the table may be made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vendor(pub [u8; 12]);

impl Vendor {
    /// Intel, whose CPUs have VMX.
    pub const INTEL: Self = Self(*b"GenuineIntel");
    /// Centaur (VIA), whose CPUs have VMX.
    pub const CENTAUR: Self = Self(*b"CentaurHauls");
    /// Zhaoxin, whose CPUs have VMX.
    pub const ZHAOXIN: Self = Self(*b"  Shanghai  ");
    /// AMD, whose CPUs have SVM.
    pub const AMD: Self = Self(*b"AuthenticAMD");
    /// Hygon, whose CPUs have SVM.
    pub const HYGON: Self = Self(*b"HygonGenuine");

    /// Reads the vendor from leaf 0.
    pub(crate) fn of(leaf: CpuidResult) -> Self {
        Self(text([leaf.ebx, leaf.edx, leaf.ecx]))
    }

    /// Returns the instruction with which a guest on this vendor's CPUs calls its hypervisor, or `None` where it is
    /// not known. Source: KVM documentation, "Linux KVM Hypercall".
    pub fn call_opcode(self) -> Option<CallOpcode> {
        match self {
            Self::INTEL | Self::CENTAUR | Self::ZHAOXIN => Some(CallOpcode::Vmcall),
            Self::AMD | Self::HYGON => Some(CallOpcode::Vmmcall),
            _ => None,
        }
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.trim_ascii().escape_ascii())
    }
}

/// The instruction that calls a hypervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOpcode {
    /// `0f 01 c1`, of VMX.
    Vmcall,
    /// `0f 01 d9`, of SVM.
    Vmmcall,
}

/// Returns the leaves at which an interface may start.
pub(crate) fn bases() -> impl Iterator<Item = u32> {
    (FIRST_BASE..END_OF_BASES).step_by(LEAVES as usize)
}

/// Joins three registers to the twelve bytes they spell, lowest byte first.
fn text(registers: [u32; 3]) -> [u8; 12] {
    let mut bytes = [0; 12];
    for (chunk, register) in bytes.chunks_exact_mut(4).zip(registers) {
        chunk.copy_from_slice(&register.to_le_bytes());
    }
    bytes
}
