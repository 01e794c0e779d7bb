//! Leaf ops from the callee's side: the register contract as a type, and the thunk that lets an ordinary function
//! keep it.

// UNSAFETY: declares the promise that a naked function keeps an op's register contract; holds no unsafe block.
#![expect(unsafe_code)]

use core::{fmt, marker::PhantomData};

/// A function that keeps the register contract of op `O`, which no Rust signature can say: its operands are where
/// the native instruction has them, and every other general register comes back unchanged.
#[repr(transparent)]
pub struct Leaf<O>(unsafe extern "sysv64" fn(), PhantomData<fn(O)>);

impl<O> Leaf<O> {
    /// Promises that `function` keeps the contract of op `O`.
    ///
    /// # Safety
    ///
    /// - `function` takes the op's inputs from, and leaves its outputs in, the registers (or the stack slot) that the
    ///   op list names, and does what the op's documentation says. It finds the register of an output called `fault`
    ///   0, and may leave it so.
    /// - Of an output of 32 bits, it leaves the upper half of the register 0, as instructions do.
    /// - It preserves every other general register. Flags are free.
    /// - It may be entered with the stack at any alignment of 8, the direction flag set, and interrupts on or off.
    pub const unsafe fn promise(function: unsafe extern "sysv64" fn()) -> Self {
        Self(function, PhantomData)
    }

    /// Returns the address of the function.
    pub fn address(self) -> usize {
        self.0 as *const () as usize
    }
}

impl<O> Clone for Leaf<O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O> Copy for Leaf<O> {}

impl<O> fmt::Debug for Leaf<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Leaf({:#x})", self.address())
    }
}

/// The registers of a leaf site as its thunk saved them. `rbp` and `rsp` carry no operand of any op.
#[doc(hidden)]
#[repr(C)]
#[derive(Debug, Default)]
pub struct LeafFrame {
    /// The stack slot of ops whose operand is there, else 0.
    pub stack: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
}

const _: () = assert!(size_of::<LeafFrame>() == 11 * 8);

/// Wraps an ordinary function or closure as the replacement of a leaf op:
/// `leaf!(cpu::read_msr, |msr| ...)` is an [`Override::Call`](crate::Override) of it.
///
/// The generated thunk saves the registers, aligns the stack, calls the function with the op's inputs and puts its
/// result where the op's contract wants it.
#[macro_export]
macro_rules! leaf {
    ($group:ident::$op:ident, $function:expr) => {{
        // The frame comes as the fifth argument, in a register that carries no operand of any op: so operands that the
        // function wants in registers are loaded there without detours.
        extern "sysv64" fn shim(_: u64, _: u64, _: u64, _: u64, frame: &mut $crate::LeafFrame) {
            $crate::$group::$op::serve(frame, $function)
        }
        // The frame pointer keeps the stack while the call is aligned. An operand on the stack lies above the return
        // address: an input is fetched from there and dropped by `ret 8`, an output goes into the slot that a second
        // copy of the return address makes free.
        #[unsafe(naked)]
        unsafe extern "sysv64" fn thunk() {
            ::core::arch::naked_asm!(
                ".if {result_on_stack}",
                "push qword ptr [rsp]",
                ".endif",
                "push rax",
                "push rbx",
                "push rcx",
                "push rdx",
                "push rsi",
                "push rdi",
                "push r8",
                "push r9",
                "push r10",
                "push r11",
                ".if {argument_on_stack}",
                "push qword ptr [rsp + 88]",
                ".else",
                "push 0",
                ".endif",
                "mov r8, rsp",
                "push rbp",
                "mov rbp, rsp",
                "and rsp, -16",
                "cld",
                "call {shim}",
                "mov rsp, rbp",
                "pop rbp",
                ".if {result_on_stack}",
                "pop qword ptr [rsp + 88]",
                ".else",
                "add rsp, 8",
                ".endif",
                "pop r11",
                "pop r10",
                "pop r9",
                "pop r8",
                "pop rdi",
                "pop rsi",
                "pop rdx",
                "pop rcx",
                "pop rbx",
                "pop rax",
                ".if {argument_on_stack}",
                "ret 8",
                ".else",
                "ret",
                ".endif",
                shim = sym shim,
                argument_on_stack = const $crate::$group::$op::ARGUMENT_ON_STACK as i32,
                result_on_stack = const $crate::$group::$op::RESULT_ON_STACK as i32,
            )
        }
        // SAFETY: the thunk restores every general register but the outputs that `serve` encodes into the frame,
        // moves stack operands as the contract says, and aligns the stack itself.
        $crate::Override::Call(unsafe { $crate::Leaf::<$crate::$group::$op>::promise(thunk) })
    }};
}
