//! Interrupts of this CPU, and the flag that masks them.

// UNSAFETY: puts back flags that were saved.
#![expect(unsafe_code)]

use core::{fmt, marker::PhantomData};

use crate::sites;

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

/// Disables maskable interrupts.
#[inline(always)]
pub fn disable() {
    sites::irq::disable()
}

/// Enables maskable interrupts.
///
/// One that is pending comes in front of the next instruction or behind it. The native instruction, `sti`, has a shadow that
/// covers the next instruction; a function that a backend puts in its place spends it on its own return. So nothing may
/// rely on the shadow: to halt without losing an interrupt there is [`wait`].
#[inline(always)]
pub fn enable() {
    sites::irq::enable()
}

/// Enables maskable interrupts and halts until one arrives.
///
/// An interrupt that arrives after the caller looked for work, with interrupts disabled, ends the halt: none is lost
/// between the two steps, as it would be between [`enable`] and [`halt`].
#[inline(always)]
pub fn wait() {
    sites::irq::wait()
}

/// Halts until an interrupt arrives; for ever, if they are disabled and none is non-maskable.
#[inline(always)]
pub fn halt() {
    sites::irq::halt()
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
