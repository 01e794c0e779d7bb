//! The debug console, at port 0xE9. Source: Bochs documentation, "The configuration file bochsrc", `port_e9_hack`.

use std::sync::Arc;

use crate::console::Console;

/// What is read: by this a guest finds it.
const PRESENT: u8 = 0xe9;

/// The port that prints its bytes, into the same console as COM1.
pub(crate) struct DebugConsole(Arc<Console>);

impl DebugConsole {
    pub(crate) fn new(console: Arc<Console>) -> Self {
        Self(console)
    }

    /// Reads that it is there.
    pub(super) fn read() -> u8 {
        PRESENT
    }

    /// Prints a byte.
    pub(super) fn write(&self, value: u8) {
        self.0.put(value);
    }
}
