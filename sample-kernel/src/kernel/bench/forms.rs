//! The backend under which ops are measured in each form that a replacement can have. Every op does what it does
//! natively.

// UNSAFETY: implements an unsafe trait.
#![expect(unsafe_code)]

use core::fmt;

use vmi::{Backend, Op};
use vmi_abi::{Machine, Offer, Override, Rank, Replacements};
use vmi_native::Native;

use super::Phase;
use crate::kernel::insn::forms;

/// The backend, with all ops in the form of its phase.
#[derive(Debug)]
pub struct Replaced(pub Phase);

/// The backend in all forms.
pub static ALL: [Replaced; 3] = [Replaced(Phase::Thunk), Replaced(Phase::Naked), Replaced(Phase::Inline)];

/// Every op by the function in the library's native table: of leaf ops, a naked one.
fn naked() -> Replacements {
    let mut all = Replacements::KEEP;
    for op in Op::all() {
        // SAFETY: the function is the op's own.
        unsafe { all.set_raw(op, Override::Call(vmi::native_table().address(op))) };
    }
    all
}

/// Every op by an ordinary function; the jump, which no function can be, stays.
fn thunks() -> Replacements {
    vmi_abi::replacements_of!(Native)
}

// SAFETY: every replacement is the native function or the native instruction.
unsafe impl Backend for Replaced {
    fn name(&self) -> &'static str {
        "bench"
    }

    fn probe(&self, _: &Machine<'_>) -> Result<Offer, &'static str> {
        Ok(Offer::plain(Rank::FORCED))
    }

    fn replacements(&self, _: &Offer, _: &Machine<'_>) -> Replacements {
        match self.0 {
            Phase::Thunk => forms::inline_where_needed(thunks()),
            Phase::Naked => forms::inline_where_needed(naked()),
            Phase::Inline => forms::inline_over(thunks()),
            Phase::Before | Phase::After | Phase::Teardown => Replacements::KEEP,
        }
    }

    fn describe(&self, _: &Offer, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}
