//! Two loops for a trace of exits: reads of the clock, which shall cause none, and as many instructions that each do.

// UNSAFETY: gives the loop a name that a trace can be held against.
#![expect(unsafe_code)]

use super::{console::line, insn::control::trace_control, port_calls};

/// Turns of each loop.
pub const READS: u64 = 10_000;

/// Runs both loops, between marks 1, 2 and 3 for a VMI host, and says where the code lies that reads.
pub fn run() {
    line!("trace: reads {READS} clock {:#x}", vmi::table().address(vmi_abi::time::now_ns::OP));
    let mut last = 0;
    port_calls::mark(1);
    trace_reader(&mut last);
    port_calls::mark(2);
    trace_control(READS);
    port_calls::mark(3);
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
