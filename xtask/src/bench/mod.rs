//! `cargo xtask bench`: what ops, exits, clocks and page tables cost, counted on every host.

mod budgets;
mod causes;
mod code;
mod command;
mod compare;
mod differences;
mod document;
mod exits;
mod figures;
mod init;
mod lines;
mod names;
mod notes;
mod number;
mod report;
mod run;
mod skipped;
mod summary;
mod timed;
mod unique;
mod versions;

pub(crate) use budgets::{Budgets, RENEW};
pub(crate) use code::sizes;
pub(crate) use command::{Options, run};
pub(crate) use differences::{bare, compared};
pub(crate) use document::{Document, HostFigures};
pub(crate) use init::cost_of_a_site;
pub(crate) use report::html;
pub(crate) use run::{Plan, figures_of, measure};
