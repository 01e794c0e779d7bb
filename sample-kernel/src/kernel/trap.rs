//! Interrupts and exceptions: their stubs, and what becomes of them.

// UNSAFETY: entry stubs, and the interrupt descriptor table.
#![expect(unsafe_code)]

use core::{
    arch::global_asm,
    cell::UnsafeCell,
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use vmi_abi::Cpu;
use vmi_native::Native;
use x86_64::{VirtAddr, structures::idt::InterruptDescriptorTable};

use super::{
    console::line,
    descriptors::Stack,
    exit::{Code, exit},
    insn::steps,
    timer,
};

/// What a stub pushed, from the lowest address up.
#[repr(C)]
#[derive(Debug)]
pub struct Frame {
    r15: u64,
    r14: u64,
    r13: u64,
    r12: u64,
    r11: u64,
    r10: u64,
    r9: u64,
    r8: u64,
    rbp: u64,
    rdi: u64,
    rsi: u64,
    rdx: u64,
    rcx: u64,
    rbx: u64,
    rax: u64,
    vector: u64,
    error_code: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

/// Names of the exceptions. Source: Intel SDM, Volume 3, "Exception and Interrupt Vectors".
const NAMES: [&str; 22] = [
    "divide error",
    "debug exception",
    "non-maskable interrupt",
    "breakpoint",
    "overflow",
    "bound range exceeded",
    "invalid opcode",
    "device not available",
    "double fault",
    "coprocessor segment overrun",
    "invalid TSS",
    "segment not present",
    "stack-segment fault",
    "general protection fault",
    "page fault",
    "reserved",
    "x87 floating-point error",
    "alignment check",
    "machine check",
    "SIMD floating-point exception",
    "virtualization exception",
    "control protection exception",
];

/// Bit `n` says that the CPU pushes an error code for vector `n`. Source: the same table.
const ERROR_CODES: u64 = 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17 | 1 << 21;

const DEBUG: u64 = 1;
pub const INVALID_OPCODE: u64 = 6;
const DOUBLE_FAULT: u64 = 8;
const NON_MASKABLE: u64 = 2;
pub const GENERAL_PROTECTION: u64 = 13;
pub const PAGE_FAULT: u64 = 14;
const FIRST_INTERRUPT: u64 = 32;

// A stub is 16 bytes: it completes the frame with an error code, if the CPU pushed none, and the vector. Interrupts
// return through the op; exceptions, which may come from the middle of an edit, natively.
global_asm!(
    ".pushsection .text.trap, \"ax\", @progbits",
    ".balign 16",
    "trap_stubs:",
    ".set vector, 0",
    ".rept 256",
    ".balign 16",
    ".if (vector < 32) && (({error_codes} >> vector) & 1)",
    ".else",
    "push 0",
    ".endif",
    "push vector",
    ".if vector < {first_interrupt}",
    "jmp trap_exception",
    ".else",
    "jmp trap_interrupt",
    ".endif",
    ".set vector, vector + 1",
    ".endr",
    ".macro trap_body handler",
    "push rax",
    "push rbx",
    "push rcx",
    "push rdx",
    "push rsi",
    "push rdi",
    "push rbp",
    "push r8",
    "push r9",
    "push r10",
    "push r11",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "cld",
    "mov rdi, rsp",
    "call \\handler",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop r11",
    "pop r10",
    "pop r9",
    "pop r8",
    "pop rbp",
    "pop rdi",
    "pop rsi",
    "pop rdx",
    "pop rcx",
    "pop rbx",
    "pop rax",
    "add rsp, 16",
    ".endm",
    "trap_exception: trap_body {on_exception}",
    "iretq",
    "trap_interrupt: trap_body {on_interrupt}",
    vmi::insn!(irq::leave),
    ".purgem trap_body",
    ".popsection",
    error_codes = const ERROR_CODES,
    first_interrupt = const FIRST_INTERRUPT,
    on_exception = sym on_exception,
    on_interrupt = sym on_interrupt,
);

unsafe extern "C" {
    static trap_stubs: [[u8; 16]; 256];
}

struct Idt(UnsafeCell<InterruptDescriptorTable>);

// SAFETY: written once, before it is loaded.
unsafe impl Sync for Idt {}

static IDT: Idt = Idt(UnsafeCell::new(InterruptDescriptorTable::new()));

/// Fills and loads the interrupt descriptor table.
pub fn load() {
    for vector in 0..256_u64 {
        let stack = match vector {
            DOUBLE_FAULT => Stack::DoubleFault,
            NON_MASKABLE => Stack::NonMaskable,
            0..FIRST_INTERRUPT => Stack::Exception,
            _ => Stack::Interrupt,
        };
        // SAFETY: the symbol is that of the stubs above.
        let stub = VirtAddr::from_ptr(unsafe { &raw const trap_stubs[vector as usize] });
        set_gate(vector as usize, stub, stack as u16 + 1);
    }
    // SAFETY: from here on nobody writes the table.
    let table = unsafe { &*IDT.0.get() };
    table.load();
}

/// Writes the gate of a vector: 16 bytes, an interrupt gate of ring 0. Source: Intel SDM, Volume 3, "64-Bit Mode IDT".
fn set_gate(vector: usize, stub: VirtAddr, stack: u16) {
    const PRESENT_INTERRUPT_GATE: u64 = 0x8e00 << 32;
    let stub = stub.as_u64();
    let low = stub & 0xffff
        | u64::from(super::descriptors::KERNEL_CODE) << 16
        | u64::from(stack) << 32
        | PRESENT_INTERRUPT_GATE
        | (stub >> 16 & 0xffff) << 48;
    let gate = IDT.0.get().cast::<[u64; 2]>().wrapping_add(vector);
    // SAFETY: the table has 256 gates of 16 bytes, and is not loaded yet.
    unsafe { gate.write([low, stub >> 32]) };
}

/// A fault that a check brings about: the vector it expects, and where to go on. 0 means none is expected.
static EXPECTED: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

/// Runs `attempt` and has the next exception `vector` go on at `landing`.
pub fn expecting<R>(vector: u64, landing: u64, attempt: impl FnOnce() -> R) -> R {
    EXPECTED[0].store(vector, Relaxed);
    EXPECTED[1].store(landing, Relaxed);
    let result = attempt();
    EXPECTED[1].store(0, Relaxed);
    result
}

/// Whether an exception was reported.
static REPORTED: AtomicBool = AtomicBool::new(false);

/// How often a fault went on at the landing of a fixup.
pub static LANDINGS: AtomicU64 = AtomicU64::new(0);

extern "sysv64" fn on_interrupt(frame: &mut Frame) {
    timer::on_interrupt(frame.vector as u8);
}

/// Handles exceptions, without a site: one may come from the middle of an edit.
extern "sysv64" fn on_exception(frame: &mut Frame) {
    if matches!(frame.vector, INVALID_OPCODE | GENERAL_PROTECTION | PAGE_FAULT)
        && let Some(landing) = vmi::fixup::landing(frame.rip)
    {
        LANDINGS.fetch_add(1, Relaxed);
        frame.rip = landing;
        return;
    }
    if frame.vector == DEBUG && steps::take(frame.rip, frame.rflags) {
        return;
    }
    let landing = EXPECTED[1].load(Relaxed);
    if landing != 0 && frame.vector == EXPECTED[0].load(Relaxed) {
        EXPECTED[1].store(0, Relaxed);
        frame.rip = landing;
        return;
    }
    // A fault in the report itself would come back here.
    if !REPORTED.swap(true, Relaxed) {
        line!("exception: {frame}");
    }
    exit(Code::Failed)
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.get(self.vector as usize).copied().unwrap_or("reserved");
        writeln!(f, "{name} (vector {}), error code {:#x}", self.vector, self.error_code)?;
        writeln!(f, "  rip {:#018x}  cs {:#x}  rflags {:#x}", self.rip, self.cs, self.rflags)?;
        writeln!(f, "  rsp {:#018x}  ss {:#x}  cr2 {:#x}", self.rsp, self.ss, <Native as Cpu>::read_cr2())?;
        let registers = [
            ("rax", self.rax),
            ("rbx", self.rbx),
            ("rcx", self.rcx),
            ("rdx", self.rdx),
            ("rsi", self.rsi),
            ("rdi", self.rdi),
            ("rbp", self.rbp),
            ("r8 ", self.r8),
            ("r9 ", self.r9),
            ("r10", self.r10),
            ("r11", self.r11),
            ("r12", self.r12),
            ("r13", self.r13),
            ("r14", self.r14),
            ("r15", self.r15),
        ];
        for row in registers.chunks(3) {
            for (name, value) in row {
                write!(f, "  {name} {value:#018x}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
