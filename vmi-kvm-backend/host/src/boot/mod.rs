//! Images, and how they are started.
//!
//! An image is read into a [`Plan`](plan::Plan) by each boot protocol that it may speak, and the first that it speaks
//! loads it: its segments first, then what the protocol hands over, around them.

mod command_line;
mod elf;
mod flat;
#[cfg(any(test, feature = "hostile"))]
pub(crate) mod hostile;
mod input;
mod linux;
mod linux_header;
#[cfg(any(test, feature = "hostile"))]
mod made;
mod multiboot;
mod multiboot2;
mod plan;
mod pvh;
mod segment;
mod space;
mod start;

pub(crate) use input::Input;
pub use start::{Boot, Copies, Module};
pub(crate) use start::{Loaded, Mode, Start, load};

#[cfg(test)]
mod tests;
