//! The exit port: the byte written is the run's status.

use super::port_bus::Effect;
use crate::ending::Ending;

/// Reads nothing.
pub(super) fn read() -> u8 {
    0
}

/// Ends the run.
pub(super) fn write(value: u8) -> Effect {
    Some(Ending::Exit(value))
}
