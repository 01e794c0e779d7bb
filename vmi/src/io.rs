//! I/O ports.

pub use crate::sites::io::*;
