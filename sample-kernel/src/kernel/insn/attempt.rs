//! Instructions that may raise an exception, outside any site and any fixup: what the bare machine does.

// UNSAFETY: naked functions, and symbols inside them.
#![expect(unsafe_code)]

use core::arch::naked_asm;

use crate::kernel::trap;

/// Defines a function that runs instructions and tells whether they raised an exception.
macro_rules! attempt {
    ($( $(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*) $vector:ident $landing:literal $($line:literal)*; )*) => { $(
        $(#[$doc])*
        pub fn $name($($argument: $type),*) -> bool {
            #[unsafe(naked)]
            extern "sysv64" fn instructions($(_: $type),*) -> u64 {
                naked_asm!(
                    "push rbx",
                    $($line,)*
                    "pop rbx",
                    "xor eax, eax",
                    "ret",
                    concat!($landing, ": pop rbx"),
                    "mov eax, 1",
                    "ret",
                )
            }
            unsafe extern "C" {
                #[link_name = $landing]
                static LANDING: u8;
            }
            let landing = (&raw const LANDING).addr() as u64;
            trap::expecting(trap::$vector, landing, || instructions($($argument),*)) != 0
        }
    )* };
}

attempt! {
    /// Reads an MSR.
    reading_msr_faults(msr: u32) GENERAL_PROTECTION "attempt_rdmsr" "mov ecx, edi" "rdmsr";
    /// Writes an MSR.
    writing_msr_faults(msr: u32, value: u64) GENERAL_PROTECTION "attempt_wrmsr"
        "mov ecx, edi" "mov rax, rsi" "mov rdx, rsi" "shr rdx, 32" "wrmsr";
    /// Writes the byte at an address back.
    storing_faults(address: usize) PAGE_FAULT "attempt_store" "mov al, [rdi]" "mov [rdi], al";
    /// Executes `vmcall`, with a number that no hypervisor knows.
    vmcall_is_undefined() INVALID_OPCODE "attempt_vmcall" "mov rax, -1" "vmcall";
    /// Executes `vmmcall`, with a number that no hypervisor knows.
    vmmcall_is_undefined() INVALID_OPCODE "attempt_vmmcall" "mov rax, -1" "vmmcall";
}
