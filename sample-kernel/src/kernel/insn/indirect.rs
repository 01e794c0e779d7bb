//! Ops through the library's function table, by an indirect call and by a retpoline.

// UNSAFETY: calls what the table holds, and keeps a copy of it where the calls find it.
#![expect(unsafe_code)]

use core::{arch::naked_asm, cell::UnsafeCell, mem::MaybeUninit};

use vmi_abi::Table;

/// The copy of the table.
#[repr(transparent)]
pub struct Copy(UnsafeCell<MaybeUninit<Table>>);

// SAFETY: one CPU; interrupt handlers do not use it.
unsafe impl Sync for Copy {}

/// The table as it was at the last [`refresh`].
pub static TABLE: Copy = Copy(UnsafeCell::new(MaybeUninit::uninit()));

/// Copies the library's table, which the calls need before they are made.
pub fn refresh() {
    // SAFETY: nobody else uses it now.
    unsafe { (*TABLE.0.get()).write(vmi::table()) };
}

/// Jumps to the address in r11 by a return, so that no branch target is predicted that somebody else has chosen. Source:
/// Intel, "Retpoline: A Branch Target Injection Mitigation".
#[unsafe(naked)]
pub unsafe extern "sysv64" fn jump_by_return() {
    naked_asm!("call 3f", "2: pause", "lfence", "jmp 2b", "3: mov [rsp], r11", "ret")
}

macro_rules! indirect_calls {
    ([] $( $(#[$group_doc:meta])* $group:ident $Group:ident { $(
        $(#[$doc:meta])* $number:literal $name:ident [$($unsafe:tt)?] $class:ident
        ($($argument:ident: $type:ty = $in:tt),*) -> $result:ty = $out:tt $native:literal;
    )* } )*) => {
        /// Through the table.
        #[allow(dead_code, reason = "some ops end the run, or cannot be done by a call")]
        pub mod table { $( pub mod $group { $(
            indirect_call!(
                ["call qword ptr [rip + {table} + {place}]"] [] []
                $class $group $name ($($argument: $type = $in),*) -> $result = $out
            );
        )* } )* }

        /// Through the table and a retpoline.
        #[allow(dead_code, reason = "as above")]
        pub mod retpoline { $( pub mod $group { $(
            indirect_call!(
                ["mov r11, [rip + {table} + {place}]", "call {retpoline}"]
                [retpoline = sym $crate::kernel::insn::indirect::jump_by_return,] [out("r11") _,]
                $class $group $name ($($argument: $type = $in),*) -> $result = $out
            );
        )* } )* }
    };
}

macro_rules! indirect_call {
    // The way through a frame is leave.rs.
    ($text:tt $named:tt $clobbers:tt jump $($rest:tt)*) => {};
    ($text:tt [$($named:tt)*] $clobbers:tt leaf $group:ident $name:ident
        ($($argument:ident: $type:ty = $in:tt),*) -> $result:ty = $out:tt) => {
        #[inline(always)]
        pub unsafe fn $name($($argument: $type),*) -> $result {
            vmi_abi::__leaf_asm!(
                $text
                [
                    table = sym $crate::kernel::insn::indirect::TABLE,
                    place = const ::core::mem::offset_of!(vmi_abi::Table, $group.$name),
                    $($named)*
                ]
                $clobbers
                ($($argument: $type = $in),*) -> $result = $out
            )
        }
    };
    ([$($text:literal),*] [$($named:tt)*] $clobbers:tt call $group:ident $name:ident () -> $result:ty = []) => {
        #[inline(always)]
        pub unsafe fn $name() -> $result {
            let result: u64;
            // SAFETY: the function in the table keeps the convention; the op has no contract beyond it.
            unsafe {
                ::core::arch::asm!(
                    $($text,)*
                    table = sym $crate::kernel::insn::indirect::TABLE,
                    place = const ::core::mem::offset_of!(vmi_abi::Table, $group.$name),
                    $($named)*
                    lateout("rax") result,
                    clobber_abi("sysv64"),
                );
            }
            <$result as vmi_abi::Word>::from_bits(result.into())
        }
    };
}

vmi_abi::ops!([indirect_calls]);
