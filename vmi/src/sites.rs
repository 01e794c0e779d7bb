//! Per op, the function whose body is its site: the operands in the registers of the op's contract, and `insn!`.
//!
//! All are inlined, so that the site stands where the op is used. `nostack` is set exactly where the target has no red
//! zone: there, memory below the stack pointer is anybody's, so a replacement's return address may go there. Call ops
//! are without it everywhere, because the functions called expect an aligned stack. Nothing is `nomem` or
//! `preserves_flags`: what stands in place of the native form may use both. Where the target has vector registers, an
//! ordinary function that replaces a leaf op may clobber them.

// UNSAFETY: emits the instructions of the op list.
#![expect(unsafe_code)]

/// One `asm!` with the options and clobbers of a leaf site.
macro_rules! leaf_asm {
    ($($template_and_operands:tt)*) => {
        // SAFETY: the op's own contract; the caller of the generated function vouches for it.
        unsafe {
            ::core::arch::asm!(
                $($template_and_operands)*
                #[cfg(target_feature = "sse")]
                clobber_abi("sysv64"),
                #[cfg(target_os = "none")]
                options(nostack),
            )
        }
    };
}

/// The input operands of an op.
macro_rules! emit {
    // The operand lies on the stack when control reaches the site.
    (leaf $group:ident $name:ident $number:literal $native:literal
        ($argument:ident: $type:ty = ["stack" $($bits:tt)*]) -> $result:ty = []) => {
        leaf_asm!(
            "push {stack}",
            __site!(leaf $number $native []),
            stack = in(reg) vmi_abi::Word::to_bits($argument) as u64,
        )
    };
    // The result lies on the stack when control leaves the site.
    (leaf $group:ident $name:ident $number:literal $native:literal () -> $result:ty = [$out:ident: "stack" $($bits:tt)*]) => {{
        let $out: u64;
        #[cfg(not(target_feature = "sse"))]
        leaf_asm!(__site!(leaf $number $native []), "pop {stack}", stack = lateout(reg) $out,);
        // `clobber_abi` allows no register of the compiler's choice as output.
        #[cfg(target_feature = "sse")]
        leaf_asm!(__site!(leaf $number $native []), "pop rax", lateout("rax") $out,);
        <$result as vmi_abi::Word>::from_bits($out.into())
    }};
    // The compiler keeps rbx to itself: its value waits in rsi, which the site preserves.
    (leaf $group:ident $name:ident $number:literal $native:literal
        ($($argument:ident: $type:ty = [$in:tt $($in_bits:tt)*]),*)
        -> $result:ty = [$a:ident: $ra:tt $a_low:literal..$a_high:literal, $b:ident: "rbx" $b_low:literal..$b_high:literal,
            $($out:ident: $register:tt $low:literal..$high:literal),*]) => {{
        let ($a, $b, $($out),*): (u64, u64, $(emit!(@u64 $out)),*);
        leaf_asm!(
            "mov rsi, rbx",
            __site!(leaf $number $native []),
            "xchg rsi, rbx",
            $( in($in) vmi_abi::Word::to_bits($argument) as u64, )*
            lateout($ra) $a, out("rsi") $b, $( lateout($register) $out, )*
        );
        <$result as vmi_abi::Word>::from_bits(u128::from($a) << $a_low | u128::from($b) << $b_low $( | u128::from($out) << $low )*)
    }};
    (leaf $group:ident $name:ident $number:literal $native:literal
        ($($argument:ident: $type:ty = [$($in:tt $in_low:literal..$in_high:literal),*]),*) -> $result:ty = $outputs:tt) => {
        emit!(@outputs $number $native [$( $( in($in) (vmi_abi::Word::to_bits($argument) >> $in_low) as u64, )* )*] $result, $outputs)
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

    // Outputs: none; ones that end in a fault flag, which is clear unless a fixup or a replacement sets it; others.
    (@outputs $number:literal $native:literal [$($inputs:tt)*] $result:ty, []) => {
        leaf_asm!(__site!(leaf $number $native []), $($inputs)*)
    };
    (@outputs $number:literal $native:literal $inputs:tt $result:ty, $outputs:tt) => {
        emit!(@results $number $native $outputs $inputs $result, [] $outputs)
    };
    (@results $number:literal $native:literal $all:tt [$($inputs:tt)*] $result:ty,
        [$($out:ident $register:tt $low:literal)*] [fault: "rsi" $fault_low:literal..$fault_high:literal]) => {{
        $( let $out: u64; )*
        let fault: u64;
        leaf_asm!(
            __site!(leaf $number $native $all),
            $($inputs)*
            $( lateout($register) $out, )*
            inlateout("rsi") 0_u64 => fault,
        );
        <$result as vmi_abi::Word>::from_bits(u128::from(fault) << $fault_low $( | u128::from($out) << $low )*)
    }};
    (@results $number:literal $native:literal $all:tt $inputs:tt $result:ty,
        [$($done:tt)*] [$out:ident: $register:tt $low:literal..$high:literal $(, $($rest:tt)*)?]) => {
        emit!(@results $number $native $all $inputs $result, [$($done)* $out $register $low] [$($($rest)*)?])
    };
    (@results $number:literal $native:literal $all:tt [$($inputs:tt)*] $result:ty, [$($out:ident $register:tt $low:literal)*] []) => {{
        $( let $out: u64; )*
        leaf_asm!(__site!(leaf $number $native $all), $($inputs)* $( lateout($register) $out, )*);
        <$result as vmi_abi::Word>::from_bits(0 $( | u128::from($out) << $low )*)
    }};
    (@u64 $out:ident) => { u64 };
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
