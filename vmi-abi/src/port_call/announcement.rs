//! The CPUID leaves by which a host announces the interface.

use core::arch::x86_64::CpuidResult;

use super::{Features, Hints, Implementation, Version};
use crate::Machine;

/// The signature of the interface.
pub const SIGNATURE: [u8; 12] = *b"VMIVMIVMIVMI";

/// How many leaves the interface has.
pub const LEAVES: usize = 3;

/// Leaf of version and features, counted from the signature.
const VERSION_LEAF: u32 = 1;
/// Leaf of the ports, counted from the signature.
const PORTS_LEAF: u32 = 2;

/// What the leaves say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The version that the host speaks.
    pub version: Version,
    /// What the host does; unknown bits are kept.
    pub features: Features,
    /// What the host advises; unknown bits are kept. None before version 1.1.
    pub hints: Hints,
    /// Who serves. Zeros before version 1.1.
    pub implementation: Implementation,
    /// The most calls that the host takes in one batch.
    pub calls_max: u32,
    /// The port that takes the page number of a batch.
    pub call_port: u16,
    /// The port that has posted batches looked at.
    pub doorbell_port: u16,
}

impl Announcement {
    /// Reads the leaves of the machine's interface, or returns `None` where they are not all
    /// there, or where a port is 0 or none.
    ///
    /// The version is not judged here: that is the guest's part.
    pub fn find(machine: &Machine<'_>) -> Option<Self> {
        let interface = machine.interface(SIGNATURE)?;
        let head = machine.leaf(&interface, VERSION_LEAF)?;
        let ports = machine.leaf(&interface, PORTS_LEAF)?;
        let port = |word: u32| u16::try_from(word).ok().filter(|&port| port != 0);
        Some(Self {
            version: Version::from_bits(head.eax),
            features: Features::from_bits_retain(head.ebx),
            hints: Hints::from_bits_retain(head.edx),
            implementation: Implementation { id: ports.ecx, version: ports.edx },
            calls_max: head.ecx,
            call_port: port(ports.eax)?,
            doorbell_port: port(ports.ebx)?,
        })
    }

    /// Returns the leaves that announce this, numbers first.
    ///
    /// # Panics
    ///
    /// When the leaves do not fit behind `base`.
    pub fn leaves(&self, base: u32) -> [(u32, CpuidResult); LEAVES] {
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| SIGNATURE[4 * at + byte]));
        let leaf = |eax, ebx, ecx, edx| CpuidResult { eax, ebx, ecx, edx };
        [
            (base, leaf(base + PORTS_LEAF, word(0), word(1), word(2))),
            (
                base + VERSION_LEAF,
                leaf(self.version.bits(), self.features.bits(), self.calls_max, self.hints.bits()),
            ),
            (
                base + PORTS_LEAF,
                leaf(
                    self.call_port.into(),
                    self.doorbell_port.into(),
                    self.implementation.id,
                    self.implementation.version,
                ),
            ),
        ]
    }
}
