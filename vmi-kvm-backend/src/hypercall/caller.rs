//! Who may call KVM.

// UNSAFETY: offers hypercalls, which may do anything to the machine.
#![expect(unsafe_code)]

use core::{fmt, marker::PhantomData};

use vmi_abi::{Machine, cpuid::CallOpcode};

use super::{Arguments, Call, Error, Number, stub};
use crate::{Features, insn, probe};

/// The right to call KVM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hypercall {
    features: Features,
    opcode: CallOpcode,
}

/// The right to make one hypercall, which the host has. It takes no memory.
pub struct Granted<C>(PhantomData<C>);

impl Hypercall {
    /// Returns the right to call, where CPUID announces KVM and a vendor whose opcode is known.
    pub fn detect(machine: &Machine<'_>) -> Option<Self> {
        let features = probe::probe(machine)?.features;
        Some(Self { features, opcode: machine.vendor().call_opcode()? })
    }

    /// Returns the opcode of the CPU's vendor, which is tried first.
    pub fn opcode(self) -> CallOpcode {
        self.opcode
    }

    /// Returns the right to make a call, where the host has the feature that it [`needs`](Number::needs).
    pub fn grant<C: Call>(self) -> Option<Granted<C>> {
        self.may(C::NUMBER).then(|| {
            stub::choose(self.opcode);
            Granted(PhantomData)
        })
    }

    /// Calls KVM and returns what it left in RAX; [`decode`](super::decode) tells results from errors.
    ///
    /// For calls that are rare: it tests the feature each time, which what is [granted](Self::grant) does not. Without the
    /// feature that the number [`needs`](Number::needs), KVM is not asked and the answer is that of a host that lacks
    /// the call.
    ///
    /// # Safety
    ///
    /// - As of [`Granted::call`].
    pub unsafe fn call(self, number: Number, arguments: impl Arguments) -> i64 {
        if !self.may(number) {
            return Error::NO_SUCH_CALL.0;
        }
        stub::choose(self.opcode);
        // SAFETY: `detect` saw KVM; the rest is the caller's promise.
        unsafe { insn::hypercall(number.0, arguments.as_ref()) }
    }

    fn may(self, number: Number) -> bool {
        self.features.contains(number.needs())
    }
}

impl<C: Call> Granted<C> {
    /// Returns a right that was granted before, where it cannot be handed on: in a function that replaces an op.
    ///
    /// # Safety
    ///
    /// - [`Hypercall::grant`] has granted it on the hypervisor on which it is used.
    pub const unsafe fn new_unchecked() -> Self {
        Self(PhantomData)
    }

    /// Calls KVM and returns what it left in RAX; [`decode`](super::decode) tells results from errors.
    ///
    /// It costs the instruction, and the `call` and `ret` of the stub around it: number and arguments are in RAX, RBX, RCX,
    /// RDX and RSI, of which RAX alone changes. The first argument takes two instructions more, since RBX is the compiler's;
    /// a call without arguments has none of that.
    ///
    /// # Safety
    ///
    /// - Called in ring 0, on the hypervisor this right was granted on.
    /// - The kernel's #UD and #PF handlers ask `vmi::fixup::landing`, unless the CPU is of the vendor that its CPUID names.
    /// - The arguments are what the call's documentation asks for, and what the call does is what the kernel wants;
    ///   memory it names is the kernel's to give.
    #[inline(always)]
    pub unsafe fn call(self, arguments: C::Arguments) -> i64 {
        // SAFETY: granted, so KVM is there and the host has the feature; the rest is the caller's promise.
        unsafe { insn::hypercall(C::NUMBER.0, arguments.as_ref()) }
    }
}

impl<C> Clone for Granted<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Granted<C> {}

impl<C: Call> fmt::Debug for Granted<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Granted({:?})", C::NUMBER)
    }
}
