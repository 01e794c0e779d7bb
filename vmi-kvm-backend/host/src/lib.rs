#![doc = include_str!("../README.md")]

pub mod accounting;
mod acpi;
mod background;
pub mod bad_host;
mod boot;
pub mod confinement;
mod console;
mod control;
mod cpuid;
mod devices;
mod ending;
mod error;
mod events;
#[cfg(any(test, feature = "hostile"))]
pub mod hostile;
pub mod layout;
mod machine;
pub mod memory;
pub mod options;
mod pause;
mod pins;
pub mod port_call;
mod profile;
mod region;
pub mod restart;
mod services;
mod shared;
pub mod signals;
mod snapshot;
pub mod terminal;
mod topology;
mod vcpu;

pub use boot::{Boot, Copies, Module};
pub use console::{Lost, Output};
pub use control::{Control, Listener};
pub use devices::{Name as Device, Present};
pub use ending::Ending;
pub use error::{Error, Result};
pub use events::Outside;
pub use machine::{Config, Machine, Outcome};
pub use pins::Pins;
pub use profile::Profile;
