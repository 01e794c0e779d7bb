//! The keyboard controller, without a keyboard: what is left is its output port, whose lowest bit resets the machine.
//!
//! Source: IBM Personal Computer AT Technical Reference, "Keyboard Controller", "Status Register" and "Commands". It
//! is never busy, so that who waits until it takes a command does not wait for ever.

use serde::{Deserialize, Serialize};

use super::port_bus::Effect;
use crate::ending::Ending;

/// Status: there is a byte to be read; the controller has passed its test.
const OUTPUT_FULL: u8 = 1 << 0;
const TESTED: u8 = 1 << 2;

/// Commands, and what the test answers.
const READ_COMMAND_BYTE: u8 = 0x20;
const WRITE_COMMAND_BYTE: u8 = 0x60;
const SELF_TEST: u8 = 0xaa;
const INTERFACE_TEST: u8 = 0xab;
const READ_OUTPUT_PORT: u8 = 0xd0;
const WRITE_OUTPUT_PORT: u8 = 0xd1;
const PULSE: u8 = 0xf0;
const SELF_TEST_PASSED: u8 = 0x55;
const INTERFACE_TEST_PASSED: u8 = 0;

/// The output port: the reset line, which is low when it is in force; address line 20, which is always open.
const NO_RESET: u8 = 1 << 0;
const A20: u8 = 1 << 1;

/// The controller.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keyboard {
    command_byte: u8,
    /// What is there to be read.
    output: Option<u8>,
    /// The command whose operand comes next.
    command: Option<u8>,
}

impl Keyboard {
    /// Reads the status.
    pub(super) fn status(&self) -> u8 {
        self.command_byte & TESTED | if self.output.is_some() { OUTPUT_FULL } else { 0 }
    }

    /// Reads what the controller answered; nothing comes from a keyboard.
    pub(super) fn data(&mut self) -> u8 {
        self.output.take().unwrap_or(0)
    }

    /// Takes a command.
    pub(super) fn write_command(&mut self, command: u8) -> Effect {
        self.command = None;
        match command {
            READ_COMMAND_BYTE => self.output = Some(self.command_byte),
            SELF_TEST => {
                self.command_byte |= TESTED;
                self.output = Some(SELF_TEST_PASSED);
            }
            INTERFACE_TEST => self.output = Some(INTERFACE_TEST_PASSED),
            READ_OUTPUT_PORT => self.output = Some(NO_RESET | A20),
            WRITE_COMMAND_BYTE | WRITE_OUTPUT_PORT => self.command = Some(command),
            // Its lower half says which lines are pulled low for a moment, by bits that are 0.
            PULSE.. => return reset(command),
            _ => {}
        }
        None
    }

    /// Takes the operand of a command; what is for the keyboard is for nobody.
    pub(super) fn write_data(&mut self, value: u8) -> Effect {
        match self.command.take() {
            Some(WRITE_COMMAND_BYTE) => self.command_byte = value,
            Some(WRITE_OUTPUT_PORT) => return reset(value),
            _ => {}
        }
        None
    }
}

fn reset(lines: u8) -> Effect {
    (lines & NO_RESET == 0).then_some(Ending::Reset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_never_busy_and_answers_what_drivers_wait_for() {
        let mut keyboard = Keyboard::default();
        assert_eq!((keyboard.status(), keyboard.data()), (0, 0));
        for (command, answer) in [(0xaa, 0x55), (0xab, 0), (0x20, TESTED), (0xd0, 3)] {
            assert_eq!(keyboard.write_command(command), None);
            assert_eq!(keyboard.status() & 0b11, OUTPUT_FULL, "command {command:#x}");
            assert_eq!(keyboard.data(), answer, "command {command:#x}");
            assert_eq!(keyboard.status() & 0b11, 0);
        }
        keyboard.write_command(0x60);
        assert_eq!(keyboard.write_data(0x65), None);
        keyboard.write_command(0x20);
        assert_eq!(keyboard.data(), 0x65);
    }

    #[test]
    fn only_the_reset_line_pulled_low_resets() {
        let mut keyboard = Keyboard::default();
        for command in 0..=0xff_u8 {
            let resets = command >= 0xf0 && command & 1 == 0;
            assert_eq!(keyboard.write_command(command).is_some(), resets, "command {command:#x}");
        }
        keyboard.write_command(0xd1);
        assert_eq!(keyboard.write_data(0xdf), None, "opens address line 20");
        assert_eq!(keyboard.write_data(0xde), None, "an operand without a command");
        keyboard.write_command(0xd1);
        assert_eq!(keyboard.write_data(0xde), Some(Ending::Reset));
    }
}
