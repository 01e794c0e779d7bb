//! Hypercalls as a kernel writes them that calls one hypervisor by hand.

// UNSAFETY: these are the instructions themselves.
#![expect(unsafe_code)]

use core::arch::asm;

macro_rules! hypercalls {
    ($( $(#[$doc:meta])* $name:ident $text:literal )*) => { $(
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// - Called in ring 0 of a guest of KVM, on a CPU that has the instruction.
        /// - What the call does is what the kernel wants.
        #[inline(always)]
        pub unsafe fn $name(number: u64) -> i64 {
            let answer;
            // SAFETY: the caller's promises. Without `nomem`: the host may read and write memory. Neither flags nor stack
            // are touched.
            unsafe { asm!($text, inlateout("rax") number => answer, options(nostack, preserves_flags)) };
            answer
        }
    )* };
}
hypercalls! {
    /// Makes a hypercall without arguments, by the instruction of CPUs with VMX.
    vmcall "vmcall"
    /// Makes a hypercall without arguments, by the instruction of CPUs with SVM.
    vmmcall "vmmcall"
}
