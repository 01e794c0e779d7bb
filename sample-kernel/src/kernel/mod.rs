//! The kernel: from the boot stub to the summary.

mod anew;
mod bench;
mod checks;
mod command;
mod console;
mod descriptors;
mod exit;
mod image;
mod insn;
mod lives;
mod module;
mod mutant;
mod once;
mod paging;
mod platform;
mod port_calls;
mod start;
mod tally;
mod timer;
mod trace;
mod trap;

pub use command::run;
