//! Per op, the function whose body is its site: the operands in the registers of the op's contract, and `insn!`.
//!
//! All are inlined, so that the site stands where the op is used. The operands of leaf ops, and the options of their
//! `asm!`, are vmi-abi's `operands.rs`. Call ops are without `nostack` everywhere, because the functions called expect an
//! aligned stack.

// UNSAFETY: emits the instructions of the op list.
#![expect(unsafe_code)]

macro_rules! emit {
    (leaf $group:ident $name:ident $number:literal $native:literal ($($arguments:tt)*) -> $result:ty = $outputs:tt) => {
        vmi_abi::__leaf_asm!([__site!(leaf $number $native $outputs)] [] [] ($($arguments)*) -> $result = $outputs)
    };
    (call $group:ident $name:ident $number:literal $native:literal () -> $result:ty = []) => {{
        let result: u64;
        // SAFETY: the function called keeps the convention; the op has no contract beyond it.
        unsafe {
            ::core::arch::asm!(
                __site!(call $number "call {function}" []),
                function = sym crate::native::$group::$name,
                lateout("rax") result,
                clobber_abi("sysv64"),
            )
        }
        <$result as vmi_abi::Word>::from_bits(result.into())
    }};
}

macro_rules! site_functions {
    ([] $( $(#[$group_doc:meta])* $group:ident $Group:ident { $(
        $(#[$doc:meta])* $number:literal $name:ident [$($unsafe:tt)?] $class:ident
        ($($argument:ident: $type:ty = $in:tt),*) -> $result:ty = $out:tt $native:literal;
    )* } )*) => { $(
        pub(crate) mod $group {
            $( site_function! { $class $group $name [$($unsafe)?] $number $native ($($argument: $type = $in),*) -> $result = $out } )*
        }
    )* };
}

/// A jump op has no function: control would not come back to it.
macro_rules! site_function {
    (jump $($rest:tt)*) => {};
    ($class:ident $group:ident $name:ident [$($unsafe:tt)?] $number:literal $native:literal
        ($($argument:ident: $type:ty = $in:tt),*) -> $result:ty = $out:tt) => {
        #[inline(always)]
        pub(crate) $($unsafe)? fn $name($($argument: $type),*) -> $result {
            emit!($class $group $name $number $native ($($argument: $type = $in),*) -> $result = $out)
        }
    };
}

vmi_abi::ops!([site_functions]);

/// Defines `insn!`. The first token is a dollar sign, which a macro cannot otherwise hand to a macro it defines.
macro_rules! define_insn {
    ([$dollar:tt] $( $(#[$group_doc:meta])* $group:ident $Group:ident { $(
        $(#[$doc:meta])* $number:literal $name:ident [$($unsafe:tt)?] $class:ident
        ($($argument:ident: $type:ty = $in:tt),*) -> $result:ty = $out:tt $native:literal;
    )* } )*) => {
        /// Expands to the site of a leaf or jump op as text, for `naked_asm!` and `global_asm!`: entry stubs,
        /// return paths.
        ///
        /// The text is in Intel syntax, and defines the numeric labels 771 to 775 anew. The operands must be where the
        /// op's register contract has them. On a stack that is not the kernel's own, an
        /// op may be replaced only by inline instructions or by nothing.
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
            $( $( ($group::$name) => { $crate::__insn!($class $number $native $out) }; )* )*
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __insn {
    (call $($rest:tt)*) => { compile_error!("a call op has no text of its own: call its function") };
    ($class:ident $number:literal $native:literal $outputs:tt) => { $crate::__site!($class $number $native $outputs) };
}

vmi_abi::ops!([define_insn] $);
