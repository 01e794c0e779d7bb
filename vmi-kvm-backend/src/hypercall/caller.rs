//! Who may call KVM, and by which instruction.

// UNSAFETY: offers hypercalls, which may do anything to the machine.
#![expect(unsafe_code)]

use core::{fmt, marker::PhantomData};

use vmi_abi::cpuid::{CallOpcode, Cpuid, Vendor};

use super::{Arguments, Call, Error, Instruction, Number, Vmcall, Vmmcall};
use crate::{Features, insn, probe};

/// The right to call KVM, by the instruction of this CPU's vendor.
///
/// KVM rewrites a foreign opcode in the guest's text, so the choice is made from CPUID before the first call; no call
/// stands in a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hypercall {
    /// By `vmcall`.
    Vmcall(Caller<Vmcall>),
    /// By `vmmcall`.
    Vmmcall(Caller<Vmmcall>),
}

/// The right to call KVM by one instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller<I> {
    features: Features,
    instruction: PhantomData<I>,
}

/// The right to make one hypercall, which the host has, by one instruction, which the CPU has. It takes no memory.
pub struct Granted<I, C>(PhantomData<(I, C)>);

impl Hypercall {
    /// Returns the right to call, where CPUID announces KVM and a vendor whose opcode is known.
    pub fn detect(cpuid: &Cpuid<'_>) -> Option<Self> {
        let features = probe::probe(cpuid)?.features;
        Some(match Vendor::of(cpuid).call_opcode()? {
            CallOpcode::Vmcall => Self::Vmcall(Caller { features, instruction: PhantomData }),
            CallOpcode::Vmmcall => Self::Vmmcall(Caller { features, instruction: PhantomData }),
        })
    }

    /// Returns the opcode that is called by.
    pub fn opcode(self) -> CallOpcode {
        match self {
            Self::Vmcall(_) => Vmcall::OPCODE,
            Self::Vmmcall(_) => Vmmcall::OPCODE,
        }
    }

    /// Calls KVM and returns what it left in RAX; [`decode`](super::decode) tells results from errors.
    ///
    /// For calls that are rare: it tests the feature and chooses the instruction anew each time, which what a
    /// [`Caller`] [grants](Caller::grant) does not. Without the feature that the number [`needs`](Number::needs), KVM is
    /// not asked and the answer is that of a host that lacks the call.
    ///
    /// # Safety
    ///
    /// - As of [`Granted::call`].
    pub unsafe fn call(self, number: Number, arguments: impl Arguments) -> i64 {
        match self {
            // SAFETY: the caller's promises are the same.
            Self::Vmcall(caller) => unsafe { caller.call(number, arguments) },
            // SAFETY: the caller's promises are the same.
            Self::Vmmcall(caller) => unsafe { caller.call(number, arguments) },
        }
    }
}

impl<I: Instruction> Caller<I> {
    /// Returns the right to make a call, where the host has the feature that it [`needs`](Number::needs).
    pub fn grant<C: Call>(self) -> Option<Granted<I, C>> {
        self.may(C::NUMBER).then_some(Granted(PhantomData))
    }

    fn may(self, number: Number) -> bool {
        self.features.contains(number.needs())
    }

    /// Makes a call if the host has the feature that it needs.
    ///
    /// # Safety
    ///
    /// - As of [`Granted::call`].
    unsafe fn call(self, number: Number, arguments: impl Arguments) -> i64 {
        if !self.may(number) {
            return Error::NO_SUCH_CALL.0;
        }
        // SAFETY: `detect` saw KVM and a vendor with the instruction; the rest is the caller's promise.
        unsafe { execute::<I>(number, arguments) }
    }
}

impl<I: Instruction, C: Call> Granted<I, C> {
    /// Returns a right that was granted before, where it cannot be handed on: in a function that replaces an op.
    ///
    /// # Safety
    ///
    /// - [`Caller::grant`] has granted it on the hypervisor on which it is used.
    pub const unsafe fn new_unchecked() -> Self {
        Self(PhantomData)
    }

    /// Calls KVM and returns what it left in RAX; [`decode`](super::decode) tells results from errors.
    ///
    /// It costs what the instruction in `asm!` costs: the instruction, number and arguments in RAX, RBX, RCX, RDX and RSI,
    /// of which RAX alone changes. The first argument takes two instructions more, since RBX is the compiler's; a call
    /// without arguments has none of that.
    ///
    /// # Safety
    ///
    /// - Called in ring 0, on the hypervisor this right was granted on.
    /// - The arguments are what the call's documentation asks for, and what the call does is what the kernel wants;
    ///   memory it names is the kernel's to give.
    #[inline(always)]
    pub unsafe fn call(self, arguments: C::Arguments) -> i64 {
        // SAFETY: granted, so KVM is there, the CPU has the instruction and the host the feature; the rest is the
        // caller's promise.
        unsafe { execute::<I>(C::NUMBER, arguments) }
    }
}

/// Calls KVM, by an instruction that is known when this is compiled.
///
/// # Safety
///
/// - Called in ring 0 of a guest of KVM, on a CPU that has the instruction.
/// - The arguments are what the call asks for, and what it does is what the kernel wants.
#[inline(always)]
unsafe fn execute<I: Instruction>(number: Number, arguments: impl Arguments) -> i64 {
    match I::OPCODE {
        // SAFETY: the caller's promises are the same.
        CallOpcode::Vmcall => unsafe { insn::vmcall(number.0, arguments.as_ref()) },
        // SAFETY: the caller's promises are the same.
        CallOpcode::Vmmcall => unsafe { insn::vmmcall(number.0, arguments.as_ref()) },
    }
}

impl<I, C> Clone for Granted<I, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I, C> Copy for Granted<I, C> {}

impl<I: Instruction, C: Call> fmt::Debug for Granted<I, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Granted({:?}, {:?})", I::OPCODE, C::NUMBER)
    }
}
