//! One CPU of the guest: its state at the entry, its thread, and its exits.

mod exits;
mod kick;
mod state;
mod thread;

pub(crate) use kick::{install_handler, kick_thread};
pub(crate) use state::{descriptors, enable_memory_types, enter_at, make_known};
pub(crate) use thread::Vcpu;
