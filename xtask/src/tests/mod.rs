//! The tests that `cargo xtask test` runs, a file for each topic.
//!
//! A test is a name and a function from [`Context`](run::Context) to an outcome. To add one, write the function and
//! name it in the `TESTS` of its file; to add a topic, name its `TESTS` in `registry.rs`.

mod bench;
mod browser;
mod budgets;
mod damage;
mod demos;
mod disassembly;
mod doors;
mod init_cost;
mod interruptions;
mod kvm_cost;
mod kvm_unit_tests;
mod leftovers;
mod life;
mod matrix;
mod mutations;
mod one_image;
mod outside;
mod pages;
mod patches;
mod program;
mod real_images;
mod registry;
mod report;
mod rows;
mod run;
mod sample_kernel;
mod siteless;
mod snapshots;
mod source;
mod timings;
mod tiny_kernel;
mod tiny_multiboot;
mod trace;
mod verdicts;
mod vmi_run;

pub(crate) use run::run;
