//! Images, and how they are started.

mod bzimage;
mod command_line;
mod elf;
mod modules;
mod pvh;
mod start;

pub use start::{Boot, Start, load};
