//! Each op as a number and as a type, and what its row says of it.

use crate::{Class, Entry, Info, Input, Leaf, LeafFrame, Output, Place, Queue, Stack, Value, value};

/// The number of an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Op(u16);

/// An op as a type: [`irq::disable`] and its like. What [`Table::get`](crate::Table::get) and
/// [`Replacements::set`](crate::Replacements::set) are told, so that a function of another op does not compile. The list makes
/// the only ones:
///
/// ```compile_fail,E0277
/// enum Mine {}
/// impl vmi_abi::Operation for Mine {
///     const OP: vmi_abi::Op = vmi_abi::time::now_ns::OP;
///     type Function = extern "sysv64" fn();
/// }
/// ```
pub trait Operation: sealed::Sealed {
    /// The op.
    const OP: Op;
    /// The type of the function that serves it: [`Leaf`], or of a call op the function itself.
    type Function: Entry;
}

mod sealed {
    /// Of the list.
    pub trait Sealed {}
}

/// The value of the frame that a register has.
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
    ($register:tt) => {
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
    (note) => {
        Class::Note
    };
}

macro_rules! stack {
    (kernel) => {
        Stack::Kernel
    };
    (any) => {
        Stack::Any
    };
}

macro_rules! queue {
    (never) => {
        None
    };
    (mmu) => {
        Some(Queue::Mmu)
    };
    (cpu) => {
        Some(Queue::Cpu)
    };
    (descriptors) => {
        Some(Queue::Descriptors)
    };
}

/// Whether a row leaves it open that a site does nothing.
macro_rules! nop {
    (fits) => {
        true
    };
    (never) => {
        false
    };
}

/// The type of the function that serves an op: what a `Call` override holds and the table keeps.
macro_rules! function {
    (call $name:ident [$($unsafe:tt)?] ($($type:ty),*) $result:ty) => { $($unsafe)? extern "sysv64" fn($($type),*) -> $result };
    ($class:ident $name:ident [$($unsafe:tt)?] ($($type:ty),*) $result:ty) => { Leaf<$name> };
}

/// Whether the stack is the same before and behind a site.
macro_rules! keeps_the_stack {
    (call $name:ident) => {
        true
    };
    (jump $name:ident) => {
        false
    };
    ($class:ident $name:ident) => {
        !$name::ARGUMENT_ON_STACK
    };
}

/// The register contract of a leaf op or a note, from the callee's side.
macro_rules! contract {
    (call $($rest:tt)*) => {};
    (jump $($rest:tt)*) => {};
    ($class:ident $name:ident
        ($($argument:ident: $type:ty = [$($in:tt $in_low:literal..$in_high:literal),*]),*)
        -> $result:ty = [$($out:ident: $register:tt $low:literal..$high:literal),*]) => {
        #[doc(hidden)]
        impl $name {
            pub const ARGUMENT_ON_STACK: bool = false $( $( | is_stack!($in) )* )*;
            pub const RESULT_ON_STACK: bool = false $( | is_stack!($register) )*;

            /// Decodes the inputs from the saved registers, calls `function`, encodes its result.
            #[inline(always)]
            pub fn serve(frame: &mut LeafFrame, function: impl FnOnce($($type),*) -> $result) {
                $( let $argument = <$type as Value>::from_bits(
                    0 $( | u128::from(value::bits(register!(frame $in).into(), 0, $in_high - $in_low)) << $in_low )*
                ); )*
                let _result = function($($argument),*).to_bits();
                $( register!(frame $register) = value::bits(_result, $low, $high); )*
                let _ = frame;
            }
        }
    };
}

