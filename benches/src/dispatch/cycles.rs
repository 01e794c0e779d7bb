//! A read of the time-stamp counter: an op with a result, in registers of the instruction's choice.

// UNSAFETY: replaces sites, and calls through a retpoline.
#![expect(unsafe_code)]

use vmi_abi::{Inline, Leaf, Override, Replacements, cpu, leaf};

use super::ordinary::{self, OBJECT, TABLE, now};
use crate::{insn, insn::keep, program::edited, question::Question};

/// The hand-written instruction.
#[inline(never)]
pub fn asm(turns: u64) {
    for _ in 0..turns {
        keep(insn::rdtsc());
    }
}

#[inline(never)]
fn site(turns: u64) {
    for _ in 0..turns {
        keep(vmi::cpu::cycles());
    }
}

#[inline(never)]
fn direct(turns: u64) {
    for _ in 0..turns {
        keep(ordinary::cycles());
    }
}

#[inline(never)]
fn table(turns: u64) {
    for _ in 0..turns {
        keep(now(&TABLE.cycles)());
    }
}

#[inline(never)]
fn object(turns: u64) {
    for _ in 0..turns {
        keep(now(&OBJECT).cycles());
    }
}

#[inline(never)]
fn retpoline(turns: u64) {
    for _ in 0..turns {
        // SAFETY: such a function.
        keep(unsafe { insn::retpolined(now(&TABLE.cycles) as *const (), 0, 0) });
    }
}

/// Measures all of it.
pub fn measure(mut question: Question<'_>) {
    question.candidate("site", &site);
    let forms = [
        // SAFETY: the op's instruction.
        ("site, inline bytes", Override::Inline(unsafe { Inline::promise(&insn::CYCLES) })),
        // SAFETY: the op's instruction, and a return.
        ("site, naked call", Override::Call(unsafe { Leaf::promise(insn::cycles) })),
        ("site, thunk", leaf!(cpu::cycles, insn::rdtsc)),
    ];
    for (name, form) in forms {
        let mut replacements = Replacements::KEEP;
        replacements.set::<cpu::cycles>(form);
        // SAFETY: the op; this is the only thread.
        unsafe { edited(&replacements, || question.candidate(name, &site)) };
    }
    question.candidate("direct call", &direct);
    question.candidate("table", &table);
    question.candidate("dyn", &object);
    question.candidate("retpoline", &retpoline);
}
