//! Every op, done in every way.

// UNSAFETY: does ops.
#![expect(unsafe_code)]

use super::Benchmark;

macro_rules! all {
    ([] $( $(#[$group_doc:meta])* $group:ident $Group:ident { $( $(#[$doc:meta])* $name:ident $row:tt )* } )*) => {
        &[ $( $(
            &empty::$group::$name::BENCHMARKS,
            &bare::$group::$name::BENCHMARKS,
            &site::$group::$name::BENCHMARKS,
            &direct::$group::$name::BENCHMARKS,
            &table::$group::$name::BENCHMARKS,
            &object::$group::$name::BENCHMARKS,
            &retpoline::$group::$name::BENCHMARKS,
        )* )* ]
    };
}

macro_rules! ways {
    ([$way:ident $variant:literal] $( $(#[$group_doc:meta])* $group:ident $Group:ident {
        $( $(#[$doc:meta])* $name:ident $row:tt )*
    } )*) => {
        mod $way { $( pub mod $group { $(
            #[allow(dead_code, reason = "not every op is done in every way")]
            pub mod $name {
                #[allow(unused_imports, reason = "not every op is done in every way")]
                use crate::kernel::{bench::{Benchmark, Phase, ops, operands, surroundings}, insn, timer};

                const NAME: &str = concat!(stringify!($group), "::", stringify!($name));

                vmi_abi::columns!([one_way] [class inputs] $row $way $variant $group $name);
            }
        )* } )* }
    };
}

/// The benchmarks of an op in one way, by its row.
macro_rules! one_way {
    ($way:ident $variant:literal $group:ident $name:ident $class:ident ($($argument:ident: $type:ty = $places:tt),*)) => {
        way!($way $variant $class $group $name ($($argument: $type),*));
    };
}

/// The benchmarks of an op in one way.
macro_rules! way {
    (@missing $variant:literal $reason:expr, $phases:expr) => {
        pub const BENCHMARKS: [Benchmark; 1] = [Benchmark::missing(NAME, $variant, $reason).in_phases($phases)];
    };
    (@measured $way:ident $variant:literal $class:ident $group:ident $name:ident $arguments:tt) => {
        way!(@way $way $variant $class $group $name $arguments);
        pub const BENCHMARKS: [Benchmark; 3] = {
            let [a, b, c] = surroundings::everywhere::<Way>(NAME, $variant);
            let phases = phases!($way $class $name);
            [a.in_phases(phases), b.in_phases(phases), c.in_phases(phases)]
        };
    };
    (@way $way:ident $variant:literal $class:ident $group:ident $name:ident ($($argument:ident: $type:ty),*)) => {
        enum Way {}

        impl surroundings::Way for Way {
            type Operands = ($(operands::operand_type!($name $argument $type),)*);

            #[inline(always)]
            #[allow(clippy::unused_unit, reason = "not every op has operands")]
            fn operands() -> Self::Operands {
                ($(operands::operand!($name $argument),)*)
            }

            around_batch!($name);

            #[inline(always)]
            fn turn(($($argument,)*): Self::Operands) {
                around!($name, done!($way $class $group $name ($($argument),*)));
            }

            #[inline(never)]
            #[unsafe(export_name = concat!("bench_", $variant, "_", stringify!($group), "_", stringify!($name)))]
            fn small(operands: Self::Operands) {
                Self::turn(operands);
            }
        }
    };

    (empty $variant:literal $class:ident irq wait ()) => { way!(@measured empty $variant $class irq wait ()); };
    (empty $variant:literal $class:ident irq halt ()) => { way!(@measured empty $variant $class irq halt ()); };
    (empty $variant:literal $class:ident irq leave ()) => { way!(@measured empty $variant $class irq leave ()); };
    (empty $($rest:tt)*) => { pub const BENCHMARKS: [Benchmark; 0] = []; };
    (bare $variant:literal $class:ident power $name:ident ()) => {
        way!(@missing $variant "it ends the run", Phase::FIRST);
    };
    ($way:ident $variant:literal $class:ident power $name:ident ()) => { pub const BENCHMARKS: [Benchmark; 0] = []; };
    (bare $variant:literal $class:ident time $name:ident ()) => {
        way!(@missing $variant "no `bare`: no instruction is a clock", Phase::FIRST);
    };
    (object $variant:literal $class:ident irq leave ()) => {
        way!(@missing $variant "no `dyn`: a jump is no method", Phase::FIRST);
    };
    (bare $variant:literal $class:ident irq halt ()) => { way!(@measured bare $variant $class irq halt ()); };
    (site $variant:literal $class:ident irq halt ()) => {
        way!(@way site $variant $class irq halt ());
        pub const BENCHMARKS: [Benchmark; 4] = {
            let [a, b, c] = surroundings::everywhere::<Way>(NAME, $variant);
            let slept_over = Benchmark::missing(NAME, $variant, ops::SLEPT_OVER).in_phases(&[Phase::Thunk, Phase::Naked]);
            let phases = &[Phase::Before, Phase::After, Phase::Teardown, Phase::Inline];
            [a.in_phases(phases), b.in_phases(phases), c.in_phases(phases), slept_over]
        };
    };
    ($way:ident $variant:literal $class:ident irq halt ()) => {
        way!(@missing $variant ops::SLEPT_OVER, Phase::FIRST);
    };
    ($($rest:tt)*) => { way!(@measured $($rest)*); };
}

/// The phases in which an op is measured: its site in all that make a difference to it, the bare instruction beside it
/// wherever the site is native, the rest once.
macro_rules! phases {
    (empty $class:ident $name:ident) => {
        Phase::ALL
    };
    (site leaf $name:ident) => {
        Phase::ALL
    };
    (site call wait) => {
        &[Phase::Before, Phase::After, Phase::Teardown, Phase::Thunk]
    };
    (site call $name:ident) => {
        &[Phase::Before, Phase::After, Phase::Teardown, Phase::Thunk]
    };
    (site jump $name:ident) => {
        &[Phase::Before, Phase::After, Phase::Teardown, Phase::Naked, Phase::Inline]
    };
    (bare $class:ident $name:ident) => {
        Phase::LIFE
    };
    ($way:ident $class:ident $name:ident) => {
        Phase::FIRST
    };
}

/// What an op needs around a batch: a halt a timer, should the interrupt that was to end it have been lost. Where a host
/// interrupts the guest between `sti` and the halt, an emulator may forget that the one was to cover the other. The timer
/// does not get far in any other batch.
macro_rules! around_batch {
    (wait) => {
        around_batch!(halt);
    };
    (halt) => {
        fn around_batch(edge: surroundings::Edge) {
            match edge {
                surroundings::Edge::Begin => timer::start(100_000_000),
                surroundings::Edge::End => timer::stop(),
            }
        }
    };
    ($name:ident) => {};
}

/// What an op needs around it at every turn: a halt an interrupt that ends it.
macro_rules! around {
    (wait, $op:expr) => {{
        timer::request();
        $op;
        insn::shadow::enable();
        insn::shadow::let_in_and_disable();
    }};
    (halt, $op:expr) => {{
        timer::request();
        insn::shadow::enable();
        $op;
        insn::shadow::let_in_and_disable();
    }};
    ($name:ident, $op:expr) => {
        $op
    };
}

/// An op done in one way, and its result used.
macro_rules! done {
    ($way:ident jump $group:ident $name:ident ()) => { insn::leave::$way() };
    (empty $class:ident $group:ident $name:ident ()) => { () };
    ($way:ident $class:ident $group:ident $name:ident ($($argument:ident),*)) => {{
        #[allow(unused_unsafe, reason = "some front doors are safe")]
        // SAFETY: the operands are harmless ones.
        let result = unsafe { doing!($way $group $name ($($argument),*)) };
        insn::keep::keep(result)
    }};
}

macro_rules! doing {
    (bare $group:ident $name:ident ($($argument:ident),*)) => {
        insn::bare::$group::$name($(operands::Operand::raw($argument)),*)
    };
    (site $group:ident $name:ident ($($argument:ident),*)) => { ::vmi::$group::$name($($argument),*) };
    (direct $group:ident $name:ident ($($argument:ident),*)) => {
        $crate::kernel::bench::calls::direct::$group::$name($(operands::Operand::raw($argument)),*)
    };
    (object $group:ident $name:ident ($($argument:ident),*)) => {
        $crate::kernel::bench::calls::object::$group::$name($(operands::Operand::raw($argument)),*)
    };
    ($way:ident $group:ident $name:ident ($($argument:ident),*)) => {
        insn::indirect::$way::$group::$name($(operands::Operand::raw($argument)),*)
    };
}

/// Why no call halts.
const SLEPT_OVER: &str =
    "by a call: an interrupt requested in front of the call would be taken there, and slept over";

vmi_abi::ops!([ways] empty "empty");
vmi_abi::ops!([ways] bare "bare");
vmi_abi::ops!([ways] site "site");
vmi_abi::ops!([ways] direct "direct");
vmi_abi::ops!([ways] table "table");
vmi_abi::ops!([ways] object "dyn");
vmi_abi::ops!([ways] retpoline "retpoline");

/// The benchmarks of all ops, together by op: what is subtracted where it is the op's own, and all ways to do it.
pub const ALL: &[&[Benchmark]] = vmi_abi::ops!([all]);
