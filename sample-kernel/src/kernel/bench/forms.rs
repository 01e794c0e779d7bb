//! The backend under which ops are measured in each form that a replacement can have. Every op does what it does
//! natively.

// UNSAFETY: implements an unsafe trait.
#![expect(unsafe_code)]

use core::fmt;

use vmi::{Backend, CommandLine, Platform};
use vmi_abi::{EnableError, Offer, Override, Overrides, Rank, Table, cpuid::Cpuid};
use vmi_native::Native;

use super::Phase;
use crate::kernel::insn::forms;

/// The backend, with all ops in the form of its phase.
#[derive(Debug)]
pub struct Form(pub Phase);

/// The backend in all forms.
pub static ALL: [Form; 3] = [Form(Phase::Thunk), Form(Phase::Naked), Form(Phase::Inline)];

macro_rules! naked {
    ([] $( $(#[$group_doc:meta])* $group:ident $Group:ident { $(
        $(#[$doc:meta])* $number:literal $name:ident [$($unsafe:tt)?] $class:ident
        ($($argument:ident: $type:ty = $in:tt),*) -> $result:ty = $out:tt $native:literal;
    )* } )*) => {
        /// Every op by the function in the library's native table: of leaf ops, a naked one.
        fn naked() -> Overrides {
            let table = vmi::table();
            let mut all = Overrides::KEEP;
            $( $( all.$group.$name = Override::Call(table.$group.$name); )* )*
            all
        }
    };
}

vmi_abi::ops!([naked]);

/// Every op by an ordinary function; the jump, which no function can be, stays.
fn thunks() -> Overrides {
    vmi_abi::overrides_of!(Native)
}

// SAFETY: every replacement is the native function or the native instruction.
unsafe impl Backend for Form {
    fn name(&self) -> &'static str {
        "bench"
    }

    fn probe(&self, _: &Cpuid<'_>) -> Result<Offer, &'static str> {
        Ok(Offer { rank: Rank::FORCED, features: 0, hints: 0, base_leaf: 0 })
    }

    fn overrides(&self, _: &Offer, _: CommandLine<'_>) -> Overrides {
        match self.0 {
            Phase::Thunk => thunks(),
            Phase::Naked => naked(),
            Phase::Inline => forms::inline_over(thunks()),
            Phase::Before | Phase::After | Phase::Teardown => Overrides::KEEP,
        }
    }

    fn describe(&self, _: &Offer, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }

    unsafe fn enable(&self, _: &Offer, _: &dyn Platform, _: &'static Table) -> Result<(), EnableError> {
        Ok(())
    }

    unsafe fn disable(&self) {}
}
