#![doc = include_str!("../README.md")]

pub mod clock;
pub mod dispatch;
pub mod guest;
mod insn;
pub mod machine;
pub mod many_sites;
pub mod program;
pub mod question;
pub mod ratio;
pub mod settings;
