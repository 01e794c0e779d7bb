//! The patcher: edits the places where ops stand, and puts them back.
//!
//! [`init`](crate::init) and [`teardown`](crate::teardown) are made of it, and are what a kernel calls. By itself it
//! edits a set of [`Records`] of one's own: those of a program that tries or measures a replacement. A module's are for
//! [`SiteSet`](crate::SiteSet), which has them follow the layers.
//!
//! A [`Plan`] says what stands, and what shall stand, in the sites of each op. [`Plan::validate`] holds every record
//! and the text it names against it; what passes is [`Validated`], which alone can be applied and so becomes
//! [`Edited`], which alone can be restored. Nothing is read outside the text, and nothing written before all
//! of it has passed. No function here uses an op: the sites being edited may be any.
//!
//! It edits, and no more: no backend is enabled, [`table`](crate::table) says what it said before, and nobody sees to it
//! that time goes on without a step where ops of [`time`](crate::time) are replaced.
//!
//! # Examples
//!
//! A program that has its own sites of an op replaced, on Linux:
//!
//! ```
//! use core::ops::Range;
//! use rustix::mm::{MprotectFlags, mprotect};
//! use vmi::patch::{Plan, Records};
//! use vmi_abi::{Replacements, cpu, leaf};
//!
//! unsafe extern "C" { static __executable_start: u8; static etext: u8; } // the linker's own
//! static PROGRAM: Program = Program([&raw const __executable_start..&raw const etext]);
//! struct Program([Range<*const u8>; 1]);
//! unsafe impl Sync for Program {}
//! unsafe impl vmi::Text for Program {
//!     fn ranges(&self) -> &[Range<*const u8>] { &self.0 }
//!     unsafe fn write(&self, place: *mut u8, bytes: &[u8]) {
//!         unsafe { place.copy_from(bytes.as_ptr(), bytes.len()) }
//!     }
//!     unsafe fn edit(&self, edit: &mut dyn FnMut()) {
//!         let first_page = self.0[0].start.map_addr(|address| address & !0xfff).cast_mut();
//!         let len = self.0[0].end.addr() - first_page.addr();
//!         let allow = |flags| unsafe { mprotect(first_page.cast(), len, MprotectFlags::READ | flags) };
//!         allow(MprotectFlags::EXEC | MprotectFlags::WRITE).expect("text that can be made writable");
//!         edit();
//!         allow(MprotectFlags::EXEC).expect("text as it was");
//!     }
//! }
//!
//! let mut replacements = Replacements::KEEP;
//! replacements.set::<cpu::cycles>(leaf!(cpu::cycles, || 42));
//!
//! let plan = Plan::new(&replacements)?;
//! let sites = plan.validate(Records::of_image()?, &PROGRAM)?;
//! assert!(sites.counts().call > 0);
//! assert_ne!(vmi::cpu::cycles(), 42);
//! let sites = unsafe { sites.apply() };
//! assert_eq!(vmi::cpu::cycles(), 42);
//! unsafe { sites.restore() };
//! assert_ne!(vmi::cpu::cycles(), 42);
//! # Ok::<(), vmi::Error>(())
//! ```

mod edit;
mod encoding;
mod plan;
mod records;
mod walk;

#[cfg(test)]
mod tests;

pub use edit::{Edited, Validated};
pub(crate) use plan::Form;
pub use plan::Plan;
pub use records::Records;
pub use vmi_abi::SiteRecord;
