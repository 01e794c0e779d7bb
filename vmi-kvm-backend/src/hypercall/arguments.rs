//! The instructions that call a hypervisor, and what they pass.

use vmi_abi::cpuid::CallOpcode;

/// An instruction that calls a hypervisor: [`Vmcall`] or [`Vmmcall`].
pub trait Instruction: sealed::Sealed + Copy {
    /// Its opcode.
    const OPCODE: CallOpcode;
}

/// `vmcall`, of CPUs with VMX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vmcall {}

/// `vmmcall`, of CPUs with SVM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vmmcall {}

impl Instruction for Vmcall {
    const OPCODE: CallOpcode = CallOpcode::Vmcall;
}

impl Instruction for Vmmcall {
    const OPCODE: CallOpcode = CallOpcode::Vmmcall;
}

/// The arguments of a hypercall: an array of up to four integers.
pub trait Arguments: sealed::Sealed + Copy + AsRef<[u64]> {}

impl Arguments for [u64; 0] {}
impl Arguments for [u64; 1] {}
impl Arguments for [u64; 2] {}
impl Arguments for [u64; 3] {}
impl Arguments for [u64; 4] {}

mod sealed {
    /// What other crates cannot implement.
    pub trait Sealed {}

    impl Sealed for super::Vmcall {}
    impl Sealed for super::Vmmcall {}
    impl<const N: usize> Sealed for [u64; N] {}
}
