//! The instructions around a halt: an interrupt that is requested while interrupts are off must come during the halt.
//! And where a pending one comes, by each way to enable them.

// UNSAFETY: enables interrupts.
#![expect(unsafe_code)]

use core::{
    arch::{asm, naked_asm},
    sync::atomic::AtomicU64,
};

/// Enables interrupts, from behind the next instruction on, which is what the caller does next.
#[inline(always)]
pub fn enable() {
    // SAFETY: the kernel has handlers.
    unsafe { asm!("sti", options(nostack, preserves_flags)) };
}

/// Lets a requested interrupt in if none has been, and disables them. Interrupts are enabled, since the last instruction
/// or earlier.
#[inline(always)]
pub fn let_in_and_disable() {
    // SAFETY: the kernel has handlers. The shadow of an `sti` in front covers the first instruction.
    unsafe { asm!("nop", "cli", options(nostack, preserves_flags)) };
}

/// What a counter of interrupts was at the first and at the second instruction behind the one that enabled them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Looks {
    pub first: u64,
    pub second: u64,
}

/// Defines functions that enable interrupts, look twice at a counter, and disable them.
macro_rules! looks {
    ($( $(#[$doc:meta])* $name:ident [$enable:expr] [$($behind:literal)*]; )*) => { $(
        $(#[$doc])*
        #[unsafe(naked)]
        pub extern "sysv64" fn $name(counter: &AtomicU64) -> Looks {
            naked_asm!($enable, "mov rax, [rdi]", "mov rdx, [rdi]", "cli", "ret", $($behind),*)
        }
    )* };
}

looks! {
    /// Enables by the op.
    by_op [vmi::insn!(irq::enable)] [];
    /// Enables by the instruction.
    by_instruction ["sti"] [];
    /// Enables by a call of a function.
    by_call ["call 2f"] ["2: sti" "ret"];
}
