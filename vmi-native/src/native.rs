//! The bare machine by the op list: the group traits, the functions of the table, and the native forms.

// UNSAFETY: emits the instructions of the op list.
#![expect(unsafe_code)]

use vmi_abi::{Op, SITE_LEN_MAX, Table, columns};

/// The bare machine: implements every group trait of `vmi-abi` by the instructions and devices of a PC.
#[derive(Debug)]
pub enum Native {}

macro_rules! native {
    ([] $( $(#[$group_doc:meta])* $group:ident $Group:ident {
        $( $(#[$doc:meta])* $name:ident $row:tt )*
    } )*) => {
        $(
            impl vmi_abi::$Group for Native {
                $( columns!([method] [class number safety inputs result outputs native fill] $row $group $name); )*
            }
        )*

        /// Per op, a callable native function: of a call op the one that its native sites call, of others the native text
        /// and a return.
        #[doc(hidden)]
        pub mod functions {
            $( pub mod $group {
                $( super::super::columns!([function] [class number safety inputs result outputs native fill] $row $group $name); )*
            } )*
        }

        // SAFETY: the bodies are the native forms.
        const FUNCTIONS: [*const (); Op::COUNT] = {
            let mut all = [core::ptr::null(); Op::COUNT];
            $( $( all[vmi_abi::$group::$name::OP.index()] = functions::$group::$name as *const (); )* )*
            all
        };

        // The native form of every op as it stands in a site, 16 bytes each by number, wherever its row stands: text, zeros,
        // and the length in the last byte. A call's displacement is 0 here.
        ::core::arch::global_asm!(
            ".pushsection .rodata.vmi_forms,\"a\",@progbits",
            ".balign 16",
            ".hidden vmi_forms",
            ".globl vmi_forms",
            "vmi_forms:",
            $( $( columns!([form] [class number native fill] $row), )* )*
            ".popsection",
        );
    };
}

macro_rules! method {
    ($group:ident $name:ident jump $($rest:tt)*) => {};
    ($group:ident $name:ident call $number:literal [$($unsafe:tt)?] ($($input:ident: $type:ty = $places:tt),*) ($result:ty) $($rest:tt)*) => {
        #[inline]
        $($unsafe)? fn $name($($input: $type),*) -> $result {
            // SAFETY: the op's own contract; the caller vouches for it.
            $($unsafe)? { crate::$group::$name($($input),*) }
        }
    };
    ($group:ident $name:ident $class:ident $number:literal [$($unsafe:tt)?] $inputs:tt ($result:ty) $outputs:tt $native:literal $fill:literal) => {
        method!(@leaf [$($unsafe)?] $name $inputs $result, $outputs __native_text!($class $number $native $fill $outputs));
    };
    (@leaf [$($unsafe:tt)?] $name:ident ($($input:ident: $type:ty = $places:tt),*) $result:ty, $outputs:tt $text:expr) => {
        #[inline]
        $($unsafe)? fn $name($($input: $type),*) -> $result {
            __leaf_asm!([$text] [] [] ($($input: $type = $places),*) -> $result = $outputs)
        }
    };
}

macro_rules! function {
    ($group:ident $name:ident call $number:literal [$($unsafe:tt)?] ($($input:ident: $type:ty = $places:tt),*) ($result:ty) $($rest:tt)*) => {
        // One function and one address: the patcher expects the sites to call what the table holds.
        #[inline(never)]
        pub $($unsafe)? extern "sysv64" fn $name($($input: $type),*) -> $result {
            // SAFETY: the op's own contract; the caller vouches for it.
            $($unsafe)? { crate::$group::$name($($input),*) }
        }
    };
    (@naked $name:ident, $($line:expr),*) => {
        #[unsafe(naked)]
        pub unsafe extern "sysv64" fn $name() {
            ::core::arch::naked_asm!($($line),*)
        }
    };
    ($group:ident $name:ident jump $number:literal $safety:tt $inputs:tt $result:tt $outputs:tt $native:literal $fill:literal) => {
        function!(@naked $name, $native);
    };
    // The argument lies above the return address, and goes away with it.
    ($group:ident $name:ident $class:ident $number:literal $safety:tt ($input:ident: $type:ty = ["stack" $($bits:tt)*]) $result:tt $outputs:tt $native:literal $fill:literal) => {
        function!(@naked $name, "push qword ptr [rsp + 8]", $native, "ret 8");
    };
    // The result takes the return address's place, which moves down.
    ($group:ident $name:ident $class:ident $number:literal $safety:tt () $result:tt [$out:ident: "stack" $($bits:tt)*] $native:literal $fill:literal) => {
        function!(@naked $name, "push qword ptr [rsp]", $native, "pop qword ptr [rsp + 8]", "ret");
    };
    ($group:ident $name:ident $class:ident $number:literal $safety:tt $inputs:tt $result:tt $outputs:tt $native:literal $fill:literal) => {
        function!(@naked $name, __native_text!($class $number $native $fill $outputs), "ret");
    };
}

macro_rules! form {
    (call $number:literal $native:literal $fill:literal) => {
        form!(@row $number ".byte 0xe8, 0, 0, 0, 0\n773:\n")
    };
    ($class:ident $number:literal $native:literal $fill:literal) => {
        form!(@row $number __form!($class $number $native $fill))
    };
    (@row $number:literal $text:expr) => {
        concat!(
            ".subsection ", $number, "\n770: ", $text, ".skip 15 - (773b - 770b), 0\n.byte 773b - 770b\n",
        )
    };
}

vmi_abi::ops!([native]);

/// The table at the bottom of bare metal, as the linker made it: every op native.
// SAFETY: each function is generated from the row of its op: its body is the native form, or the bare-metal function.
pub static TABLE: Table = unsafe { Table::new(FUNCTIONS) };

/// The native form of an op.
#[repr(C)]
#[derive(Debug)]
pub struct NativeForm {
    bytes: [u8; SITE_LEN_MAX],
    reserved: [u8; 7],
    len: u8,
}

const _: () = assert!(size_of::<NativeForm>() == 16);

unsafe extern "C" {
    safe static vmi_forms: [NativeForm; Op::COUNT];
}

impl NativeForm {
    /// Returns the native form of `op`.
    #[inline]
    pub fn of(op: Op) -> &'static Self {
        &vmi_forms[op.index()]
    }

    /// Returns its bytes, and zeros behind them. The displacement of a call is 0.
    #[inline]
    pub fn bytes(&self) -> [u8; SITE_LEN_MAX] {
        self.bytes
    }

    /// Returns the length in bytes of every site of the op.
    #[inline]
    pub fn site_len(&self) -> u8 {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::slice;
    use vmi_abi::{Class, Fixup};

    /// A record that names another op must not fit the text.
    #[test]
    fn no_two_ops_have_the_same_native_form() {
        for op in Op::all().filter(|op| op.class() != Class::Call) {
            for other in Op::all().filter(|other| *other != op) {
                assert_ne!(NativeForm::of(op).bytes, NativeForm::of(other).bytes, "{op} and {other}");
            }
        }
    }

    #[test]
    fn forms_lie_by_number() {
        let start = |op: Op, bytes: &[u8]| assert!(NativeForm::of(op).bytes.starts_with(bytes), "{op}");
        start(vmi_abi::irq::save::OP, &[0x2e, 0x2e, 0x2e, 0x2e, 0x9c]);
        start(vmi_abi::irq::leave::OP, &[0x48, 0xcf, 0xcc, 0xcc, 0xcc]);
        start(vmi_abi::cpu::try_write_msr::OP, &[0x3e, 0x3e, 0x3e, 0x0f, 0x30]);
        start(vmi_abi::power::reboot::OP, &[0xe8, 0, 0, 0, 0]);
    }

    unsafe extern "C" {
        static __start_vmi_fixups: Fixup;
        static __stop_vmi_fixups: Fixup;
    }

    /// The text that a record covers at the start of a function, and where a fault in it goes on.
    fn fixup_of(function: unsafe extern "sysv64" fn()) -> (&'static [u8], &'static [u8]) {
        let (start, stop) = (&raw const __start_vmi_fixups, &raw const __stop_vmi_fixups);
        let count = (stop.addr() - start.addr()) / size_of::<Fixup>();
        // SAFETY: the linker defines the two symbols as the bounds of the section, which holds only records.
        let records = unsafe { slice::from_raw_parts(start, count) };
        let place =
            |record: &Fixup, offset: i32| (&raw const *record).cast::<u8>().wrapping_offset(offset as isize);
        let record = records
            .iter()
            .find(|record| place(record, record.start).addr() == function as *const () as usize)
            .expect("the function has a record");
        // SAFETY: text of this program, as many bytes as the record says.
        let covered = unsafe { slice::from_raw_parts(place(record, record.start), record.len as usize) };
        // SAFETY: as above: a move and a jump.
        let landing = unsafe { slice::from_raw_parts(place(record, record.landing), 5) };
        (covered, landing)
    }

    #[test]
    fn an_access_that_may_fault_lands_where_its_fault_is_the_result() {
        let landing: &[u8] = &[0xbe, 1, 0, 0, 0];
        let read = fixup_of(functions::cpu::try_read_msr);
        assert_eq!(read, (&[0x3e, 0x3e, 0x3e, 0x0f, 0x32][..], landing));
        let write = fixup_of(functions::cpu::try_write_msr);
        assert_eq!(write, (&[0x3e, 0x3e, 0x3e, 0x0f, 0x30][..], landing));
    }
}
