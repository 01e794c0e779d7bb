//! A backend that replaces every op, in every form that its class allows, and counts the calls.

// UNSAFETY: naked replacements, and unsafe methods of a trait.
#![expect(unsafe_code)]

use core::{
    arch::naked_asm,
    fmt, ptr, slice,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use vmi::{Backend, Op, SiteCounts, patch::Records};
use vmi_abi::{Class, Leaf, Machine, Offer, Override, Rank, Replacements, SiteRecord, Stack, columns};
use vmi_native::Native;

use super::forms;
use crate::kernel::{
    checks::PASSED,
    console::line,
    tally::{Verdict, equal, holds},
};

/// How often the replacement of each op was called, by op number.
static COUNTS: [AtomicU64; Op::COUNT] = [const { AtomicU64::new(0) }; Op::COUNT];

/// In what manner ops are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Ordinary functions: of leaf ops in a thunk.
    Thunk,
    /// Naked functions.
    Naked,
    /// Other bytes with the same meaning.
    Inline,
    /// Nothing, where that does no harm.
    Nop,
}

/// The backend in one of its manners.
#[derive(Debug)]
pub struct Selftest(Manner);

/// The backend in all its manners.
pub static MANNERS: [Selftest; 4] =
    [Selftest(Manner::Thunk), Selftest(Manner::Naked), Selftest(Manner::Inline), Selftest(Manner::Nop)];

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

