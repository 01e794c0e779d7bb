//! Per op, the function whose body is its site, and `insn!`.
//!
//! All are inlined, so that the site stands where the op is used. They are the front door, by group: what takes or returns
//! a type of its own there is written by hand over it. The operands, and the options of their `asm!`, are vmi-native's
//! `operands.rs`.

// UNSAFETY: emits the instructions of the op list.
#![expect(unsafe_code)]

use vmi_abi::columns;

macro_rules! sites {
    ([] $( $(#[$group_doc:meta])* $group:ident $Group:ident {
        $( $(#[doc = $doc:literal])* $name:ident $row:tt )*
    } )*) => { $(
        pub mod $group {
            $( super::columns!([site] [class number safety inputs result outputs native fill] $row $group $name [$($doc)*]); )*
        }
    )* };
}

/// A jump op has no function: control would not come back to it.
macro_rules! site {
    ($group:ident $name:ident $doc:tt jump $($rest:tt)*) => {};
    ($group:ident $name:ident [$($doc:literal)*] call $number:literal [$($unsafe:tt)?]
        ($($input:ident: $type:ty = $places:tt),*) ($result:ty) $outputs:tt $native:literal $fill:literal) => {
        $( #[doc = $doc] )*
        #[inline(always)]
        pub $($unsafe)? fn $name($($input: $type),*) -> $result {
            vmi_native::__call_asm!(
                [__site!(call $number "call {function}" $fill $outputs)]
                [function = sym vmi_native::functions::$group::$name,]
                [] ($($input: $type = $places),*) -> $result
            )
        }
    };
    ($group:ident $name:ident [$($doc:literal)*] $class:ident $number:literal [$($unsafe:tt)?]
        ($($input:ident: $type:ty = $places:tt),*) ($result:ty) $outputs:tt $native:literal $fill:literal) => {
        $( #[doc = $doc] )*
        #[inline(always)]
        pub $($unsafe)? fn $name($($input: $type),*) -> $result {
            vmi_native::__leaf_asm!([__site!($class $number $native $fill $outputs)] [] []
                ($($input: $type = $places),*) -> $result = $outputs)
        }
    };
}

vmi_abi::ops!([sites]);

macro_rules! define_insn {
    ([] $( $(#[$group_doc:meta])* $group:ident $Group:ident { $( $(#[$doc:meta])* $name:ident $row:tt )* } )*) => {
        /// Expands to the site of a leaf or jump op or a note as text, for `naked_asm!` and `global_asm!`: entry stubs,
        /// return paths.
        ///
        /// The text is in Intel syntax, and defines the numeric labels 771 to 775 anew. The operands must be where the
        /// op's register contract has them. On a stack that is not the kernel's own, only ops may stand whose row says
        /// `stack: any`: no replacement of them calls.
        ///
        /// # Examples
        ///
        /// ```
        /// #[unsafe(naked)]
        /// unsafe extern "sysv64" fn back_to_where_the_interrupt_came_from() {
        ///     core::arch::naked_asm!("pop rax", vmi::insn!(irq::leave))
        /// }
        /// ```
        #[macro_export]
        macro_rules! insn {
            $( $( ($group::$name) => {
                $crate::__columns! { [$crate::__insn] [class number native fill outputs] $row }
            }; )* )*
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __insn {
    (call $($rest:tt)*) => { compile_error!("a call op has no text of its own: call its function") };
    ($($site:tt)*) => { $crate::__site!($($site)*) };
}

vmi_abi::ops!([define_insn]);
