//! The devices, all on ports.

mod exit;
mod port_bus;
mod power;
mod present;
mod pvpanic;
mod reset;
mod rtc;
mod serial;

pub(crate) use port_bus::Devices;
pub use present::{Name, Present};
pub use serial::Output;
pub(crate) use serial::{Console, Serial};
