//! Calls into KVM.
//!
//! Source of convention, numbers and results: KVM documentation, "Linux KVM Hypercall".

// UNSAFETY: offers hypercalls, which may do anything to the machine.
#![expect(unsafe_code)]

use core::fmt;

use vmi_abi::cpuid::{CallOpcode, Cpuid, Vendor};

use crate::{Features, insn, probe};

/// The number of a hypercall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Number(pub u64);

impl Number {
    /// Exits and does nothing, so that pending interrupts are looked at.
    pub const VAPIC_POLL_IRQ: Self = Self(1);
    /// Wakes the halted CPU with APIC id `a1`.
    pub const KICK_CPU: Self = Self(5);
    /// Fills the structure at physical address `a0` with the host's time and the TSC it belongs to.
    pub const CLOCK_PAIRING: Self = Self(9);
    /// Sends an interrupt to up to 128 CPUs.
    pub const SEND_IPI: Self = Self(10);
    /// Yields to the CPU with APIC id `a0`.
    pub const SCHED_YIELD: Self = Self(11);
    /// Changes whether a physical range is shared with the host.
    pub const MAP_GPA_RANGE: Self = Self(12);

    /// Returns the feature without which the call must not be made; empty where there is none, also for numbers not
    /// known here.
    pub const fn needs(self) -> Features {
        match self {
            Self::KICK_CPU => Features::PV_UNHALT,
            Self::SEND_IPI => Features::PV_SEND_IPI,
            Self::SCHED_YIELD => Features::PV_SCHED_YIELD,
            Self::MAP_GPA_RANGE => Features::HC_MAP_GPA_RANGE,
            _ => Features::empty(),
        }
    }
}

/// The right to call KVM with the opcode of this CPU's vendor.
///
/// KVM rewrites a foreign opcode in the guest's text; the two opcodes therefore stand in functions of their own,
/// outside every site, and the choice is made from CPUID before the first call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hypercall {
    opcode: CallOpcode,
    features: Features,
}

impl Hypercall {
    /// Returns the right to call, where CPUID announces KVM and a vendor whose opcode is known.
    pub fn detect(cpuid: &Cpuid<'_>) -> Option<Self> {
        let found = probe::probe(cpuid)?;
        Some(Self { opcode: Vendor::of(cpuid).call_opcode()?, features: found.features })
    }

    /// Returns the opcode that [`call`](Self::call) uses.
    pub fn opcode(self) -> CallOpcode {
        self.opcode
    }

    /// Calls KVM and returns what it left in RAX; [`decode`] tells results from errors. Without the feature that the
    /// number [`needs`](Number::needs), KVM is not asked and the answer is that of a host that lacks the call.
    ///
    /// # Safety
    ///
    /// - Called in ring 0, on the hypervisor this token was detected on.
    /// - The arguments are what the call's documentation asks for, and what the call does is what the kernel wants;
    ///   memory it names is the kernel's to give.
    #[inline]
    pub unsafe fn call(self, number: Number, a0: u64, a1: u64, a2: u64, a3: u64) -> i64 {
        if !self.features.contains(number.needs()) {
            return Error::NO_SUCH_CALL.0;
        }
        match self.opcode {
            // SAFETY: `detect` saw KVM and a vendor with VMX; ring 0 and the arguments are the caller's promise.
            CallOpcode::Vmcall => unsafe { insn::vmcall(number.0, a0, a1, a2, a3) },
            // SAFETY: `detect` saw KVM and a vendor with SVM; ring 0 and the arguments are the caller's promise.
            CallOpcode::Vmmcall => unsafe { insn::vmmcall(number.0, a0, a1, a2, a3) },
        }
    }
}

/// A hypercall that failed, by the negative number that KVM returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Error(pub i64);

impl Error {
    /// The host does not know the number. Not the errno of that name, which is 38.
    pub const NO_SUCH_CALL: Self = Self(-1000);
    /// An address leads nowhere.
    pub const FAULT: Self = Self(-14);
    /// An argument is wrong.
    pub const INVALID: Self = Self(-22);
    /// An argument is too big.
    pub const TOO_BIG: Self = Self(-7);
    /// The caller was not in ring 0.
    pub const NOT_PERMITTED: Self = Self(-1);
    /// The host cannot do this now.
    pub const NOT_SUPPORTED: Self = Self(-95);
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match *self {
            Self::NO_SUCH_CALL => "no such call",
            Self::FAULT => "bad address",
            Self::INVALID => "invalid argument",
            Self::TOO_BIG => "argument too big",
            Self::NOT_PERMITTED => "not in ring 0",
            Self::NOT_SUPPORTED => "not supported",
            _ => "unknown error",
        };
        write!(f, "hypercall failed: {meaning} ({})", self.0)
    }
}

impl core::error::Error for Error {}

/// Reads what KVM left in RAX.
///
/// # Errors
///
/// Any negative value, kept as it is.
pub const fn decode(rax: i64) -> Result<u64, Error> {
    if rax < 0 { Err(Error(rax)) } else { Ok(rax as u64) }
}
