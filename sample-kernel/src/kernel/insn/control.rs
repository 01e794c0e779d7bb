//! An instruction that always exits.

// UNSAFETY: gives the loop a name that a trace can be held against.
#![expect(unsafe_code)]

use core::arch::naked_asm;

/// Executes `cpuid`, which no hypervisor lets pass, at one address.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub extern "sysv64" fn trace_control(turns: u64) {
    naked_asm!("push rbx", "2: xor eax, eax", "cpuid", "dec rdi", "jnz 2b", "pop rbx", "ret")
}