macro_rules! counted {
    ([] $( $(#[$group_doc:meta])* $group:ident $Group:ident { $( $(#[$doc:meta])* $name:ident $row:tt )* } )*) => {
        $(
            impl vmi_abi::$Group for Counted {
                $( columns!([method] [class safety inputs result number] $row $Group $name); )*
            }

            mod $group {
                #[allow(unused_imports, reason = "a group may hold no leaf op")]
                use super::{COUNTS, columns, naked_asm};
                $( columns!([naked] [class number inputs outputs native fill] $row $name); )*
            }
        )*

        /// Every op in a naked function: call ops, whose contract an ordinary function keeps, as in `thunks`.
        fn naked() -> Replacements {
            let mut all = thunks();
            $( $( columns!([naked_override] [class] $row all $group $name); )* )*
            all
        }
    };
}

macro_rules! method {
    ($Group:ident $name:ident jump $($rest:tt)*) => {};
    ($Group:ident $name:ident $class:ident [$($unsafe:tt)?] ($($input:ident: $type:ty = $places:tt),*) ($result:ty) $number:literal) => {
        $($unsafe)? fn $name($($input: $type),*) -> $result {
            COUNTS[$number].fetch_add(1, Relaxed);
            look_at_convention();
            // SAFETY: the op's own contract; the caller vouches for it.
            $($unsafe)? { <Native as vmi_abi::$Group>::$name($($input),*) }
        }
    };
}

macro_rules! naked {
    ($name:ident call $($rest:tt)*) => {};
    // The argument lies above the return address, and goes away with it.
    ($name:ident leaf $number:literal ($argument:ident: $type:ty = ["stack" $($bits:tt)*]) $out:tt $native:literal $fill:literal) => {
        naked!(@function $name $number, "push qword ptr [rsp + 8]", $native, "ret 8");
    };
    // The result takes the return address's place, which moves down.
    ($name:ident leaf $number:literal () [$out:ident: "stack" $($bits:tt)*] $native:literal $fill:literal) => {
        naked!(@function $name $number, "push qword ptr [rsp]", $native, "pop qword ptr [rsp + 8]", "ret");
    };
    ($name:ident jump $number:literal $arguments:tt $out:tt $native:literal $fill:literal) => {
        naked!(@function $name $number, $native);
    };
    ($name:ident $class:ident $number:literal $arguments:tt $out:tt $native:literal $fill:literal) => {
        naked!(@function $name $number, vmi_native::__native_text!($class $number $native $fill $out), "ret");
    };
    (@function $name:ident $number:literal, $($line:expr),*) => {
        #[unsafe(naked)]
        pub(super) unsafe extern "sysv64" fn $name() {
            naked_asm!("lock inc qword ptr [rip + {counts} + 8 * {number}]", $($line,)* counts = sym COUNTS, number = const $number)
        }
    };
}

macro_rules! naked_override {
    ($all:ident $group:ident $name:ident call) => {};
    ($all:ident $group:ident $name:ident $class:ident) => {
        // SAFETY: the function counts, which changes flags only, and does what the native instruction does.
        let function = unsafe { Leaf::promise($group::$name) };
        $all.set::<vmi_abi::$group::$name>(Override::Call(function));
    };
}

vmi_abi::ops!([counted]);

/// Every op in an ordinary function; a jump, which no function can be, in a naked one.
fn thunks() -> Replacements {
    let mut all = vmi_abi::replacements_of!(Counted);
    // SAFETY: the function counts, which changes flags only, and does what the native instruction does.
    all.set::<vmi_abi::irq::leave>(Override::Call(unsafe { Leaf::promise(irq::leave) }));
    all
}

/// Nothing where the machine needs nothing; the rest stays.
fn nops() -> Replacements {
    let mut some = Replacements::KEEP;
    some.set::<vmi_abi::cpu::relax>(Override::Nop);
    some.set::<vmi_abi::io::delay>(Override::Nop);
    some
}

impl Selftest {
    /// Returns the name of the phase in which this form is checked.
    pub fn phase(&self) -> &'static str {
        match self.0 {
            Manner::Thunk => "thunk",
            Manner::Naked => "naked",
            Manner::Inline => "inline",
            Manner::Nop => "nop",
        }
    }

    /// Tells whether every site stands in this form.
    pub fn edited(&self, sites: &SiteCounts) -> Verdict {
        match self.0 {
            Manner::Thunk | Manner::Naked => {
                let never_call =
                    |record: &SiteRecord| Op::new(record.op).is_some_and(|op| op.info().stack == Stack::Any);
                let inline = Records::of_image()
                    .map_or(0, |all| all.iter().filter(|(_, site)| never_call(site)).count());
                equal("sites edited into instructions", sites.inline as u64, inline as u64)?;
                equal("sites edited into calls", sites.call as u64, (sites.total - inline) as u64)?
            }
            Manner::Inline => {
                equal("sites left native", sites.native as u64, 0_u64)?;
                holds("sites edited into instructions", sites.inline > sites.call)?;
            }
            Manner::Nop => {
                holds("sites edited into nothing", sites.nop > 0)?;
                equal("sites edited into something", (sites.call + sites.inline) as u64, 0_u64)?;
            }
        }
        Ok(PASSED)
    }

    /// Prints what stands in the first site of each op now.
    pub fn print_sites(&self) {
        let Ok(records) = Records::of_image() else { return };
        for op in Op::all() {
            let mut sites = records.iter().filter(|(_, record)| record.op == op.number());
            let Some((address, record)) = sites.next() else { continue };
            let site = ptr::with_exposed_provenance::<u8>(address);
            // SAFETY: the record is one that `init` found good: these bytes are text.
            let bytes = unsafe { slice::from_raw_parts(site, record.len.into()) };
            line!("site {} {op} {bytes:02x?}", self.phase());
        }
    }

    /// Tells whether every replacement that is a function was called: the power switch is not for the middle of a run.
    pub fn counted(&self) -> Verdict {
        holds("replacements were called by the convention", !BENT.swap(false, Relaxed))?;
        for op in Op::all().filter(|op| !op.name().starts_with("power::")) {
            let called = COUNTS[usize::from(op.number())].load(Relaxed) > 0;
            let expected = match self.0 {
                Manner::Thunk | Manner::Naked => op.info().stack == Stack::Kernel,
                Manner::Inline => op.class() == Class::Call,
                Manner::Nop => false,
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

    fn probe(&self, _: &Machine<'_>) -> Result<Offer, &'static str> {
        Ok(Offer::plain(Rank::FORCED))
    }

    fn replacements(&self, _: &Offer, _: &Machine<'_>) -> Replacements {
        match self.0 {
            Manner::Thunk => forms::inline_where_needed(thunks()),
            Manner::Naked => forms::inline_where_needed(naked()),
            Manner::Inline => forms::inline_over(thunks()),
            Manner::Nop => nops(),
        }
    }

    fn describe(&self, _: &Offer, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.phase())
    }
}
