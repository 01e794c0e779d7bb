//! What the op list becomes: traits, op types, tables and overrides.

// UNSAFETY: declares the unsafe methods of the group traits; holds no unsafe block.
#![expect(unsafe_code)]

use crate::{Class, Entry, Erased, Leaf, LeafFrame, Override, Word, word};

/// The field of the frame that holds a register.
macro_rules! register {
    ($frame:ident "stack") => {
        $frame.stack
    };
    ($frame:ident "rax") => {
        $frame.rax
    };
    ($frame:ident "rbx") => {
        $frame.rbx
    };
    ($frame:ident "rcx") => {
        $frame.rcx
    };
    ($frame:ident "rdx") => {
        $frame.rdx
    };
    ($frame:ident "rsi") => {
        $frame.rsi
    };
    ($frame:ident "rdi") => {
        $frame.rdi
    };
}

macro_rules! is_stack {
    ("stack") => {
        true
    };
    ($register:literal) => {
        false
    };
}

macro_rules! class {
    (leaf) => {
        Class::Leaf
    };
    (call) => {
        Class::Call
    };
    (jump) => {
        Class::Jump
    };
}

/// Whether the stack is the same before and behind a site.
macro_rules! keeps_the_stack {
    (leaf $group:ident $name:ident) => {
        !$group::$name::ARGUMENT_ON_STACK
    };
    (call $group:ident $name:ident) => {
        true
    };
    (jump $group:ident $name:ident) => {
        false
    };
}

/// The type of the function that serves an op: what a `Call` override holds and the table keeps.
macro_rules! function {
    (call $name:ident [$($unsafe:tt)?] ($($type:ty),*) $result:ty) => { $($unsafe)? extern "sysv64" fn($($type),*) -> $result };
    ($class:ident $name:ident [$($unsafe:tt)?] ($($type:ty),*) $result:ty) => { Leaf<$name> };
}

/// The register contract of a leaf op, from the callee's side.
macro_rules! contract {
    (leaf $name:ident
        ($($argument:ident: $type:ty = [$($in:tt $in_low:literal..$in_high:literal),*]),*)
        -> $result:ty = [$($out:ident: $register:tt $low:literal..$high:literal),*]) => {
        #[doc(hidden)]
        impl $name {
            pub const ARGUMENT_ON_STACK: bool = false $( $( | is_stack!($in) )* )*;
            pub const RESULT_ON_STACK: bool = false $( | is_stack!($register) )*;

            /// Decodes the inputs from the saved registers, calls `function`, encodes its result.
            #[inline(always)]
            pub fn serve(frame: &mut LeafFrame, function: impl FnOnce($($type),*) -> $result) {
                $( let $argument = <$type as Word>::from_bits(
                    0 $( | u128::from(word::bits(register!(frame $in).into(), 0, $in_high - $in_low)) << $in_low )*
                ); )*
                let _result = function($($argument),*).to_bits();
                $( register!(frame $register) = word::bits(_result, $low, $high); )*
                let _ = frame;
            }
        }
    };
    ($class:ident $name:ident $($rest:tt)*) => {};
}

