//! System control port A, at 0x92. Source: IBM Personal System/2 Hardware Interface Technical Reference, "System Control
//! Port A".

use super::port_bus::Effect;
use crate::ending::Ending;

/// Resets.
const RESET: u8 = 1 << 0;
/// Address line 20, which is always open.
const A20: u8 = 1 << 1;

/// Reads address line 20 open, and no reset under way.
pub(super) fn read() -> u8 {
    A20
}

/// Resets, if the value says so.
pub(super) fn write(value: u8) -> Effect {
    (value & RESET != 0).then_some(Ending::Reset)
}
