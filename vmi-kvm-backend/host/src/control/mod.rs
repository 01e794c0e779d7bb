//! The control socket: a program or a person beside the guest asks about it and steers it.
//!
//! A command is a line of JSON, `{"command":"status"}`, and so is its answer, `{"ok":true,...}` or
//! `{"ok":false,"error":"a sentence"}`. Answers come in the order of the commands of a connection. A thread of its own
//! serves all connections, waits for none of them, and takes no lock that a CPU holds while it waits; what may take long
//! (to pause, to resume, to take a snapshot) is done on another.

mod client;
mod command;
mod server;
mod socket;
#[cfg(test)]
mod tests;
mod worker;

pub(crate) use server::{Facts, Server};
pub use socket::{Control, Listener};
