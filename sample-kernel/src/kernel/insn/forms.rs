//! The inline form of every op that has one: another instruction with the same meaning.

// UNSAFETY: promises that bytes keep the contract of ops.
#![expect(unsafe_code)]

use core::arch::global_asm;

use vmi::Op;
use vmi_abi::{Class, Inline, Override, Replacements, SITE_LEN_MAX, Stack, columns};

macro_rules! forms {
    ([] $( $(#[$group_doc:meta])* $group:ident $Group:ident { $( $(#[$doc:meta])* $name:ident $row:tt )* } )*) => {
        // The native instruction behind other prefixes than the site's own, eight bytes each by number.
        global_asm!(
            ".pushsection .rodata.inline_forms,\"a\",@progbits",
            ".balign 8",
            ".globl inline_forms",
            "inline_forms:",
            $( $( columns!([inline_text] [class number native] $row), )* )*
            ".popsection",
        );
    };
}

macro_rules! inline_text {
    (leaf $number:literal $native:literal) => {
        inline_text!(@row $number concat!(".skip -((772f - 771f < 5) * (5 - (772f - 771f))), 0x36\n771: ", $native, "\n772: "))
    };
    (jump $number:literal $native:literal) => {
        inline_text!(@row $number concat!($native, "\n771: .skip 5 - (771b - 770b), 0xcc\n"))
    };
    (note $number:literal $native:literal) => {
        inline_text!(@row $number concat!("nop dword ptr [rax + rax + ", $number, "]\n"))
    };
    (call $number:literal $native:literal) => {
        inline_text!(@row $number "")
    };
    (@row $number:literal $text:expr) => {
        concat!(".subsection ", $number, "\n770: ", $text, "773: .skip 8 - (773b - 770b), 0\n")
    };
}

vmi_abi::ops!([forms]);

/// Puts every op inline: call ops are more than a site can hold, and stay as they are.
pub fn inline_over(all: Replacements) -> Replacements {
    inline(all, |op| op.class() != Class::Call)
}

/// Puts those ops inline whose sites may stand where nothing may be called.
pub fn inline_where_needed(all: Replacements) -> Replacements {
    inline(all, |op| op.info().stack == Stack::Any)
}

fn inline(mut all: Replacements, which: fn(&Op) -> bool) -> Replacements {
    for op in Op::all().filter(which) {
        // SAFETY: the symbol is that of the rows.
        let row = unsafe { &inline_forms[op.index()] };
        // SAFETY: the row is the native instruction behind prefixes that mean nothing.
        let code = unsafe { Inline::promise(&row[..5]) };
        // SAFETY: it does what the native instruction does.
        unsafe { all.set_raw(op, Override::Inline(code)) };
    }
    all
}

unsafe extern "C" {
    static inline_forms: [[u8; SITE_LEN_MAX]; Op::COUNT];
}
