//! What devices keep, for a snapshot. All others keep nothing.

use serde::{Deserialize, Serialize};
use vm_superio::serial::SerialState;

use super::keyboard::Keyboard;

/// The state of all devices.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DevicesState {
    /// None where it was left out.
    pub(crate) serial: Option<Uart>,
    pub(super) rtc: RtcState,
    pub(super) keyboard: Keyboard,
}

/// The registers of COM1, and the input that waits.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Uart {
    baud_divisor: [u8; 2],
    interrupt_enable: u8,
    interrupt_identification: u8,
    line_control: u8,
    line_status: u8,
    modem_control: u8,
    modem_status: u8,
    scratch: u8,
    input: Vec<u8>,
}

/// The real-time clock: its memory, the register that is chosen, and the time that is being read, in seconds since 1970.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RtcState {
    pub(super) index: u8,
    pub(super) memory: Vec<u8>,
    pub(super) seconds: u64,
}

impl From<SerialState> for Uart {
    fn from(state: SerialState) -> Self {
        Self {
            baud_divisor: [state.baud_divisor_low, state.baud_divisor_high],
            interrupt_enable: state.interrupt_enable,
            interrupt_identification: state.interrupt_identification,
            line_control: state.line_control,
            line_status: state.line_status,
            modem_control: state.modem_control,
            modem_status: state.modem_status,
            scratch: state.scratch,
            input: state.in_buffer,
        }
    }
}

impl From<&Uart> for SerialState {
    fn from(state: &Uart) -> Self {
        Self {
            baud_divisor_low: state.baud_divisor[0],
            baud_divisor_high: state.baud_divisor[1],
            interrupt_enable: state.interrupt_enable,
            interrupt_identification: state.interrupt_identification,
            line_control: state.line_control,
            line_status: state.line_status,
            modem_control: state.modem_control,
            modem_status: state.modem_status,
            scratch: state.scratch,
            in_buffer: state.input.clone(),
        }
    }
}
