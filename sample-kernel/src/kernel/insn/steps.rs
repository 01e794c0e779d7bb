//! A function executed an instruction at a time, and what the exception behind each saw.

// UNSAFETY: sets the trap flag, and reads the text that is about to be executed.
#![expect(unsafe_code)]

use core::{
    arch::asm,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

/// The trap flag and the interrupt flag of RFLAGS. Source: Intel SDM, Volume 1, "EFLAGS Register".
const TF: u64 = 1 << 8;
const IF: u64 = 1 << 9;

/// Whether a debug exception is a step.
static STEPPING: AtomicBool = AtomicBool::new(false);
static TAKEN: AtomicU64 = AtomicU64::new(0);
static INTERRUPTIBLE: AtomicU64 = AtomicU64::new(0);

/// What was seen at the steps of a function.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    /// Its instructions.
    pub taken: u64,
    /// Writes of CR3 or CR4 in front of which an interrupt would have been taken.
    pub interruptible: u64,
}

/// Executes `function` step by step.
pub fn through(function: extern "sysv64" fn()) -> Steps {
    TAKEN.store(0, Relaxed);
    INTERRUPTIBLE.store(0, Relaxed);
    STEPPING.store(true, Relaxed);
    // SAFETY: the function keeps its convention; every step ends in `take`.
    unsafe {
        asm!(
            "pushfq",
            "or qword ptr [rsp], {tf}",
            "popfq",
            "call {function}",
            "pushfq",
            "and qword ptr [rsp], {not_tf}",
            "popfq",
            function = in(reg) function,
            tf = const TF,
            not_tf = const !(TF as i64),
            clobber_abi("sysv64"),
        );
    }
    STEPPING.store(false, Relaxed);
    Steps { taken: TAKEN.load(Relaxed), interruptible: INTERRUPTIBLE.load(Relaxed) }
}

/// Takes a debug exception for a step, with control at `rip` and these flags; tells whether it was one.
pub fn take(rip: u64, rflags: u64) -> bool {
    if !STEPPING.load(Relaxed) {
        return false;
    }
    TAKEN.fetch_add(1, Relaxed);
    INTERRUPTIBLE.fetch_add(u64::from(rflags & IF != 0 && writes_cr3_or_cr4(rip)), Relaxed);
    true
}

/// Tells whether the next instruction sets CR3 or CR4: `0f 22`, and the register in bits 3 to 5 of the byte behind.
/// Source: Intel SDM, Volume 2, "MOV—Move to/from Control Registers".
fn writes_cr3_or_cr4(rip: u64) -> bool {
    let mut text = core::ptr::with_exposed_provenance::<u8>(rip as usize);
    let mut next = || {
        // SAFETY: the text is mapped as far as an instruction goes, and reading it changes nothing.
        let byte = unsafe { text.read() };
        text = text.wrapping_add(1);
        byte
    };
    let opcode = loop {
        match next() {
            // What fills up a site, and REX.
            0x2e | 0x40..=0x4f => {}
            byte => break byte,
        }
    };
    opcode == 0x0f && next() == 0x22 && matches!(next() >> 3 & 7, 3 | 4)
}
