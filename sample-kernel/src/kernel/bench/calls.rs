//! Ops by calls that no patcher knows of: of an ordinary function, and of a trait object's method.

// UNSAFETY: hands on the contracts of the ops.
#![expect(unsafe_code)]

macro_rules! calls {
    ([] $( $(#[$group_doc:meta])* $group:ident $Group:ident { $(
        $(#[$doc:meta])* $number:literal $name:ident [$($unsafe:tt)?] $class:ident
        ($($argument:ident: $type:ty = $in:tt),*) -> $result:ty = $out:tt $native:literal;
    )* } )*) => {
        /// Ordinary functions, called directly.
        #[allow(dead_code, reason = "some ops end the run, or cannot be done by a call")]
        pub mod direct { $( pub mod $group { $(
            #[inline(never)]
            pub unsafe fn $name($($argument: $type),*) -> $result {
                function!($class $group $Group $name ($($argument),*))
            }
        )* } )* }

        /// Trait objects, one a group.
        #[allow(dead_code, reason = "as above")]
        pub mod object { $( pub mod $group {
            pub trait Object: Sync {
                $( unsafe fn $name(&self, $($argument: $type),*) -> $result; )*
            }

            struct Machine;

            impl Object for Machine {
                $( unsafe fn $name(&self, $($argument: $type),*) -> $result {
                    function!($class $group $Group $name ($($argument),*))
                } )*
            }

            static OBJECT: &dyn Object = &Machine;

            $(
                #[inline(always)]
                pub unsafe fn $name($($argument: $type),*) -> $result {
                    // SAFETY: an ordinary static; the compiler may not know what it holds.
                    let object = unsafe { (&raw const OBJECT).read_volatile() };
                    // SAFETY: the caller's promises are the method's.
                    unsafe { object.$name($($argument),*) }
                }
            )*
        } )* }
    };
}

/// What the functions do: the bare instruction, or of a call op what the library's own function does.
macro_rules! function {
    (leaf $group:ident $Group:ident $name:ident ($($argument:ident),*)) => {
        // SAFETY: the caller's promises are the instruction's.
        unsafe { $crate::kernel::insn::bare::$group::$name($($argument),*) }
    };
    (call $group:ident $Group:ident $name:ident ()) => {{
        #[allow(unused_unsafe, reason = "some ops are safe")]
        // SAFETY: the caller's promises are the op's.
        unsafe { <vmi_native::Native as vmi_abi::$Group>::$name() }
    }};
    // The way through a frame is leave.rs.
    (jump $group:ident $Group:ident $name:ident ()) => { unreachable!() };
}

vmi_abi::ops!([calls]);
