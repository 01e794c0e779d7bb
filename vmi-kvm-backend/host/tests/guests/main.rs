//! Tiny guests under the real KVM.
//!
//! They are ignored where nobody asks for them, because they need KVM, and what needs KVM passes nowhere else. They run
//! in the rig, or on a machine with a KVM that answers: `cargo test --test guests -- --ignored --test-threads 1`.

// UNSAFETY: finds the bytes of the guests that were assembled into this program.
#![allow(unsafe_code)]

mod accounting;
mod bad_hosts;
mod client;
mod control;
mod devices;
mod formats;
mod hostile;
mod job_control;
mod output;
mod program;
mod signals;
mod snapshots;
mod tiny;