macro_rules! define {
    ([] $( $(#[$group_doc:meta])* $group:ident $Group:ident { $(
        $(#[$doc:meta])* $number:literal $name:ident [$($unsafe:tt)?] $class:ident
        ($($argument:ident: $type:ty = $in:tt),*) -> $result:ty = $out:tt $native:literal;
    )* } )*) => {
        $(
            $(#[$group_doc])*
            ///
            /// One method an op, with plain integers. Bare metal and mocks implement whole groups.
            pub trait $Group {
                $(
                    $(#[$doc])*
                    #[doc = unsafe_contract!($($unsafe)?)]
                    $($unsafe)? fn $name($($argument: $type),*) -> $result;
                )*
            }

            $(#[$group_doc])*
            #[expect(non_camel_case_types, reason = "an op's type is called like the op")]
            pub mod $group {
                use super::*;

                $(
                    $(#[$doc])*
                    #[derive(Clone, Copy, Debug)]
                    pub enum $name {}

                    impl $name {
                        /// The op.
                        pub const OP: Op = Op($number);
                    }

                    contract!($class $name ($($argument: $type = $in),*) -> $result = $out);
                )*

                /// What a backend puts in place of the ops of this group.
                #[derive(Clone, Copy, Debug)]
                pub struct Overrides {
                    $( $(#[$doc])* pub $name: Override<function!($class $name [$($unsafe)?] ($($type),*) $result)>, )*
                }

                impl Overrides {
                    /// Every op stays native.
                    pub const KEEP: Self = Self { $( $name: Override::Keep, )* };
                }

                /// The functions that serve the ops of this group now.
                #[repr(C)]
                #[derive(Clone, Copy, Debug)]
                pub struct Table {
                    $( $(#[$doc])* pub $name: function!($class $name [$($unsafe)?] ($($type),*) $result), )*
                }
            }
        )*

        /// What a backend puts in place of ops: built by struct update from [`Overrides::KEEP`].
        #[derive(Clone, Copy, Debug)]
        pub struct Overrides {
            $( $(#[$group_doc])* pub $group: $group::Overrides, )*
        }

        impl Overrides {
            /// Every op stays native.
            pub const KEEP: Self = Self { $( $group: $group::Overrides::KEEP, )* };

            /// Returns the overrides by op number.
            #[doc(hidden)]
            pub fn erase(&self) -> [Erased; Op::COUNT] {
                let mut all = [Erased::Keep; Op::COUNT];
                $( $( all[$number] = self.$group.$name.erase(); )* )*
                all
            }
        }

        /// The function table: per op, the function that serves it now.
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        pub struct Table {
            /// Layout of this table: [`Table::VERSION`].
            pub version: u32,
            /// Number of ops the table holds.
            pub ops: u32,
            $( $(#[$group_doc])* pub $group: $group::Table, )*
        }

        impl Table {
            /// Returns this table with the functions of `overrides` on top.
            #[must_use]
            pub fn with(mut self, overrides: &Overrides) -> Self {
                $( $( if let Override::Call(function) = overrides.$group.$name {
                    self.$group.$name = function;
                } )* )*
                self
            }

            /// Returns the address of every function, by op number.
            #[doc(hidden)]
            pub fn addresses(&self) -> [usize; Op::COUNT] {
                let mut all = [0; Op::COUNT];
                $( $( all[$number] = self.$group.$name.address(); )* )*
                all
            }
        }

        impl Op {
            /// How many ops there are.
            pub const COUNT: usize = [$( $( $number, )* )*].len();

            /// Name, class, native form, and whether nothing can stand for it, by number. A number used twice, or a
            /// hole, does not compile.
            const LIST: [(&str, Class, &str, bool); Self::COUNT] = {
                let mut list = [("", Class::Leaf, "", false); Self::COUNT];
                $( $(
                    assert!(list[$number].0.is_empty(), "an op number is used twice");
                    list[$number] = (
                        concat!(stringify!($group), "::", stringify!($name)),
                        class!($class),
                        $native,
                        size_of::<$result>() == 0 && keeps_the_stack!($class $group $name),
                    );
                )* )*
                list
            };
        }
    };
}

macro_rules! unsafe_contract {
    () => { "" };
    (unsafe) => {
        "\n# Safety\n\n- Called in ring 0.\n- The values are ones with which the operation leaves memory, control flow and devices as the kernel expects them."
    };
}

/// The number of an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Op(u16);

impl Op {
    /// Returns the op with this number, if there is one.
    pub const fn new(number: u16) -> Option<Self> {
        if (number as usize) < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// Returns the op called `group::name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|op| op.name() == name)
    }

    /// Returns all ops by number.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT as u16).map(Self)
    }

    /// Returns the op's number.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Returns the op's name, `group::name`.
    pub const fn name(self) -> &'static str {
        Self::LIST[self.0 as usize].0
    }

    /// Tells whether a site may do nothing instead: the op has no result, and no operand on the stack.
    pub const fn may_be_nothing(self) -> bool {
        Self::LIST[self.0 as usize].3
    }

    /// Returns the op's native form in Intel syntax: an instruction, or, of a call op, what its function is made of
    /// where a few instructions say it.
    pub const fn native_form(self) -> &'static str {
        Self::LIST[self.0 as usize].2
    }

    /// Returns the op's class.
    pub const fn class(self) -> Class {
        Self::LIST[self.0 as usize].1
    }
}

impl core::fmt::Display for Op {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(self.name())
    }
}

impl Table {
    /// Version of the table's layout: the major number is above the low 16 bits, the minor in them. Appending an op
    /// of the last group raises the minor, anything else the major.
    pub const VERSION: u32 = 1 << 16;
}

crate::ops!([define]);

const _: () = assert!(size_of::<Table>() == 8 + 8 * Op::COUNT);

/// Returns the [`Overrides`] that serve every leaf and call op by the group traits of a type.
#[macro_export]
macro_rules! overrides_of {
    ($type:ty) => {
        $crate::ops!([$crate::__overrides_of] $type)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __overrides_of {
    ([$implementer:ty] $( $(#[$group_doc:meta])* $group:ident $Group:ident { $(
        $(#[$doc:meta])* $number:literal $name:ident [$($unsafe:tt)?] $class:ident
        ($($argument:ident: $type:ty = $in:tt),*) -> $result:ty = $out:tt $native:literal;
    )* } )*) => {
        $crate::Overrides { $( $group: $crate::$group::Overrides { $(
            $name: $crate::__override_of!($class $implementer, $group $Group $name [$($unsafe)?] ($($argument: $type),*) $result),
        )* }, )* }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __override_of {
    (leaf $implementer:ty, $group:ident $Group:ident $name:ident [$($unsafe:tt)?] ($($argument:ident: $type:ty),*) $result:ty) => {
        $crate::leaf!($group::$name, |$($argument: $type),*| $($unsafe)? { <$implementer as $crate::$Group>::$name($($argument),*) })
    };
    (call $implementer:ty, $group:ident $Group:ident $name:ident [$($unsafe:tt)?] ($($argument:ident: $type:ty),*) $result:ty) => {{
        $($unsafe)? extern "sysv64" fn function($($argument: $type),*) -> $result {
            $($unsafe)? { <$implementer as $crate::$Group>::$name($($argument),*) }
        }
        $crate::Override::Call(function)
    }};
    (jump $($rest:tt)*) => { $crate::Override::Keep };
}
