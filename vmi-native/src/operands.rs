//! Ops from the caller's side: an `asm!` block with the operands where the op's contract has them.

/// Expands to an `asm!` block that runs a text with the operands of a leaf op in their places, and to the op's result.
///
/// ```text
/// __leaf_asm!([text, ...] [named operands,] [clobbers,] (argument: type = place) -> type = place)
/// ```
///
/// takes arguments and result as the op list has them. `nostack` is set exactly where the target has no red zone: there,
/// memory below the stack pointer is anybody's, so what the text calls may put a return address there. Nothing is `nomem`
/// or `preserves_flags`: what the text leads to may use both. Where the target has vector registers, an ordinary function
/// that serves a leaf op may clobber them.
#[doc(hidden)]
#[macro_export]
macro_rules! __leaf_asm {
    // The operand lies on the stack when control reaches the text.
    ([$($text:expr),*] [$($named:tt)*] [$($clobbers:tt)*]
        ($argument:ident: $type:ty = ["stack" $($bits:tt)*]) -> $result:ty = []) => {
        $crate::__leaf_asm!(@asm
            "push {stack}",
            $($text,)*
            stack = in(reg) $crate::Value::to_bits($argument) as u64,
            $($named)*
            $($clobbers)*
        )
    };
    // The result lies on the stack when control leaves the text.
    ([$($text:expr),*] [$($named:tt)*] [$($clobbers:tt)*] () -> $result:ty = [$out:ident: "stack" $($bits:tt)*]) => {{
        let $out: u64;
        ::core::cfg_select! {
            // `clobber_abi` allows no register of the compiler's choice as output.
            target_feature = "sse" => {
                $crate::__leaf_asm!(@asm $($text,)* "pop rax", $($named)* lateout("rax") $out, $($clobbers)*);
            }
            _ => {
                $crate::__leaf_asm!(@asm $($text,)* "pop {stack}", stack = lateout(reg) $out, $($named)* $($clobbers)*);
            }
        }
        <$result as $crate::Value>::from_bits($out.into())
    }};
    ($text:tt $named:tt $clobbers:tt ($($argument:ident: $type:ty = $places:tt),*) -> $result:ty = $outputs:tt) => {
        $crate::__leaf_asm!(@inputs [] [$($argument $places)*] $text $named $clobbers $result, $outputs)
    };

    // Inputs, each in a register of just its width, so that nothing is done about the bits above.
    (@inputs $done:tt [$argument:ident [] $($rest:tt)*] $($then:tt)*) => {
        $crate::__leaf_asm!(@inputs $done [$($rest)*] $($then)*)
    };
    (@inputs [$($done:tt)*] [$argument:ident ["rax" 0..8] $($rest:tt)*] $($then:tt)*) => {
        $crate::__leaf_asm!(@inputs
            [$($done)* in("al") $crate::Value::to_bits($argument) as u8,]
            [$($rest)*] $($then)*)
    };
    (@inputs [$($done:tt)*] [$argument:ident [$register:tt 0..16] $($rest:tt)*] $($then:tt)*) => {
        $crate::__leaf_asm!(@inputs
            [$($done)* in($register) $crate::Value::to_bits($argument) as u16,]
            [$($rest)*] $($then)*)
    };
    (@inputs [$($done:tt)*] [$argument:ident [$register:tt 0..32 $(, $($more:tt)*)?] $($rest:tt)*] $($then:tt)*) => {
        $crate::__leaf_asm!(@inputs
            [$($done)* in($register) $crate::Value::to_bits($argument) as u32,]
            [$argument [$($($more)*)?] $($rest)*] $($then)*)
    };
    (@inputs [$($done:tt)*] [$argument:ident [$register:tt 32..64] $($rest:tt)*] $($then:tt)*) => {
        $crate::__leaf_asm!(@inputs
            [$($done)* in($register) ($crate::Value::to_bits($argument) >> 32) as u32,]
            [$($rest)*] $($then)*)
    };
    (@inputs [$($done:tt)*] [$argument:ident [$register:tt 0..64] $($rest:tt)*] $($then:tt)*) => {
        $crate::__leaf_asm!(@inputs
            [$($done)* in($register) $crate::Value::to_bits($argument) as u64,]
            [$($rest)*] $($then)*)
    };
    (@inputs $done:tt [] $text:tt $named:tt $clobbers:tt $result:ty, $outputs:tt) => {
        $crate::__leaf_asm!(@outputs $text $named $clobbers $done $result, [] $outputs)
    };

    // Outputs: none.
    (@outputs [$($text:expr),*] [$($named:tt)*] [$($clobbers:tt)*] [$($inputs:tt)*] $result:ty, [] []) => {
        $crate::__leaf_asm!(@asm $($text,)* $($named)* $($inputs)* $($clobbers)*)
    };
    // One is in rbx, which the compiler keeps to itself: its value waits in rsi, which the text preserves.
    (@outputs [$($text:expr),*] [$($named:tt)*] [$($clobbers:tt)*] [$($inputs:tt)*] $result:ty, []
        [$a:ident: $ra:tt $a_low:literal..$a_high:literal, $b:ident: "rbx" $b_low:literal..$b_high:literal,
            $($out:ident: $register:tt $low:literal..$high:literal),*]) => {{
        let ($a, $b, $($out),*): (u32, u32, $($crate::__leaf_asm!(@u32 $out)),*);
        $crate::__leaf_asm!(@asm
            "mov rsi, rbx",
            $($text,)*
            "xchg rsi, rbx",
            $($named)*
            $($inputs)*
            lateout($ra) $a, out("rsi") $b, $( lateout($register) $out, )*
            $($clobbers)*
        );
        <$result as $crate::Value>::from_bits(
            u128::from($a) << $a_low | u128::from($b) << $b_low $( | u128::from($out) << $low )*
        )
    }};
    // The last is a fault flag, which is clear unless the text sets it; the others are below its bit.
    (@outputs [$($text:expr),*] [$($named:tt)*] [$($clobbers:tt)*] [$($inputs:tt)*] $result:ty,
        [$($out:ident $register:tt $low:literal $high:literal)*] [fault: "rsi" $fault_low:literal..$fault_high:literal]) => {{
        $( let $out: u64; )*
        let fault: u64;
        $crate::__leaf_asm!(@asm
            $($text,)*
            $($named)*
            $($inputs)*
            $( lateout($register) $out, )*
            inlateout("rsi") 0_u64 => fault,
            $($clobbers)*
        );
        let value = (0_u128 $( | u128::from($out) << $low )*) & ((1 << $fault_low) - 1);
        <$result as $crate::Value>::from_bits(u128::from(fault) << $fault_low | value)
    }};
    (@outputs $text:tt $named:tt $clobbers:tt $inputs:tt $result:ty,
        [$($done:tt)*] [$out:ident: $register:tt $low:literal..$high:literal $(, $($rest:tt)*)?]) => {
        $crate::__leaf_asm!(@outputs $text $named $clobbers $inputs $result,
            [$($done)* $out $register $low $high] [$($($rest)*)?])
    };
    (@outputs [$($text:expr),*] [$($named:tt)*] [$($clobbers:tt)*] [$($inputs:tt)*] $result:ty,
        [$($out:ident $register:tt $low:literal $high:literal)*] []) => {{
        $( let $out: u64; )*
        $crate::__leaf_asm!(@asm $($text,)* $($named)* $($inputs)* $( lateout($register) $out, )* $($clobbers)*);
        $( if $high - $low == 32 {
            // SAFETY: the instruction leaves the upper half of the register 0, and so does what replaces it, by the
            // contract of `Leaf::promise`.
            unsafe { ::core::hint::assert_unchecked($out <= 0xffff_ffff) };
        } )*
        <$result as $crate::Value>::from_bits(0 $( | u128::from($out) << $low )*)
    }};
    (@u32 $out:ident) => { u32 };
    (@asm $($template_and_operands:tt)*) => {
        // SAFETY: the op's own contract; the caller of the function around this vouches for it.
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

/// Expands to an `asm!` block that runs a text with the operands of a call op where the `sysv64` convention has them, and
/// to the op's result.
///
/// ```text
/// __call_asm!([text, ...] [named operands,] [clobbers,] (argument: type = []) -> type)
/// ```
///
/// It has no `nostack` anywhere, because the functions called expect an aligned stack.
#[doc(hidden)]
#[macro_export]
macro_rules! __call_asm {
    ($text:tt $named:tt $clobbers:tt ($($argument:ident: $type:ty = []),*) -> $result:ty) => {
        $crate::__call_asm!(@inputs $text $named $clobbers $result, []
            [$($argument)*] ["rdi" "rsi" "rdx" "rcx" "r8" "r9"])
    };
    (@inputs $text:tt $named:tt $clobbers:tt $result:ty, [$($done:tt)*]
        [$argument:ident $($more:ident)*] [$register:tt $($registers:tt)*]) => {
        $crate::__call_asm!(@inputs $text $named $clobbers $result,
            [$($done)* in($register) $crate::Value::to_bits($argument) as u64,]
            [$($more)*] [$($registers)*])
    };
    (@inputs [$($text:expr),*] [$($named:tt)*] [$($clobbers:tt)*] $result:ty, [$($inputs:tt)*] [] $registers:tt) => {{
        let (low, high): (u64, u64);
        // SAFETY: the function called keeps the convention; the caller of the function around this vouches for the op's
        // own contract.
        unsafe {
            ::core::arch::asm!(
                $($text,)*
                $($named)*
                $($inputs)*
                lateout("rax") low,
                lateout("rdx") high,
                $($clobbers)*
                clobber_abi("sysv64"),
            )
        }
        let _ = high;
        <$result as $crate::Value>::from_bits(u128::from(high) << 64 | u128::from(low))
    }};
}
