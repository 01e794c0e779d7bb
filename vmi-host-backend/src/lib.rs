#![no_std]
#![doc = include_str!("../README.md")]

#[cfg(test)]
extern crate std;

mod backend;
mod enabled;
mod insn;
pub mod port_call;
mod power;
mod time;

pub use backend::{BACKEND, VmiHost};
