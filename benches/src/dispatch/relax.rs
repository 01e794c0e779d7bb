//! A hint that somebody spins, which a hypervisor may want to do without.

// UNSAFETY: replaces sites.
#![expect(unsafe_code)]

use vmi_abi::{Leaf, Override, Replacements, cpu};

use super::ordinary;
use crate::{insn, program::edited, question::Question};

/// The hand-written instruction.
#[inline(never)]
pub fn asm(turns: u64) {
    for _ in 0..turns {
        insn::pause();
    }
}

#[inline(never)]
fn site(turns: u64) {
    for _ in 0..turns {
        vmi::cpu::relax();
    }
}

#[inline(never)]
fn direct(turns: u64) {
    for _ in 0..turns {
        ordinary::relax();
    }
}

/// Measures all of it.
pub fn measure(mut question: Question<'_>) {
    question.candidate("site", &site);
    let forms = [
        // SAFETY: the op's instruction, and a return.
        ("site, naked call", Override::Call(unsafe { Leaf::promise(insn::relax) })),
        ("site, nothing", Override::Nop),
    ];
    for (name, form) in forms {
        let mut replacements = Replacements::KEEP;
        replacements.set::<cpu::relax>(form);
        // SAFETY: the op, or nothing, which is as good; this is the only thread.
        unsafe { edited(&replacements, || question.candidate(name, &site)) };
    }
    question.candidate("direct call", &direct);
}
