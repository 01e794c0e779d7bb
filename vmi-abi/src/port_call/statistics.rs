//! What the host counted.

use super::wire::wire;

wire! {
    /// What the host counted so far. Exits are those to its user space, and the one in which it answers counts.
    Statistics 80 {
        /// Exits of the CPU that asks.
        0 exits: u64,
        /// Exits of all CPUs.
        8 exits_of_all: u64,
        /// Batches that were looked at.
        16 batches: u64,
        /// Calls in them, this one included.
        24 calls: u64,
        /// Batches and calls that were refused, and writes to the call port that name no batch.
        32 refused: u64,
        /// Rings of the doorbell.
        40 doorbells: u64,
        /// Batches, of those above, that were posted.
        48 posted: u64,
        /// Lines printed.
        56 lines: u64,
        /// Bytes given back.
        64 released_bytes: u64,
        /// Marks set.
        72 trace_marks: u64,
    }
}
