//! The sleep control and sleep status registers. Source: ACPI specification, "Sleep Control and Status Registers".

use super::port_bus::Effect;
use crate::acpi::OFF;
use crate::ending::Ending;

const CONTROL: u16 = 0;
const ENABLE: u8 = 1 << 5;
const TYPE_SHIFT: u8 = 2;
const TYPE: u8 = 0b111;

/// Reads that nothing woke the machine.
pub(super) fn read() -> u8 {
    0
}

/// Switches off, if the value says so.
pub(super) fn write(register: u16, value: u8) -> Effect {
    let off = register == CONTROL && value & ENABLE != 0 && value >> TYPE_SHIFT & TYPE == OFF;
    off.then_some(Ending::PowerOff)
}
