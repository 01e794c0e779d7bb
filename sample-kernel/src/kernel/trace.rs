//! Two loops for a trace of exits: reads of the clock, which shall cause none, and as many instructions that each do.

// UNSAFETY: gives the loop a name that a trace can be held against.
#![expect(unsafe_code)]

use super::{console::line, insn::control::trace_control};

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
