//! Ops through the library's function table, by an indirect call and by a retpoline.

// UNSAFETY: calls what the table holds.
#![expect(unsafe_code)]

use core::arch::naked_asm;

use vmi_abi::{Table, columns};

/// The table as it was at the last [`refresh`].
pub static TABLE: Table = Table::vacant();

/// Copies the library's table, which the calls need before they are made.
pub fn refresh() {
    // SAFETY: this module's own, which is called with whatever serves now.
    unsafe { TABLE.copy(vmi::table()) };
}

/// Jumps to the address in r11 by a return, so that no branch target is predicted that somebody else has chosen. Source:
/// Intel, "Retpoline: A Branch Target Injection Mitigation".
#[unsafe(naked)]
pub unsafe extern "sysv64" fn jump_by_return() {
    naked_asm!("call 3f", "2: pause", "lfence", "jmp 2b", "3: mov [rsp], r11", "ret")
}

macro_rules! indirect_calls {
    ([] $( $(#[$group_doc:meta])* $group:ident $Group:ident { $( $(#[$doc:meta])* $name:ident $row:tt )* } )*) => {
        /// Through the table.
        #[allow(dead_code, reason = "some ops end the run, or cannot be done by a call")]
        pub mod table { $( pub mod $group {
            #[allow(unused_imports, reason = "all of a group may be jumps")]
            use super::super::columns;
            $( columns!([indirect_call] [class inputs result outputs] $row
                ["call qword ptr [rip + {table} + {place}]"] [] [] $group $name); )*
        } )* }

        /// Through the table and a retpoline.
        #[allow(dead_code, reason = "as above")]
        pub mod retpoline { $( pub mod $group {
            #[allow(unused_imports, reason = "all of a group may be jumps")]
            use super::super::columns;
            $( columns!([indirect_call] [class inputs result outputs] $row
                ["mov r11, [rip + {table} + {place}]", "call {retpoline}"]
                [retpoline = sym $crate::kernel::insn::indirect::jump_by_return,] [out("r11") _,] $group $name); )*
        } )* }
    };
}

macro_rules! indirect_call {
    // The way through a frame is leave.rs.
    ($text:tt $named:tt $clobbers:tt $group:ident $name:ident jump $($rest:tt)*) => {};
    ($text:tt $named:tt [$($clobbers:tt)*] $group:ident $name:ident call $inputs:tt $result:tt $outputs:tt) => {
        // The convention clobbers what the way takes.
        indirect_call!(@function __call_asm $text $named [] $group $name $inputs $result []);
    };
    ($text:tt $named:tt $clobbers:tt $group:ident $name:ident $class:ident $inputs:tt $result:tt $outputs:tt) => {
        indirect_call!(@function __leaf_asm $text $named $clobbers $group $name $inputs $result [= $outputs]);
    };
    (@function $asm:ident $text:tt [$($named:tt)*] $clobbers:tt $group:ident $name:ident
        ($($input:ident: $type:ty = $places:tt),*) ($result:ty) [$($outputs:tt)*]) => {
        #[inline(always)]
        pub unsafe fn $name($($input: $type),*) -> $result {
            vmi_native::$asm!(
                $text
                [
                    table = sym $crate::kernel::insn::indirect::TABLE,
                    place = const vmi_abi::Table::offset(vmi_abi::$group::$name::OP),
                    $($named)*
                ]
                $clobbers
                ($($input: $type = $places),*) -> $result $($outputs)*
            )
        }
    };
}

vmi_abi::ops!([indirect_calls]);
