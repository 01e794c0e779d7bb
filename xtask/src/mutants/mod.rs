//! Code that is changed on purpose, to see whether the tests notice: `cargo mutants`.
//!
//! `outcomes.rs` reads what it found, `excuses.rs` has what no test in user space can notice, and why, and `report.rs` puts the
//! packages below each other.

mod command;
mod excuses;
mod outcomes;
mod report;

pub(crate) use command::{Options, run};
