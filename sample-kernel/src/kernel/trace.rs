//! Two loops for a trace of exits: reads of the clock, which shall cause none, and as many instructions that each do.

// UNSAFETY: gives the loops names that a trace can be held against.
#![expect(unsafe_code)]

use core::arch::naked_asm;

use super::console::line;

/// Turns of each loop.
pub const READS: u64 = 10_000;

/// Runs both loops and says where the code lies that reads.
pub fn run() {
    line!("trace: reads {READS} clock {:#x}", vmi::table().time.now_ns as usize);
    let mut last = 0;
    trace_reader(&mut last);
    trace_control(READS);
    line!("trace: last {last}");
}

/// Reads the clock.
#[unsafe(no_mangle)]
#[inline(never)]
extern "sysv64" fn trace_reader(last: &mut u64) {
    for _ in 0..READS {
        *last = vmi::time::now_ns();
    }
}

/// Executes `cpuid`, which no hypervisor lets pass, at one address.
#[unsafe(no_mangle)]
#[unsafe(naked)]
extern "sysv64" fn trace_control(turns: u64) {
    naked_asm!("push rbx", "2: xor eax, eax", "cpuid", "dec rdi", "jnz 2b", "pop rbx", "ret")
}
