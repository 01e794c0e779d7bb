//! A backend that replaces every op, in every form that its class allows, and counts the calls.

// UNSAFETY: naked replacements, and unsafe methods of a trait.
#![expect(unsafe_code)]

use core::{
    arch::naked_asm,
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use vmi::{Backend, CommandLine, Op, Platform, SiteCounts};
use vmi_abi::{Class, EnableError, Leaf, Offer, Override, Overrides, Rank, Table, cpuid::Cpuid};
use vmi_native::Native;

use super::forms;
use crate::kernel::{
    checks::PASSED,
    tally::{Verdict, equal, holds},
};

/// How often the replacement of each op was called, by op number.
static COUNTS: [AtomicU64; Op::COUNT] = [const { AtomicU64::new(0) }; Op::COUNT];

/// A form in which replacements stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Ordinary functions: of leaf ops in a thunk.
    Thunk,
    /// Naked functions.
    Naked,
    /// Other bytes with the same meaning.
    Inline,
    /// Nothing, where that does no harm.
    Nop,
}

/// The backend in one of its forms.
#[derive(Debug)]
pub struct Selftest(Form);

/// The backend in all its forms.
pub static FORMS: [Selftest; 4] =
    [Selftest(Form::Thunk), Selftest(Form::Naked), Selftest(Form::Inline), Selftest(Form::Nop)];

/// Forgets how often replacements were called.
pub fn forget_counts() {
    for count in &COUNTS {
        count.store(0, Relaxed);
    }
}

/// Whether a replacement was ever entered with the stack or the direction flag against the convention.
static BENT: AtomicBool = AtomicBool::new(false);

/// Notes if the convention does not hold here: a stack aligned to 16 bytes at the call, and a clear direction flag.
fn look_at_convention() {
    /// Returns the low bits of the stack pointer at the call, and the direction flag.
    #[unsafe(naked)]
    extern "sysv64" fn convention() -> u64 {
        naked_asm!(
            "pushfq",
            "pop rax",
            "and eax, 0x400",
            "lea rcx, [rsp + 8]",
            "and ecx, 15",
            "or eax, ecx",
            "ret"
        )
    }
    if convention() != 0 {
        BENT.store(true, Relaxed);
    }
}

/// Counts, and does what the native function does.
enum Counted {}

macro_rules! replacements {
    ([] $( $(#[$group_doc:meta])* $group:ident $Group:ident { $(
        $(#[$doc:meta])* $number:literal $name:ident [$($unsafe:tt)?] $class:ident
        ($($argument:ident: $type:ty = $in:tt),*) -> $result:ty = $out:tt $native:literal;
    )* } )*) => {
        $(
            impl vmi_abi::$Group for Counted {
                $( $($unsafe)? fn $name($($argument: $type),*) -> $result {
                    COUNTS[$number].fetch_add(1, Relaxed);
                    look_at_convention();
                    // SAFETY: the op's own contract; the caller vouches for it.
                    $($unsafe)? { <Native as vmi_abi::$Group>::$name($($argument),*) }
                } )*
            }

            mod $group {
                #[allow(unused_imports, reason = "a group may hold no leaf op")]
                use super::{COUNTS, naked_asm};
                $( naked!($class $name $number ($($argument: $type = $in),*) $out $native); )*
            }
        )*

        /// Every op in a naked function: call ops, whose contract an ordinary function keeps, as in `thunks`.
        fn naked() -> Overrides {
            let mut all = thunks();
            $( $( naked_override!($class all $group $name); )* )*
            all
        }
    };
}

