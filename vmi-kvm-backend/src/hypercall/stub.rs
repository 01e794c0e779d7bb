//! Which instruction calls KVM on this machine.

use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use vmi_abi::cpuid::CallOpcode;

use crate::insn;

/// The stub that calls KVM: one that answers without a call, until [`choose`] puts one in its place. It may itself put
/// another there, when its instruction turns out to be the wrong one.
///
/// Of the image, not of a backend's value, because the instruction is the CPU's, and a kernel may call KVM that serves
/// no op by it.
pub(crate) static STUB: AtomicPtr<()> = AtomicPtr::new(NONE);

const NONE: *mut () = insn::no_hypercall as *const () as *mut ();

/// Chooses the stub, unless that was done before: what a fault has taught is kept.
pub(super) fn choose(opcode: CallOpcode) {
    let stub: unsafe extern "sysv64" fn() = match opcode {
        CallOpcode::Vmcall => insn::vmcall,
        CallOpcode::Vmmcall => insn::vmmcall,
    };
    let _ = STUB.compare_exchange(NONE, stub as *const () as *mut (), Relaxed, Relaxed);
}
