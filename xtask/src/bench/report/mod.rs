//! The report of the benchmarks: one HTML file that needs no script and no network.

mod answers;
mod bytes;
mod chart;
mod costs;
mod method;
mod number;
mod ops;
mod page;
mod peers;
mod published;
mod remarks;
mod scale;
mod section;
mod table;
mod timings;
mod variant;
mod view;

pub(crate) use page::html;
