//! What `vmi::init` and `vmi::teardown` cost, by an image of exactly 10 sites, or of 10 000: `VMI_SITES` says which when it
//! is built, and `VMI_SITES_OTHERS` how many of them are the library's own.
//!
//! It boots as the sample kernel does, on page tables that leave text writable, so that writing to text is a plain copy,
//! and prints, for each thing that it measures, a line
//!
//! ```text
//! bench NAME VARIANT SURROUNDING PHASE TURNS BATCHES SHORT LEAST SUM MOST
//! ```
//!
//! of the form that the sample kernel's benchmarks have: TURNS is 1, the one call; SHORT is what nothing takes, and
//! BATCHES calls took LEAST ticks at least, SUM together and MOST at most; so a call costs LEAST - SHORT. SURROUNDING is
//! `sites_10` or `sites_10000`: how many records the image has. A site costs the difference of the two by 9990.
//!
//! | NAME | the call |
//! | --- | --- |
//! | `init::native` | `init` on a host for which no backend has an offer |
//! | `init::validate` | `init` up to the backend's refusal to be enabled: every site is validated, none edited |
//! | `init::edit` | `init` with KVM's backend, or elsewhere one that edits the same ops: every site is validated and edited |
//! | `init::restore` | `teardown` after that |

#![cfg_attr(freestanding, no_std, no_main)]

#[cfg(freestanding)]
mod backends;
/// Of the sample kernel, what this one needs too.
#[cfg(freestanding)]
#[path = "../kernel"]
mod kernel {
    pub mod console;
    pub mod exit;
    pub mod insn {
        pub mod port;
    }
}
#[cfg(freestanding)]
mod measure;
#[cfg(freestanding)]
mod start;
#[cfg(freestanding)]
mod text;

#[cfg(not(freestanding))]
fn main() -> std::process::ExitCode {
    eprintln!("sites is a kernel: `cargo xtask test init_cost` builds it for a bare machine and boots it");
    std::process::ExitCode::FAILURE
}
