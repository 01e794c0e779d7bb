//! What a linker would make of a module: text, then records, at distances that stay when it is loaded. The call is yet to be
//! linked to the kernel.

// UNSAFETY: makes a slice of what lies between two symbols.
#![expect(unsafe_code)]

use core::{arch::global_asm, slice};

use vmi_abi::{cpu, io, time};

/// How many sites it has.
pub const SITES: usize = 3;
/// Where its second function starts.
pub const READ_CR0: usize = 32;

global_asm!(
    ".pushsection .rodata.module,\"a\",@progbits",
    ".globl module_start, module_records, module_end",
    ".balign 64",
    "module_start:",
    "sub rsp, 8",
    "2: .byte 0xe8, 0, 0, 0, 0",
    "3: .byte 0x2e, 0x2e, 0x2e",
    "out 0x80, al",
    "add rsp, 8",
    "ret",
    ".balign 16",
    "4: .byte 0x2e, 0x2e",
    "mov rax, cr0",
    "ret",
    ".balign 16",
    "module_records:",
    ".long 2b - .",
    ".short {now_ns}",
    ".byte 5, 0",
    ".long 3b - .",
    ".short {delay}",
    ".byte 5, 0",
    ".long 4b - .",
    ".short {read_cr0}",
    ".byte 5, 0",
    "module_end:",
    ".popsection",
    now_ns = const time::now_ns::OP.number(),
    delay = const io::delay::OP.number(),
    read_cr0 = const cpu::read_cr0::OP.number(),
);

/// Returns the module, and where its records begin.
pub fn image() -> (&'static [u8], usize) {
    let (start, end) = (&raw const module_start, &raw const module_end);
    // SAFETY: the symbols are the ends of the module, in this order, which nobody writes to.
    let image = unsafe { slice::from_raw_parts(start, end.addr() - start.addr()) };
    (image, (&raw const module_records).addr() - start.addr())
}

unsafe extern "C" {
    static module_start: u8;
    static module_records: u8;
    static module_end: u8;
}
