//! Canaries: every leaf op, with a value of its own in each of the 15 general registers, must bring back all of them
//! but its declared outputs.

// UNSAFETY: runs ops with registers of its own choice.
#![expect(unsafe_code)]

use core::arch::naked_asm;

use vmi::Op;
use vmi_abi::{Cpu, Irq, columns};
use vmi_native::Native;

use crate::kernel::{
    checks::PASSED,
    tally::{Failure, Tally, equal},
    timer,
};

/// The general registers but `rsp`, and the stack slot of ops that have an operand there.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Registers([u64; 16]);

const NAMES: [&str; 16] = [
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
    "stack",
];

impl Registers {
    fn canaries() -> Self {
        Self(core::array::from_fn(|index| 0x0101_0101_0101_0101 * (0xa0 + index as u64)))
    }

    fn set(&mut self, name: &str, value: u64) {
        for (register, slot) in NAMES.iter().zip(&mut self.0) {
            if *register == name {
                *slot = value;
            }
        }
    }
}

/// One leaf op or note, and how to run it with given registers.
struct Subject {
    op: Op,
    run: unsafe extern "sysv64" fn(&mut Registers),
}

macro_rules! subjects {
    ([] $( $(#[$group_doc:meta])* $group:ident $Group:ident { $( $(#[$doc:meta])* $name:ident $row:tt )* } )*) => {
        $( mod $group {
            #[allow(unused_imports, reason = "a group may hold no leaf op")]
            use super::{Registers, columns, naked_asm};
            $( columns!([subject] [class] $row $group $name); )*
        } )*

        const SUBJECTS: &[Option<Subject>] = &[$( $( columns!([entry] [class] $row $group $name), )* )*];
    };
}

macro_rules! subject {
    ($group:ident $name:ident call) => {};
    ($group:ident $name:ident jump) => {};
    ($group:ident $name:ident $class:ident) => {
        /// Loads the registers, runs the site with the direction flag set, stores the registers.
        #[unsafe(naked)]
        pub(super) unsafe extern "sysv64" fn $name(registers: &mut Registers) {
            naked_asm!(
                "push rbx",
                "push rbp",
                "push r12",
                "push r13",
                "push r14",
                "push r15",
                "push rdi",
                ".if {argument_on_stack}",
                "push qword ptr [rdi + 120]",
                ".endif",
                "mov rax, [rdi]",
                "mov rbx, [rdi + 8]",
                "mov rcx, [rdi + 16]",
                "mov rdx, [rdi + 24]",
                "mov rsi, [rdi + 32]",
                "mov rbp, [rdi + 48]",
                "mov r8, [rdi + 56]",
                "mov r9, [rdi + 64]",
                "mov r10, [rdi + 72]",
                "mov r11, [rdi + 80]",
                "mov r12, [rdi + 88]",
                "mov r13, [rdi + 96]",
                "mov r14, [rdi + 104]",
                "mov r15, [rdi + 112]",
                "mov rdi, [rdi + 40]",
                "std",
                vmi::insn!($group::$name),
                "cld",
                ".if {result_on_stack}",
                "xchg rax, [rsp + 8]",
                "pop qword ptr [rax + 120]",
                "pop qword ptr [rax]",
                ".else",
                "xchg rax, [rsp]",
                "pop qword ptr [rax]",
                ".endif",
                "mov [rax + 8], rbx",
                "mov [rax + 16], rcx",
                "mov [rax + 24], rdx",
                "mov [rax + 32], rsi",
                "mov [rax + 40], rdi",
                "mov [rax + 48], rbp",
                "mov [rax + 56], r8",
                "mov [rax + 64], r9",
                "mov [rax + 72], r10",
                "mov [rax + 80], r11",
                "mov [rax + 88], r12",
                "mov [rax + 96], r13",
                "mov [rax + 104], r14",
                "mov [rax + 112], r15",
                "pop r15",
                "pop r14",
                "pop r13",
                "pop r12",
                "pop rbp",
                "pop rbx",
                "ret",
                argument_on_stack = const vmi_abi::$group::$name::ARGUMENT_ON_STACK as i32,
                result_on_stack = const vmi_abi::$group::$name::RESULT_ON_STACK as i32,
            )
        }
    };
}

macro_rules! entry {
    ($group:ident $name:ident call) => {
        None
    };
    ($group:ident $name:ident jump) => {
        None
    };
    ($group:ident $name:ident $class:ident) => {
        Some(Subject { op: vmi_abi::$group::$name::OP, run: $group::$name })
    };
}

vmi_abi::ops!([subjects]);

/// Runs every leaf op with canaries.
pub fn run(phase: &str, tally: &mut Tally) {
    for subject in SUBJECTS.iter().flatten() {
        if let Err(failure) = keeps_its_contract(subject) {
            tally.fail(phase, subject.op.name(), format_args!("register contract: {failure}"));
            return;
        }
    }
    tally.count(phase, "registers survive every leaf op", Ok(PASSED));
}

fn keeps_its_contract(subject: &Subject) -> Result<(), Failure> {
    let mut registers = Registers::canaries();
    give_operands(subject.op, &mut registers);
    let before = registers;
    let flags = <Native as Irq>::save();
    if subject.op == vmi_abi::irq::halt::OP {
        timer::start(1_000_000);
        <Native as Irq>::enable();
    }
    // SAFETY: the operands are harmless ones.
    unsafe { (subject.run)(&mut registers) };
    <Native as Irq>::disable();
    timer::stop();
    // SAFETY: the flags from before.
    unsafe { <Native as Irq>::restore(flags) };
    for ((name, before), after) in NAMES.iter().zip(before.0).zip(registers.0) {
        if !subject.op.info().outputs.iter().any(|output| output.place.register == *name) {
            equal(name, after, before)?;
        }
    }
    Ok(())
}

/// Gives an op operands with which it changes nothing that matters.
fn give_operands(op: Op, registers: &mut Registers) {
    static mut ENTRY: u64 = 0;
    const KERNEL_GS_BASE: u64 = 0xc000_0102;
    const SCRATCH: u64 = 0x3ff;
    let operands: &[(&str, u64)] = match op.name() {
        "irq::restore" => &[("stack", <Native as Irq>::save())],
        "cpu::write_cr0" => &[("rdi", <Native as Cpu>::read_cr0())],
        "cpu::write_cr3" => &[("rdi", <Native as Cpu>::read_cr3())],
        "cpu::write_cr4" => &[("rdi", <Native as Cpu>::read_cr4())],
        "cpu::read_msr" => &[("rcx", KERNEL_GS_BASE)],
        "cpu::try_read_msr" => &[("rcx", KERNEL_GS_BASE), ("rsi", 0)],
        "cpu::write_msr" => &[("rcx", KERNEL_GS_BASE), ("rax", 1), ("rdx", 0)],
        "cpu::try_write_msr" => &[("rcx", KERNEL_GS_BASE), ("rax", 1), ("rdx", 0), ("rsi", 0)],
        "cpu::cpuid" => &[("rax", 0), ("rcx", 0)],
        "mmu::set_entry" => &[("rdi", (&raw const ENTRY).addr() as u64)],
        "mmu::flush_page" => &[("rdi", 0x1000)],
        // The wider accesses end at the scratch register; modem control, the first of four bytes, gets 0.
        "io::in8" | "io::out8" => &[("rdx", SCRATCH)],
        "io::in16" | "io::out16" => &[("rdx", SCRATCH - 1)],
        "io::in32" => &[("rdx", SCRATCH - 3)],
        "io::out32" => &[("rdx", SCRATCH - 3), ("rax", 0)],
        _ => &[],
    };
    for (name, value) in operands {
        registers.set(name, *value);
    }
}
