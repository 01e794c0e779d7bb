//! The type that carries the implementations.

/// The bare machine: implements every group trait of `vmi-abi` by the instructions and devices of a PC.
#[derive(Debug)]
pub enum Native {}
