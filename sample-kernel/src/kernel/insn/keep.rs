//! No instructions, in places where the compiler must believe that there are some.

// UNSAFETY: assembly, of no instruction.
#![expect(unsafe_code)]

use core::{
    arch::{asm, x86_64::CpuidResult},
    num::NonZeroU64,
    time::Duration,
};

use vmi::{Fault, irq::Flags};
use x86_64::registers::control::{Cr0Flags, Cr4Flags};

/// Does nothing, once for each call: a loop around it stays a loop.
#[inline(always)]
pub fn nothing() {
    // SAFETY: no instruction.
    unsafe { asm!("", options(nomem, nostack, preserves_flags)) };
}

/// Uses a value that is in a register anyway.
#[inline(always)]
pub fn keep(value: impl Keep) {
    value.keep();
}

/// A value that can be used by no instruction.
pub trait Keep {
    /// Uses it.
    fn keep(self);
}

macro_rules! in_registers {
    ($($type:ty: $class:ident $text:literal)*) => { $(
        impl Keep for $type {
            #[inline(always)]
            fn keep(self) {
                // SAFETY: no instruction.
                unsafe { asm!($text, in($class) self, options(nomem, nostack, preserves_flags)) };
            }
        }
    )* };
}
in_registers! { u8: reg_byte "/* {} */" u16: reg "/* {:x} */" u32: reg "/* {:e} */" u64: reg "/* {} */" }

impl Keep for () {
    #[inline(always)]
    fn keep(self) {}
}

impl Keep for u128 {
    #[inline(always)]
    fn keep(self) {
        (self as u64).keep();
        ((self >> 64) as u64).keep();
    }
}

impl Keep for CpuidResult {
    #[inline(always)]
    fn keep(self) {
        let Self { eax, ebx, ecx, edx } = self;
        // SAFETY: no instruction.
        unsafe {
            asm!("/* {:e} {:e} {:e} {:e} */", in(reg) eax, in(reg) ebx, in(reg) ecx, in(reg) edx,
                options(nomem, nostack, preserves_flags));
        }
    }
}

/// Looks whether there was a fault, and ends the run if so.
impl<T: Keep> Keep for Result<T, Fault> {
    #[inline(always)]
    fn keep(self) {
        match self {
            Ok(value) => value.keep(),
            // SAFETY: the exception ends the run.
            Err(Fault) => unsafe { asm!("ud2", options(noreturn, nomem, nostack, preserves_flags)) },
        }
    }
}

macro_rules! flags {
    ($($type:ty)*) => { $(
        impl Keep for $type {
            #[inline(always)]
            fn keep(self) {
                self.bits().keep();
            }
        }
    )* };
}
flags!(Flags Cr0Flags Cr4Flags);

impl Keep for Option<NonZeroU64> {
    #[inline(always)]
    fn keep(self) {
        self.map_or(0, NonZeroU64::get).keep();
    }
}

impl Keep for Option<Duration> {
    #[inline(always)]
    fn keep(self) {
        let duration = self.unwrap_or_default();
        duration.as_secs().keep();
        duration.subsec_nanos().keep();
    }
}
