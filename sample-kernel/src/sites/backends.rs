//! Backends that edit what KVM's edits, wherever they are.

// UNSAFETY: unsafe methods of a trait.
#![expect(unsafe_code)]

use vmi::{Backend, Platform};
use vmi_abi::{EnableError, Machine, Offer, Override, Rank, Replacements, Table, Time, io, time};
use vmi_native::Native;

/// What a backend says to being enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// Yes.
    Willing,
    /// No, when every site has been validated.
    Refusing,
}

/// What [`Likeness::Refusing`] says.
pub const REFUSAL: EnableError = EnableError::Refused(0);

extern "sysv64" fn now_ns() -> u64 {
    <Native as Time>::now_ns()
}

extern "sysv64" fn wall_clock() -> u64 {
    <Native as Time>::wall_clock()
}

extern "sysv64" fn frequency() -> u64 {
    <Native as Time>::frequency()
}

// SAFETY: the functions are the native ones; a delay is for buses that no machine has under which this runs.
unsafe impl Backend for Likeness {
    fn name(&self) -> &'static str {
        "likeness"
    }

    fn probe(&self, _: &Machine<'_>) -> Result<Offer, &'static str> {
        Ok(Offer::plain(Rank::FORCED))
    }

    fn replacements(&self, _: &Offer, _: &Machine<'_>) -> Replacements {
        let mut all = Replacements::KEEP;
        all.set::<time::now_ns>(Override::Call(now_ns));
        all.set::<time::wall_clock>(Override::Call(wall_clock));
        all.set::<time::frequency>(Override::Call(frequency));
        all.set::<io::delay>(Override::Nop);
        all
    }

    unsafe fn enable(
        &self,
        _: &Offer,
        _: &Machine<'_>,
        _: &dyn Platform,
        _: &'static Table,
    ) -> Result<(), EnableError> {
        match self {
            Self::Willing => Ok(()),
            Self::Refusing => Err(REFUSAL),
        }
    }
}