macro_rules! naked {
    (call $($rest:tt)*) => {};
    // The argument lies above the return address, and goes away with it.
    (leaf $name:ident $number:literal ($argument:ident: $type:ty = ["stack" $($bits:tt)*]) $out:tt $native:literal) => {
        naked!(@function $name $number, "push qword ptr [rsp + 8]", $native, "ret 8");
    };
    // The result takes the return address's place, which moves down.
    (leaf $name:ident $number:literal () [$out:ident: "stack" $($bits:tt)*] $native:literal) => {
        naked!(@function $name $number, "push qword ptr [rsp]", $native, "pop qword ptr [rsp + 8]", "ret");
    };
    (leaf $name:ident $number:literal $arguments:tt $out:tt $native:literal) => {
        naked!(@function $name $number, vmi::__label!(), vmi::__prefixed!($native $out), vmi::__fixup!($out), "ret");
    };
    (jump $name:ident $number:literal $arguments:tt $out:tt $native:literal) => {
        naked!(@function $name $number, $native);
    };
    (@function $name:ident $number:literal, $($line:expr),*) => {
        #[unsafe(naked)]
        pub(super) unsafe extern "sysv64" fn $name() {
            naked_asm!("lock inc qword ptr [rip + {counts} + 8 * {number}]", $($line,)* counts = sym COUNTS, number = const $number)
        }
    };
}

macro_rules! naked_override {
    (call $all:ident $group:ident $name:ident) => {};
    ($class:ident $all:ident $group:ident $name:ident) => {
        // SAFETY: the function counts, which changes flags only, and does what the native instruction does.
        $all.$group.$name = Override::Call(unsafe { Leaf::promise($group::$name) });
    };
}

vmi_abi::ops!([replacements]);

/// Every op in an ordinary function; a jump, which no function can be, in a naked one.
fn thunks() -> Overrides {
    let mut all = vmi_abi::overrides_of!(Counted);
    // SAFETY: the function counts, which changes flags only, and does what the native instruction does.
    all.irq.leave = Override::Call(unsafe { Leaf::promise(irq::leave) });
    all
}

/// Nothing where the machine needs nothing; the rest stays.
fn nops() -> Overrides {
    let mut some = Overrides::KEEP;
    some.cpu.relax = Override::Nop;
    some.io.delay = Override::Nop;
    some
}

impl Selftest {
    /// Returns the name of the phase in which this form is checked.
    pub fn phase(&self) -> &'static str {
        match self.0 {
            Form::Thunk => "thunk",
            Form::Naked => "naked",
            Form::Inline => "inline",
            Form::Nop => "nop",
        }
    }

    /// Tells whether every site stands in this form.
    pub fn edited(&self, sites: &SiteCounts) -> Verdict {
        match self.0 {
            Form::Thunk | Form::Naked => {
                equal("sites edited into calls", sites.call as u64, sites.total as u64)?
            }
            Form::Inline => {
                equal("sites left native", sites.native as u64, 0_u64)?;
                holds("sites edited into instructions", sites.inline > sites.call)?;
            }
            Form::Nop => {
                holds("sites edited into nothing", sites.nop > 0)?;
                equal("sites edited into something", (sites.call + sites.inline) as u64, 0_u64)?;
            }
        }
        Ok(PASSED)
    }

    /// Tells whether every replacement that is a function was called: the power switch is not for the middle of a run.
    pub fn counted(&self) -> Verdict {
        holds("replacements were called by the convention", !BENT.swap(false, Relaxed))?;
        for op in Op::all().filter(|op| !op.name().starts_with("power::")) {
            let called = COUNTS[usize::from(op.number())].load(Relaxed) > 0;
            let expected = match self.0 {
                Form::Thunk | Form::Naked => true,
                Form::Inline => op.class() == Class::Call && op != vmi_abi::irq::wait::OP,
                Form::Nop => false,
            };
            equal(op.name(), called, expected)?;
        }
        Ok(PASSED)
    }
}

// SAFETY: every replacement does what the native function does.
unsafe impl Backend for Selftest {
    fn name(&self) -> &'static str {
        "selftest"
    }

    fn probe(&self, _: &Cpuid<'_>) -> Result<Offer, &'static str> {
        Ok(Offer { rank: Rank::FORCED, features: 0, hints: 0, base_leaf: 0 })
    }

    fn overrides(&self, _: &Offer, _: CommandLine<'_>) -> Overrides {
        match self.0 {
            Form::Thunk => thunks(),
            Form::Naked => naked(),
            Form::Inline => forms::inline_over(thunks()),
            Form::Nop => nops(),
        }
    }

    fn describe(&self, _: &Offer, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.phase())
    }

    unsafe fn enable(&self, _: &Offer, _: &dyn Platform, _: &'static Table) -> Result<(), EnableError> {
        Ok(())
    }

    unsafe fn disable(&self) {}
}
