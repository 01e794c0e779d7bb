//! The reset control register.

use super::port_bus::Effect;
use crate::ending::Ending;

/// Starts the reset. Source: Intel ICH9 datasheet, "RST_CNT—Reset Control Register", RST_CPU.
const NOW: u8 = 1 << 2;

/// Reads no reset under way.
pub(super) fn read() -> u8 {
    0
}

/// Resets, if the value says so; ends the run, which starts a guest only once.
pub(super) fn write(value: u8) -> Effect {
    (value & NOW != 0).then_some(Ending::Reset)
}
