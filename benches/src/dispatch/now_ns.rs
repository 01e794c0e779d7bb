//! The time: a call op, whose site is a call from the start. Editing only has it lead elsewhere.

// UNSAFETY: replaces sites, and calls through a retpoline.
#![expect(unsafe_code)]

use vmi_abi::{Override, Replacements, time};

use super::ordinary::{self, OBJECT, TABLE, now};
use crate::{insn, insn::keep, program::edited, question::Question};

/// A direct call of the function.
#[inline(never)]
pub fn direct(turns: u64) {
    for _ in 0..turns {
        keep(ordinary::now_ns());
    }
}

#[inline(never)]
fn site(turns: u64) {
    for _ in 0..turns {
        keep(vmi::time::now_ns());
    }
}

#[inline(never)]
fn table(turns: u64) {
    for _ in 0..turns {
        keep(now(&TABLE.now_ns)());
    }
}

#[inline(never)]
fn object(turns: u64) {
    for _ in 0..turns {
        keep(now(&OBJECT).now_ns());
    }
}

#[inline(never)]
fn retpoline(turns: u64) {
    for _ in 0..turns {
        // SAFETY: such a function.
        keep(unsafe { insn::retpolined(now(&TABLE.now_ns) as *const (), 0, 0) });
    }
}

/// Measures all of it.
pub fn measure(mut question: Question<'_>) {
    question.candidate("site", &site);
    let mut replacements = Replacements::KEEP;
    replacements.set::<time::now_ns>(Override::Call(ordinary::now_ns));
    // SAFETY: the op; this is the only thread.
    unsafe { edited(&replacements, || question.candidate("site, edited", &site)) };
    question.candidate("table", &table);
    question.candidate("dyn", &object);
    question.candidate("retpoline", &retpoline);
}
