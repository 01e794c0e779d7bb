//! What is around an op while it is measured: a loop, a small function of its own, a function in which much is live.

// UNSAFETY: volatile accesses, which keep values in registers where the compiler would not.
#![expect(unsafe_code)]

use core::{cell::UnsafeCell, hint::black_box};

use super::Benchmark;
use crate::kernel::insn::keep::nothing;

/// The beginning or the end of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    Begin,
    End,
}

/// A way to do an op.
pub trait Way {
    /// What the op is done with.
    type Operands: Copy;

    /// Returns them: the same in every way. Which they are, the compiler is not to know: a constant might cost an instruction
    /// at every turn in one register, and be in another already.
    fn operands() -> Self::Operands;

    /// Is told that a batch of turns begins or ends.
    #[inline(always)]
    fn around_batch(_: Edge) {}

    /// Sets up what the op needs, does it, and uses its result.
    fn turn(operands: Self::Operands);

    /// Does the same, in a function that holds nothing else.
    fn small(operands: Self::Operands);
}

/// Returns the benchmarks of a way, in every surrounding.
pub const fn everywhere<W: Way>(name: &'static str, variant: &'static str) -> [Benchmark; 3] {
    [
        Benchmark::new(name, variant, "loop", in_loop::<W>),
        Benchmark::new(name, variant, "function", in_function::<W>),
        Benchmark::new(name, variant, "live", in_live::<W>),
    ]
}

fn in_loop<W: Way>(turns: u64) {
    batch::<W>(turns, W::turn);
}

fn in_function<W: Way>(turns: u64) {
    batch::<W>(turns, W::small);
}

fn in_live<W: Way>(turns: u64) {
    batch::<W>(turns, live::<W>);
}

#[inline(always)]
fn batch<W: Way>(turns: u64, turn: impl Fn(W::Operands)) {
    W::around_batch(Edge::Begin);
    let operands = black_box(W::operands());
    for _ in 0..turns {
        turn(operands);
    }
    W::around_batch(Edge::End);
}

/// Values, for no purpose.
#[repr(transparent)]
struct Values(UnsafeCell<[u64; 13]>);

// SAFETY: one CPU; interrupt handlers do not use them.
unsafe impl Sync for Values {}

static VALUES: Values = Values(UnsafeCell::new([0; 13]));

/// Has 13 values live while `$between` happens, of the 15 that registers can hold.
macro_rules! live_across {
    ($between:expr, $($value:ident)*) => {
        let place = VALUES.0.get().cast::<u64>();
        $(
            // SAFETY: there are as many values as names.
            let $value = unsafe { place.read_volatile() };
            let place = place.wrapping_add(1);
        )*
        let _ = place;
        $between;
        let place = VALUES.0.get().cast::<u64>();
        $(
            // SAFETY: as above.
            unsafe { place.write_volatile($value) };
            let place = place.wrapping_add(1);
        )*
        let _ = place;
    };
}

#[inline(never)]
fn live<W: Way>(operands: W::Operands) {
    live_across!(W::turn(operands), a b c d e f g h i j k l m);
}

/// Nothing, in every surrounding: what is subtracted where a benchmark has nothing of its own for that.
pub enum Empty {}

impl Way for Empty {
    type Operands = ();

    fn operands() {}

    #[inline(always)]
    fn turn((): ()) {
        nothing();
    }

    #[inline(never)]
    #[unsafe(export_name = "bench_empty")]
    fn small(operands: ()) {
        Self::turn(operands);
    }
}
