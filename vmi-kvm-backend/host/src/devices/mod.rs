//! The devices, all on ports.

mod bios;
mod debug_console;
mod exit;
#[cfg(any(test, feature = "hostile"))]
pub(crate) mod hostile;
mod keyboard;
mod port92;
mod port_bus;
mod power;
mod present;
mod pvpanic;
mod reset;
mod rtc;
mod serial;
mod state;

pub(crate) use bios::{
    START as BIOS_START, register as register_bios, reset_is_announced, write as write_bios,
};
pub(crate) use debug_console::DebugConsole;
pub(crate) use port_bus::{Devices, NOTHING};
pub use present::{Name, Present};
pub(crate) use serial::Serial;
pub(crate) use state::DevicesState;
