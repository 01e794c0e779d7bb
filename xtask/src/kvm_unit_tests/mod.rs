//! kvm-unit-tests, built from a checkout of the user's, under QEMU and under `vmi-run` side by side in the rig.
//!
//! `unittests.rs` reads what the checkout says of its tests, `tree.rs` builds them, `machine.rs` makes of QEMU's
//! arguments what `vmi-run` can have of them, `rig_run.rs` runs them, `seen.rs` tells how a run ended, `excuses.rs` has
//! what cannot pass under `vmi-run`, and why, and `report.rs` puts both sides beside each other.
//!
//! Source: kvm-unit-tests, `docs/unittests.txt`, and for what a test finds, `x86/run` and `lib/x86/fwcfg.c`.

mod command;
mod excuses;
mod machine;
mod report;
mod rig_run;
mod seen;
mod tree;
mod unittests;

pub(crate) use command::{Options, run};
