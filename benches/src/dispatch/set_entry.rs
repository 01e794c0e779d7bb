//! A store to a page-table entry: the cheapest of all ops.

// UNSAFETY: stores through a pointer, and replaces sites.
#![expect(unsafe_code)]

use core::{cell::UnsafeCell, ptr};

use static_keys::{define_static_key_false, static_branch_unlikely};
use vmi_abi::{Inline, Leaf, Override, Replacements, leaf, mmu};

use super::ordinary::{self, OBJECT, TABLE, now};
use crate::{insn, program::edited, question::Question};

/// The entry that all of them store to.
struct Entry(UnsafeCell<u64>);

// SAFETY: only written, by one thread.
unsafe impl Sync for Entry {}

static ENTRY: Entry = Entry(UnsafeCell::new(0));

define_static_key_false!(REPLACED);

/// The hand-written instruction.
#[inline(never)]
pub fn asm(turns: u64) {
    for turn in 0..turns {
        // SAFETY: the entry is valid for a write.
        unsafe { insn::store(ENTRY.0.get(), turn) };
    }
}

#[inline(never)]
fn site(turns: u64) {
    for turn in 0..turns {
        // SAFETY: the entry is valid for a write, and in no page table.
        unsafe { vmi::mmu::set_entry(ENTRY.0.get(), turn) };
    }
}

#[inline(never)]
fn direct(turns: u64) {
    for turn in 0..turns {
        // SAFETY: the entry is valid for a write.
        unsafe { ordinary::set_entry(ENTRY.0.get(), turn) };
    }
}

#[inline(never)]
fn table(turns: u64) {
    for turn in 0..turns {
        // SAFETY: the entry is valid for a write.
        unsafe { now(&TABLE.set_entry)(ENTRY.0.get(), turn) };
    }
}

#[inline(never)]
fn object(turns: u64) {
    for turn in 0..turns {
        // SAFETY: the entry is valid for a write.
        unsafe { now(&OBJECT).set_entry(ENTRY.0.get(), turn) };
    }
}

#[inline(never)]
fn retpoline(turns: u64) {
    for turn in 0..turns {
        let function = now(&TABLE.set_entry) as *const ();
        let entry = ptr::from_ref(&ENTRY).addr() as u64;
        // SAFETY: such a function, and the entry is valid for a write.
        unsafe { insn::retpolined(function, entry, turn) };
    }
}

/// A branch of the crate `static-keys`: the instruction, or a call of what serves the op instead.
#[inline(never)]
fn static_key(turns: u64) {
    for turn in 0..turns {
        let entry = ENTRY.0.get();
        if static_branch_unlikely!(REPLACED) {
            // SAFETY: the entry is valid for a write.
            unsafe { ordinary::set_entry(entry, turn) };
        } else {
            // SAFETY: the entry is valid for a write.
            unsafe { insn::store(entry, turn) };
        }
    }
}

/// Measures all of it.
pub fn measure(mut question: Question<'_>) {
    question.candidate("site", &site);
    let thunk = leaf!(mmu::set_entry, |entry: *mut u64, value| {
        // SAFETY: a store is all that the op is.
        unsafe { entry.write_volatile(value) };
    });
    let forms = [
        // SAFETY: the op's instruction.
        ("site, inline bytes", Override::Inline(unsafe { Inline::promise(&insn::SET_ENTRY) })),
        // SAFETY: the op's instruction, and a return.
        ("site, naked call", Override::Call(unsafe { Leaf::promise(insn::set_entry) })),
        ("site, thunk", thunk),
        ("site, nothing", Override::Nop),
    ];
    for (name, form) in forms {
        let mut replacements = Replacements::KEEP;
        replacements.set::<mmu::set_entry>(form);
        // SAFETY: the op, or nothing, which is as good for an entry that nobody reads; this is the only thread.
        unsafe { edited(&replacements, || question.candidate(name, &site)) };
    }
    question.candidate("direct call", &direct);
    question.candidate("table", &table);
    question.candidate("dyn", &object);
    question.candidate("retpoline", &retpoline);
    static_keys::global_init();
    question.candidate("static-keys, native", &static_key);
    // SAFETY: initialised just now; this is the only thread.
    unsafe { REPLACED.enable() };
    question.candidate("static-keys, call", &static_key);
    // SAFETY: as above.
    unsafe { REPLACED.disable() };
}
