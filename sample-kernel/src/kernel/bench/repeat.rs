//! The loop of benchmarks that are no single op.

use core::hint::black_box;

/// Does it so many times. What the operands are the compiler is not to know, as a kernel's callers do not either.
#[inline(always)]
pub fn repeat<O: Copy>(turns: u64, operands: O, turn: impl Fn(O)) {
    let operands = black_box(operands);
    for _ in 0..turns {
        turn(operands);
    }
}
