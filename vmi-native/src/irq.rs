//! Interrupts of this CPU.

// UNSAFETY: implements unsafe methods by privileged instructions.
#![expect(unsafe_code)]

use crate::{Native, insn};
use vmi_abi::Irq;

impl Irq for Native {
    #[inline]
    fn save() -> u64 {
        insn::pushfq()
    }

    #[inline]
    unsafe fn restore(flags: u64) {
        // SAFETY: the caller ensures that the flags are ones the kernel expects.
        unsafe { insn::popfq(flags) };
    }

    #[inline]
    fn disable() {
        insn::cli();
    }

    #[inline]
    fn enable() {
        insn::sti();
    }

    #[inline]
    fn wait() {
        insn::sti_hlt();
    }

    #[inline]
    fn halt() {
        insn::hlt();
    }

    /// Only a function without a stack frame of its own can hold to the contract; entry code is assembly and
    /// has `iretq` itself.
    #[inline(always)]
    unsafe fn leave() {
        // SAFETY: the caller ensures that the frame is at the top of the stack, and inlining adds nothing to
        // it.
        unsafe { insn::iretq() }
    }
}
