//! A way through an interrupt frame.

use core::arch::naked_asm;

/// Returns 1 by way of an interrupt frame that leads there, 0 if the site lets control through.
#[unsafe(naked)]
pub extern "sysv64" fn leave_by_frame() -> u64 {
    naked_asm!(
        "mov rdx, rsp",
        "mov eax, ss",
        "push rax",
        "push rdx",
        "pushfq",
        "mov eax, cs",
        "push rax",
        "lea rax, [rip + 2f]",
        "push rax",
        vmi::insn!(irq::leave),
        "add rsp, 40",
        "xor eax, eax",
        "ret",
        "2: mov eax, 1",
        "ret",
    )
}
