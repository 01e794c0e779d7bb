//! A backend that breaks one op on purpose: an op without a value does nothing, one with a value returns a constant.

// UNSAFETY: implements unsafe methods of a trait.
#![expect(unsafe_code)]

use core::sync::atomic::{AtomicU16, Ordering::Relaxed};

use vmi::{Backend, Op};
use vmi_abi::{Inline, Machine, Offer, Override, Rank, Replacements, Value, columns, leaf};

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
    ([$broken:ident $all:ident] $( $(#[$group_doc:meta])* $group:ident $Group:ident {
        $( $(#[$doc:meta])* $name:ident $row:tt )*
    } )*) => {
        $( $( if $broken == vmi_abi::$group::$name::OP.number() {
            $all.set::<vmi_abi::$group::$name>(columns!([broken] [class stack safety inputs result] $row $group $name));
        } )* )*
    };
}

macro_rules! broken {
    ($group:ident $name:ident call kernel [$($unsafe:tt)?] ($($input:ident: $type:ty = $places:tt),*) ($result:ty)) => {{
        $($unsafe)? extern "sysv64" fn nothing($($input: $type),*) -> $result {
            $( let _ = $input; )*
            <$result as Value>::from_bits(CONSTANT)
        }
        Override::Call(nothing)
    }};
    ($group:ident $name:ident leaf kernel $safety:tt ($($input:ident: $type:ty = $places:tt),*) ($result:ty)) => {
        leaf!($group::$name, |$($input),*| { $( let _ = $input; )* <$result as Value>::from_bits(CONSTANT) })
    };
    // A jump, a note, and where nothing may be called: control goes on behind the site.
    ($group:ident $name:ident $($rest:tt)*) => {{
        // SAFETY: it keeps no contract, and is not meant to.
        Override::Inline(unsafe { Inline::promise(&[0x0f, 0x1f, 0x44, 0x00, 0x00]) })
    }};
}

// SAFETY: not so, on purpose: only the checks run with it.
unsafe impl Backend for Mutant {
    fn name(&self) -> &'static str {
        "mutant"
    }

    fn probe(&self, _: &Machine<'_>) -> Result<Offer, &'static str> {
        Ok(Offer::plain(Rank::FORCED))
    }

    fn replacements(&self, _: &Offer, _: &Machine<'_>) -> Replacements {
        let broken = self.0.load(Relaxed);
        let mut all = Replacements::KEEP;
        vmi_abi::ops!([broken_op] broken all);
        all
    }
}
