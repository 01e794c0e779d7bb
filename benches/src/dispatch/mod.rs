//! The ways of doing an op that can be done without privileges.

pub mod cycles;
pub mod now_ns;
mod ordinary;
pub mod relax;
pub mod set_entry;
