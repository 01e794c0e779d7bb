//! Snapshots: a guest in a file, from which it goes on.
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | [`MAGIC`](format::MAGIC) |
//! | 4 | the version of all that follows, little endian |
//! | 4 | the length of the state, little endian |
//! | that many | the state: JSON; what is KVM's in it as KVM's structures are |
//! | … | runs of memory, by ascending address: address and length in bytes, 8 each, little endian, then the bytes. Pages that are all zero are left out; a run without length is the last |
//! | 32 | SHA-256 of all before |
//!
//! A snapshot is a file of this machine's KVM: what a CPU's state is made of depends on it, so features that it lacks are
//! refused by name.
//!
//! **Time.** The guest's clock and its CPUs' counters go on by the time that the snapshot lay, as the calendar has it: a
//! guest that derives the calendar from either is right then. Where the calendar was set back meanwhile they go on from
//! where they were. In no case do they go back. The clock page says that the guest was paused.

mod clock;
mod cpu;
mod features;
mod file;
mod format;
mod open;
mod save;
mod state;
#[cfg(test)]
mod tests;
mod vm;

pub(crate) use open::Snapshot;
pub(crate) use save::save;
