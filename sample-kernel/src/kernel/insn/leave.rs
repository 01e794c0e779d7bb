//! Ways through an interrupt frame.

// UNSAFETY: moves the stack pointer to a frame, and from there on.
#![expect(unsafe_code)]

use core::{
    arch::{asm, naked_asm},
    cell::UnsafeCell,
    mem::offset_of,
};

use vmi_abi::Table;

use super::indirect::{TABLE, jump_by_return};
use crate::kernel::descriptors::{KERNEL_CODE, KERNEL_DATA};

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

/// An interrupt frame, and room for a return address at the top of the stack that starts at it.
#[repr(C)]
struct Stack {
    room: [u64; 3],
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

#[repr(transparent)]
struct Frame(UnsafeCell<Stack>);

// SAFETY: one CPU, and interrupts are off while the frame is used.
unsafe impl Sync for Frame {}

/// A frame whose interrupt came with interrupts off; where it leads to, and the stack, are filled in at each turn.
static FRAME: Frame = Frame(UnsafeCell::new(Stack {
    room: [0; 3],
    rip: 0,
    cs: KERNEL_CODE as u64,
    rflags: 2,
    rsp: 0,
    ss: KERNEL_DATA as u64,
}));

/// Fills in the frame, has rsp (or, where nothing leaves, another register) point at it, leaves, and lands behind.
macro_rules! turn {
    ($pointer:literal [$($text:expr),*] [$($operands:tt)*]) => {{
        // SAFETY: the frame leads to the end of this block, with the stack and the flags that it has now; every
        // interrupt and exception has a stack of its own.
        unsafe {
            asm!(
                "mov [rip + {frame} + {rsp}], rsp",
                "lea rax, [rip + 2f]",
                "mov [rip + {frame} + {rip}], rax",
                concat!("lea ", $pointer, ", [rip + {frame} + {rip}]"),
                $($text,)*
                "2:",
                frame = sym FRAME,
                rip = const offset_of!(Stack, rip),
                rsp = const offset_of!(Stack, rsp),
                $($operands)*
                out("rax") _,
            );
        }
    }};
}

/// What the other turns have around the op.
#[inline(always)]
pub fn empty() {
    turn!("rax" [] []);
}

/// Leaves by the instruction.
#[inline(always)]
pub fn bare() {
    turn!("rsp" ["iretq"] []);
}

/// Leaves by the site.
#[inline(always)]
pub fn site() {
    turn!("rsp" [vmi::insn!(irq::leave)] []);
}

/// Leaves by a jump to text that does.
#[inline(always)]
pub fn direct() {
    #[unsafe(naked)]
    unsafe extern "sysv64" fn leave() {
        naked_asm!("iretq")
    }
    turn!("rsp" ["jmp {leave}"] [leave = sym leave,]);
}

/// Leaves by a jump through the table.
#[inline(always)]
pub fn table() {
    turn!("rsp" ["jmp qword ptr [rip + {table} + {place}]"] [table = sym TABLE, place = const Table::offset(vmi_abi::irq::leave::OP),]);
}

/// Leaves by a jump through the table and a retpoline.
#[inline(always)]
pub fn retpoline() {
    turn!(
        "rsp" ["mov r11, [rip + {table} + {place}]", "jmp {retpoline}"]
        [table = sym TABLE, place = const Table::offset(vmi_abi::irq::leave::OP), retpoline = sym jump_by_return, out("r11") _,]
    );
}
