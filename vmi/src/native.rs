//! The bottom of every table: per op a callable native function, and the bytes of its native form.

// UNSAFETY: naked functions with the native instructions of the op list.
#![expect(unsafe_code)]

use vmi_abi::{Leaf, Op, SITE_LEN_MAX, Table};

macro_rules! native_functions {
    ([] $( $(#[$group_doc:meta])* $group:ident $Group:ident { $(
        $(#[$doc:meta])* $number:literal $name:ident [$($unsafe:tt)?] $class:ident
        ($($argument:ident: $type:ty = $in:tt),*) -> $result:ty = $out:tt $native:literal;
    )* } )*) => {
        $( pub(crate) mod $group {
            $( native_function! { $class $Group $name [$($unsafe)?] ($($argument: $type = $in),*) -> $result = $out $native } )*
        } )*

        /// The table as the linker made it: every op native.
        pub(crate) static TABLE: Table = Table {
            version: Table::VERSION,
            ops: Op::COUNT as u32,
            $( $group: vmi_abi::$group::Table { $( $name: entry!($class $group $name), )* }, )*
        };

        // The native form of every op as it stands in a site, 16 bytes a row: text, zeros, and the length in the last
        // byte. A call's displacement is 0 here.
        ::core::arch::global_asm!(
            ".pushsection .rodata.vmi_forms,\"a\",@progbits",
            ".balign 16",
            ".hidden vmi_forms",
            ".globl vmi_forms",
            "vmi_forms:",
            $( $( form!($class $native $out), )* )*
            ".popsection",
        );
    };
}

/// What a table entry points to: an ordinary function over the group trait for a call op; for others the native text.
macro_rules! native_function {
    (call $Group:ident $name:ident [$($unsafe:tt)?] ($($argument:ident: $type:ty = $in:tt),*) -> $result:ty = $out:tt $native:literal) => {
        // One function and one address: the patcher expects the sites to call what the table holds.
        #[inline(never)]
        pub(crate) $($unsafe)? extern "sysv64" fn $name($($argument: $type),*) -> $result {
            // SAFETY: the op's own contract; the caller vouches for it.
            $($unsafe)? { <vmi_native::Native as vmi_abi::$Group>::$name($($argument),*) }
        }
    };
    // The argument lies above the return address, and goes away with it.
    (leaf $Group:ident $name:ident $unsafe:tt ($argument:ident: $type:ty = ["stack" $($bits:tt)*]) -> $result:ty = [] $native:literal) => {
        native_text!($name, "push qword ptr [rsp + 8]", $native, "ret 8");
    };
    // The result takes the return address's place, which moves down.
    (leaf $Group:ident $name:ident $unsafe:tt () -> $result:ty = [$out:ident: "stack" $($bits:tt)*] $native:literal) => {
        native_text!($name, "push qword ptr [rsp]", $native, "pop qword ptr [rsp + 8]", "ret");
    };
    (leaf $Group:ident $name:ident $unsafe:tt $arguments:tt -> $result:ty = $out:tt $native:literal) => {
        native_text!($name, __label!(), __prefixed!($native $out), __fixup!($out), "ret");
    };
    (jump $Group:ident $name:ident $unsafe:tt $arguments:tt -> $result:ty = $out:tt $native:literal) => {
        native_text!($name, $native);
    };
}

macro_rules! native_text {
    ($name:ident, $($line:expr),*) => {
        #[unsafe(naked)]
        pub(crate) unsafe extern "sysv64" fn $name() {
            ::core::arch::naked_asm!($($line),*)
        }
    };
}

macro_rules! entry {
    (call $group:ident $name:ident) => {
        $group::$name
    };
    ($class:ident $group:ident $name:ident) => {
        // SAFETY: the text is the native form, operands where the contract has them, and a return.
        unsafe { Leaf::promise($group::$name) }
    };
}

macro_rules! form {
    (call $native:literal $out:tt) => { form!(@row ".byte 0xe8, 0, 0, 0, 0\n773:\n") };
    (jump $native:literal $out:tt) => { form!(@row __trailed!($native)) };
    (leaf $native:literal $out:tt) => { form!(@row __prefixed!($native $out)) };
    (@row $text:expr) => {
        concat!("770: ", $text, ".skip 15 - (773b - 770b), 0\n.byte 773b - 770b\n")
    };
}

vmi_abi::ops!([native_functions]);

/// The native form of an op.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) bytes: [u8; SITE_LEN_MAX],
    reserved: [u8; 7],
    pub(crate) len: u8,
}

const _: () = assert!(size_of::<Form>() == 16);

unsafe extern "C" {
    safe static vmi_forms: [Form; Op::COUNT];
}

/// Returns the native form of `op`.
pub(crate) fn form(op: Op) -> &'static Form {
    &vmi_forms[usize::from(op.number())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmi_abi::Class;

    /// A record that names another op must not fit the text.
    #[test]
    fn no_two_ops_have_the_same_native_form() {
        for op in Op::all().filter(|op| op.class() != Class::Call) {
            for other in Op::all().filter(|other| *other != op) {
                assert_ne!(form(op).bytes, form(other).bytes, "{op} and {other}");
            }
        }
    }
}
