//! A backend that breaks one op on purpose: an op without a value does nothing, one with a value returns a constant.

// UNSAFETY: implements unsafe methods of a trait.
#![expect(unsafe_code)]

use core::{
    fmt,
    sync::atomic::{AtomicU16, Ordering::Relaxed},
};

use vmi::{Backend, CommandLine, Op, Platform};
use vmi_abi::{EnableError, Inline, Offer, Override, Overrides, Rank, Table, Word, cpuid::Cpuid, leaf};

/// The broken backend.
#[derive(Debug)]
pub struct Mutant(AtomicU16);

/// What every op with a value returns: a pattern that no check sets up, and no fault.
const CONSTANT: u128 = 0x5a5a_5a5a_5a5a_5a5a_5a5a_5a5a_5a5a_5a5a & !(1 << 64);

impl Mutant {
    /// Returns a mutant that breaks nothing yet.
    pub const fn new() -> Self {
        Self(AtomicU16::new(u16::MAX))
    }

    /// Has `op` be the one that is broken.
    pub fn set(&self, op: Op) {
        self.0.store(op.number(), Relaxed);
    }
}

macro_rules! broken_op {
    ([$broken:ident $overrides:ident] $( $(#[$group_doc:meta])* $group:ident $Group:ident { $(
        $(#[$doc:meta])* $number:literal $name:ident [$($unsafe:tt)?] $class:ident
        ($($argument:ident: $type:ty = $in:tt),*) -> $result:ty = $out:tt $native:literal;
    )* } )*) => {
        $( $( if $broken == $number {
            $overrides.$group.$name = broken!($class $group $name [$($unsafe)?] ($($argument: $type),*) -> $result);
        } )* )*
    };
}

macro_rules! broken {
    (leaf $group:ident $name:ident $unsafe:tt ($($argument:ident: $type:ty),*) -> $result:ty) => {
        leaf!($group::$name, |$($argument: $type),*| { $( let _ = $argument; )* <$result as Word>::from_bits(CONSTANT) })
    };
    (call $group:ident $name:ident [$($unsafe:tt)?] ($($argument:ident: $type:ty),*) -> $result:ty) => {{
        $($unsafe)? extern "sysv64" fn nothing($($argument: $type),*) -> $result {
            <$result as Word>::from_bits(CONSTANT)
        }
        Override::Call(nothing)
    }};
    (jump $($rest:tt)*) => {{
        // SAFETY: it keeps no contract, and is not meant to: control goes on behind the site.
        Override::Inline(unsafe { Inline::promise(&[0x0f, 0x1f, 0x44, 0x00, 0x00]) })
    }};
}

// SAFETY: not so, on purpose: only the checks run with it.
unsafe impl Backend for Mutant {
    fn name(&self) -> &'static str {
        "mutant"
    }

    fn probe(&self, _: &Cpuid<'_>) -> Result<Offer, &'static str> {
        Ok(Offer { rank: Rank::FORCED, features: 0, hints: 0, base_leaf: 0 })
    }

    fn overrides(&self, _: &Offer, _: CommandLine<'_>) -> Overrides {
        let broken = self.0.load(Relaxed);
        let mut overrides = Overrides::KEEP;
        vmi_abi::ops!([broken_op] broken overrides);
        overrides
    }

    fn describe(&self, _: &Offer, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("none")
    }

    unsafe fn enable(&self, _: &Offer, _: &dyn Platform, _: &'static Table) -> Result<(), EnableError> {
        Ok(())
    }

    unsafe fn disable(&self) {}
}
