//! Ops by calls that no patcher knows of: of an ordinary function, and of a trait object's method.

// UNSAFETY: hands on the contracts of the ops.
#![expect(unsafe_code)]

use vmi_abi::columns;

macro_rules! calls {
    ([] $( $(#[$group_doc:meta])* $group:ident $Group:ident { $( $(#[$doc:meta])* $name:ident $row:tt )* } )*) => {
        /// Ordinary functions, called directly.
        #[allow(dead_code, reason = "some ops end the run, or cannot be done by a call")]
        pub mod direct { $( pub mod $group {
            use super::super::columns;
            $( columns!([direct] [class inputs result] $row $group $Group $name); )*
        } )* }

        /// Trait objects, one a group.
        #[allow(dead_code, reason = "as above")]
        pub mod object { $( pub mod $group {
            use super::super::columns;

            pub trait Object: Sync {
                $( columns!([declared] [inputs result] $row $name); )*
            }

            struct Machine;

            impl Object for Machine {
                $( columns!([method] [class inputs result] $row $group $Group $name); )*
            }

            static OBJECT: &dyn Object = &Machine;

            $( columns!([object] [inputs result] $row OBJECT $name); )*
        } )* }
    };
}

macro_rules! direct {
    ($group:ident $Group:ident $name:ident $class:ident ($($input:ident: $type:ty = $places:tt),*) ($result:ty)) => {
        #[inline(never)]
        pub unsafe fn $name($($input: $type),*) -> $result {
            function!($class $group $Group $name ($($input),*))
        }
    };
}

macro_rules! declared {
    ($name:ident ($($input:ident: $type:ty = $places:tt),*) ($result:ty)) => {
        unsafe fn $name(&self, $($input: $type),*) -> $result;
    };
}

macro_rules! method {
    ($group:ident $Group:ident $name:ident $class:ident ($($input:ident: $type:ty = $places:tt),*) ($result:ty)) => {
        unsafe fn $name(&self, $($input: $type),*) -> $result {
            function!($class $group $Group $name ($($input),*))
        }
    };
}

macro_rules! object {
    ($object:ident $name:ident ($($input:ident: $type:ty = $places:tt),*) ($result:ty)) => {
        #[inline(always)]
        pub unsafe fn $name($($input: $type),*) -> $result {
            // SAFETY: an ordinary static; the compiler may not know what it holds.
            let object = unsafe { (&raw const $object).read_volatile() };
            // SAFETY: the caller's promises are the method's.
            unsafe { object.$name($($input),*) }
        }
    };
}

/// What the functions do: the bare instruction, or of a call op what the library's own function does.
macro_rules! function {
    (call $group:ident $Group:ident $name:ident ($($input:ident),*)) => {{
        #[allow(unused_unsafe, reason = "some ops are safe")]
        // SAFETY: the caller's promises are the op's.
        unsafe { <vmi_native::Native as vmi_abi::$Group>::$name($($input),*) }
    }};
    // The way through a frame is leave.rs.
    (jump $group:ident $Group:ident $name:ident ()) => { unreachable!() };
    ($class:ident $group:ident $Group:ident $name:ident ($($input:ident),*)) => {
        // SAFETY: the caller's promises are the instruction's.
        unsafe { $crate::kernel::insn::bare::$group::$name($($input),*) }
    };
}

vmi_abi::ops!([calls]);
