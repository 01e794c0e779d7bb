//! Interrupts of this CPU, and the flag that masks them.

// UNSAFETY: puts back flags that were saved.
#![expect(unsafe_code)]

use core::{fmt, marker::PhantomData};

use crate::sites;

pub use crate::sites::irq::*;

/// The interrupt flag of RFLAGS. Source: Intel SDM, Volume 1, "EFLAGS Register".
const IF: u64 = 1 << 9;

/// RFLAGS as [`save`] found them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Flags(u64);

impl Flags {
    /// Tells whether maskable interrupts were enabled.
    #[inline(always)]
    pub fn interrupts_enabled(self) -> bool {
        self.0 & IF != 0
    }

    /// Returns the bits of RFLAGS.
    #[inline(always)]
    pub fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({:#x})", self.0)
    }
}

/// Returns RFLAGS.
#[inline(always)]
pub fn save() -> Flags {
    Flags(sites::irq::save())
}

/// Sets RFLAGS to what they were at [`save`].
#[inline(always)]
pub fn restore(flags: Flags) {
    // SAFETY: this CPU ran with these flags before.
    unsafe { sites::irq::restore(flags.0) }
}

/// Maskable interrupts disabled on this CPU until this is dropped; then as they were before.
///
/// Guards nest. A guard stays on its CPU: it is not `Send`.
#[must_use = "interrupts are enabled again as soon as this is dropped"]
#[derive(Debug)]
pub struct Guard {
    before: Flags,
    not_send: PhantomData<*mut ()>,
}

impl Guard {
    /// Disables maskable interrupts.
    #[inline(always)]
    #[expect(clippy::new_without_default, reason = "a guard acts")]
    pub fn new() -> Self {
        let before = save();
        disable();
        Self { before, not_send: PhantomData }
    }
}

impl Drop for Guard {
    #[inline(always)]
    fn drop(&mut self) {
        restore(self.before);
    }
}

/// Runs `critical` with maskable interrupts disabled.
///
/// # Examples
///
/// ```no_run
/// let ticks = vmi::irq::without(|| 7);
/// ```
#[inline(always)]
pub fn without<R>(critical: impl FnOnce() -> R) -> R {
    let _guard = Guard::new();
    critical()
}
