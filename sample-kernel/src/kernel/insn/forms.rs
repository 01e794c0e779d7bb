//! The inline form of every op that has one: other bytes with the same meaning.

// UNSAFETY: promises that bytes keep the contract of ops.
#![expect(unsafe_code)]

use core::arch::global_asm;

use vmi::Op;
use vmi_abi::{Inline, Override, Overrides, SITE_LEN_MAX};

macro_rules! forms {
    ([] $( $(#[$group_doc:meta])* $group:ident $Group:ident { $(
        $(#[$doc:meta])* $number:literal $name:ident [$($unsafe:tt)?] $class:ident
        ($($argument:ident: $type:ty = $in:tt),*) -> $result:ty = $out:tt $native:literal;
    )* } )*) => {
        /// Puts every op inline: call ops, but for `wait`, are more than a site can hold, and stay as they are.
        pub fn inline_over(mut all: Overrides) -> Overrides {
            $( $( inline_override!($class all $group $name $number); )* )*
            // SAFETY: what the native function does, and it returns to the same place.
            all.irq.wait = Override::Inline(unsafe { Inline::promise(&[0xfb, 0xf4]) });
            all
        }

        // The native instruction behind other prefixes than the site's own, eight bytes a row.
        global_asm!(
            ".pushsection .rodata.inline_forms,\"a\",@progbits",
            ".balign 8",
            "inline_forms:",
            $( $( inline_text!($class $native), )* )*
            ".popsection",
        );
    };
}

macro_rules! inline_override {
    (call $all:ident $group:ident $name:ident $number:literal) => {};
    ($class:ident $all:ident $group:ident $name:ident $number:literal) => {
        // SAFETY: the symbol is that of the rows.
        let row = unsafe { &inline_forms[$number] };
        // SAFETY: the row is the native instruction behind prefixes that mean nothing.
        $all.$group.$name = Override::Inline(unsafe { Inline::promise(&row[..5]) });
    };
}

macro_rules! inline_text {
    (leaf $native:literal) => {
        concat!(
            "770: .skip -((772f - 771f < 5) * (5 - (772f - 771f))), 0x36\n771: ",
            $native,
            "\n772: .skip 8 - (772b - 770b), 0\n"
        )
    };
    (jump $native:literal) => {
        concat!("770: ", $native, "\n771: .skip 5 - (771b - 770b), 0x90\n.skip 3, 0\n")
    };
    (call $native:literal) => {
        ".skip 8, 0\n"
    };
}

vmi_abi::ops!([forms]);

unsafe extern "C" {
    static inline_forms: [[u8; SITE_LEN_MAX]; Op::COUNT];
}