macro_rules! op_type {
    ($group:ident $name:ident [$($doc:literal)*]
        $number:literal $class:ident [$($unsafe:tt)?]
        ($($input:ident: $type:ty = [$($in:tt $in_low:literal..$in_high:literal),*]),*)
        ($result:ty)
        [$($out:ident: $register:tt $low:literal..$high:literal),*]
        $native:literal $fill:literal $stack:ident $since:literal $defer:ident $nop:ident) => {
        $( #[doc = $doc] )*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}

        impl $name {
            /// The op.
            pub const OP: Op = Op($number);

            /// Its row of the op list.
            pub const INFO: Info = Info {
                number: $number,
                name: concat!(stringify!($group), "::", stringify!($name)),
                group: stringify!($group),
                doc: &[$($doc),*],
                class: class!($class),
                is_unsafe: !matches!(stringify!($($unsafe)?).as_bytes(), b""),
                inputs: &[$( Input {
                    name: stringify!($input),
                    type_name: stringify!($type),
                    places: &[$( Place { register: $in, low: $in_low, high: $in_high } ),*],
                } ),*],
                result: stringify!($result),
                outputs: &[$( Output {
                    name: stringify!($out),
                    place: Place { register: $register, low: $low, high: $high },
                } ),*],
                native: $native,
                fill: $fill,
                stack: stack!($stack),
                since: $since,
                defer: queue!($defer),
                may_be_nothing: nop!($nop) && size_of::<$result>() == 0 && keeps_the_stack!($class $name),
            };
        }

        impl sealed::Sealed for $name {}

        impl Operation for $name {
            const OP: Op = Self::OP;
            type Function = function!($class $name [$($unsafe)?] ($($type),*) $result);
        }

        contract!($class $name ($($input: $type = [$($in $in_low..$in_high),*]),*)
            -> $result = [$($out: $register $low..$high),*]);

        const _: () = assert!(
            !matches!($name::INFO.class, Class::Note)
                || $number <= 0xff && size_of::<$result>() == 0 $( $( && !is_stack!($in) )* )*,
            "a note names its op in one byte, has no result, and takes nothing from the stack"
        );
        const _: () = assert!(
            !matches!(($name::INFO.class, $name::INFO.stack), (Class::Call, Stack::Any)),
            "a call op pushes a return address, and so runs on the kernel's stack"
        );
        const _: () = assert!(
            $name::INFO.defer.is_none() || size_of::<$result>() == 0,
            "an op that may be held back has no result"
        );
    };
}

macro_rules! define {
    ([] $( $(#[doc = $group_doc:literal])* $group:ident $Group:ident {
        $( $(#[doc = $doc:literal])* $name:ident $row:tt )*
    } )*) => {
        $(
            $( #[doc = $group_doc] )*
            #[expect(non_camel_case_types, reason = "an op's type is called like the op")]
            pub mod $group {
                use super::*;

                $( crate::columns!([op_type]
                    [number class safety inputs result outputs native fill stack since defer nop]
                    $row $group $name [$($doc)*]); )*
            }
        )*

        impl Op {
            /// How many ops there are.
            pub const COUNT: usize = [$( $( stringify!($name), )* )*].len();

            /// The rows by number. A number used twice, or a hole, does not compile.
            const LIST: [&Info; Self::COUNT] = {
                let mut list = [None; Self::COUNT];
                $( $(
                    let info = &$group::$name::INFO;
                    assert!((info.number as usize) < Self::COUNT, "an op number leaves a hole");
                    assert!(list[info.number as usize].is_none(), "an op number is used twice");
                    list[info.number as usize] = Some(info);
                )* )*
                let mut found = [&irq::save::INFO; Self::COUNT];
                let mut number = 0;
                while number < Self::COUNT {
                    found[number] = list[number].unwrap();
                    assert!(number == 0 || found[number].since >= found[number - 1].since, "numbers are append-only");
                    number += 1;
                }
                found
            };
        }
    };
}

crate::ops!([define]);

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

    /// Returns the op's number as an index into a list of all ops.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Returns the op's row of the op list.
    pub const fn info(self) -> &'static Info {
        Self::LIST[self.0 as usize]
    }

    /// Returns the op's name, `group::name`.
    pub const fn name(self) -> &'static str {
        self.info().name
    }

    /// Returns the op's class.
    pub const fn class(self) -> Class {
        self.info().class
    }
}

impl core::fmt::Display for Op {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(self.name())
    }
}
