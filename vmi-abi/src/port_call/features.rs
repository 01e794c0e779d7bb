//! What a host can be asked for, and what it advises.

use bitflags::bitflags;

bitflags! {
    /// What the host does for its guests. The host offers bits, the guest names in each batch those that it uses, and
    /// a call whose bit it did not name is refused.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Features: u32 {
        /// Console in whole lines: [`Number::CONSOLE_LINE`](super::Number::CONSOLE_LINE).
        const CONSOLE = 1 << 0;
        /// Memory given back: [`Number::RELEASE_PAGES`](super::Number::RELEASE_PAGES).
        const RELEASE = 1 << 1;
        /// The time of day: [`Number::WALL_CLOCK`](super::Number::WALL_CLOCK).
        const WALL_CLOCK = 1 << 2;
        /// The end of the machine, with a code: [`Number::SHUTDOWN`](super::Number::SHUTDOWN).
        const SHUTDOWN = 1 << 3;
        /// What the host counted: [`Number::STATISTICS`](super::Number::STATISTICS).
        const STATISTICS = 1 << 4;
        /// Marks in the host's accounting: [`Number::TRACE_MARK`](super::Number::TRACE_MARK).
        const TRACE_MARK = 1 << 5;
        /// Posted batches and the doorbell: [`Number::POST_BLOCK`](super::Number::POST_BLOCK).
        const DOORBELL = 1 << 6;
    }
}

bitflags! {
    /// What the host advises: what a guest should do, where [`Features`] say what it may. A guest that does not heed a hint is
    /// served all the same, and one that does not know a bit passes over it.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Hints: u32 {
        /// What needs no answer now should be posted: the host has CPUs of its own to look at it.
        const POST = 1 << 0;
        /// Batches should be [partial](super::HeaderFlags::PARTIAL): other work of the host's waits for their end.
        const PARTIAL = 1 << 1;
    }
}
