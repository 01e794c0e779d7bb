//! The panic port. Source: QEMU documentation, "PVPANIC DEVICE".

use super::port_bus::Effect;
use crate::ending::Ending;

/// The guest panicked and will do nothing more.
const PANICKED: u8 = 1 << 0;
/// The guest panicked, and its crash kernel takes over: the run goes on.
const CRASH_LOADED: u8 = 1 << 1;

/// Reads which events are understood.
pub(super) fn read() -> u8 {
    PANICKED | CRASH_LOADED
}

/// Ends the run, if the guest panicked.
pub(super) fn write(events: u8) -> Effect {
    (events & PANICKED != 0).then_some(Ending::Panicked)
}
