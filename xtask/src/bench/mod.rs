//! `cargo xtask bench`: what ops, exits, clocks and page tables cost, counted on every host.

mod document;
