//! The instructions: everything in this crate that is written in assembly.

// UNSAFETY: assembly.
#![expect(unsafe_code)]

use core::arch::{asm, naked_asm};

use vmi_abi::{Fault, Leaf, cpu};

use crate::hypercall::{Error, STUB};

/// Returns the time-stamp counter, read when everything before it has completed.
///
/// `lfence` in front, because `rdtsc` alone may execute before earlier loads: a CPU that has just seen a time stamp
/// of another CPU could then read an earlier time itself. It completes all earlier instructions on Intel CPUs, and on
/// AMD CPUs where the host made it dispatch-serializing, as every host with mitigations for speculation does (Intel
/// SDM volume 2B, "RDTSC—Read Time-Stamp Counter"; AMD64 APM volume 3, "LFENCE").
///
/// Nothing behind, because what follows is the second look at the page's version, and that page changes only while
/// this CPU is outside the guest: an exit falls between two instructions and throws away what was begun behind it.
#[inline(always)]
pub(crate) fn cycles() -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: the instructions write RAX and RDX only, each with the upper half zero; `rdtsc` faults outside ring 0 only where the kernel says so.
    // Without `nomem`, so that the compiler moves no load of the page across it; neither instruction changes flags or
    // uses the stack.
    unsafe {
        asm!("lfence", "rdtsc", out("rax") low, out("rdx") high, options(nostack, preserves_flags));
    }
    high << 32 | low
}

/// Reads an MSR through `leaf`, the function that the table below has for it.
///
/// # Errors
///
/// When the access faults.
///
/// # Safety
///
/// - Called in ring 0.
/// - Reading the MSR has no effect that the kernel does not expect.
pub(crate) unsafe fn read_msr(leaf: Leaf<cpu::try_read_msr>, msr: u32) -> Result<u64, Fault> {
    let (low, high): (u64, u64);
    let fault: u64;
    // SAFETY: the function keeps the op's contract: MSR number in ECX, value in EDX:EAX, fault in RSI. It
    // aligns the stack itself. It preserves more than an ordinary function does; vector registers are why all of
    // that function's clobbers are declared.
    unsafe {
        asm!(
            "call {function}",
            function = in(reg) leaf.address(),
            in("rcx") u64::from(msr),
            out("rax") low,
            out("rdx") high,
            inlateout("rsi") 0_u64 => fault,
            clobber_abi("sysv64"),
        );
    }
    if fault & 1 == 0 { Ok(high << 32 | low & 0xffff_ffff) } else { Err(Fault) }
}

/// Writes an MSR through `leaf`, the function that the table below has for it.
///
/// # Errors
///
/// When the access faults.
///
/// # Safety
///
/// - Called in ring 0.
/// - What the write makes the hypervisor do is what the kernel expects; memory it names is the kernel's to give.
pub(crate) unsafe fn write_msr(leaf: Leaf<cpu::try_write_msr>, msr: u32, value: u64) -> Result<(), Fault> {
    let fault: u64;
    // SAFETY: as in `read_msr`; the inputs are the number in ECX and the value in EDX:EAX. Without `nomem`: the host
    // writes the page that is registered.
    unsafe {
        asm!(
            "call {function}",
            function = in(reg) leaf.address(),
            in("rcx") u64::from(msr),
            in("rax") value & 0xffff_ffff,
            in("rdx") value >> 32,
            inlateout("rsi") 0_u64 => fault,
            clobber_abi("sysv64"),
        );
    }
    if fault & 1 == 0 { Ok(()) } else { Err(Fault) }
}

/// Stubs that call a hypervisor, each with the instruction that stands in where its own faults.
///
/// What replaces a function here keeps the convention of a hypercall: number in RAX, arguments in RBX, RCX, RDX and RSI;
/// the answer is left in RAX, and every other register and the flags are as they were (KVM documentation, "Linux KVM
/// Hypercall"). A fault leaves all of that untouched, too.
macro_rules! stubs {
    ($( $(#[$doc:meta])* $name:ident $instruction:literal, else $other:ident $others:literal; )*) => { $(
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// - As of [`hypercall`], in whose registers the arguments are.
        #[unsafe(naked)]
        pub(crate) unsafe extern "sysv64" fn $name() {
            naked_asm!(
                concat!("2: ", $instruction),
                "3: ret",
                concat!("4: ", $others),
                "5: push rcx",
                "lea rcx, [rip + {other}]",
                "mov [rip + {stub}], rcx",
                "pop rcx",
                "ret",
                // Neither instruction is to be had: nobody tries again.
                "6: push rcx",
                "lea rcx, [rip + {refused}]",
                "mov [rip + {stub}], rcx",
                "pop rcx",
                "jmp {refused}",
                vmi_abi::__fixup_text!("{own}", "2b", "3b", "4b"),
                vmi_abi::__fixup_text!("{own}", "4b", "5b", "6b"),
                other = sym $other,
                stub = sym STUB,
                refused = sym refused,
                own = sym $name,
            )
        }
    )* };
}

stubs! {
    /// Calls KVM on a CPU with VMX.
    vmcall "vmcall", else vmmcall "vmmcall";
    /// Calls KVM on a CPU with SVM.
    vmmcall "vmmcall", else vmcall "vmcall";
}

/// Answers a hypercall as a KVM that does not know it; calls nobody.
#[unsafe(naked)]
pub(crate) unsafe extern "sysv64" fn no_hypercall() {
    naked_asm!("mov rax, {answer}", "ret", answer = const Error::NO_SUCH_CALL.0)
}

/// The same, where both instructions were tried: [`no_hypercall`] is what stands before one was chosen.
#[unsafe(naked)]
unsafe extern "sysv64" fn refused() {
    naked_asm!("jmp {none}", none = sym no_hypercall)
}

/// RBX is the compiler's, and no operand: its value waits in the register of the first argument, which thereby keeps its
/// own. Without `nomem`, because the host reads and writes memory; without `nostack`, because of the `call`.
macro_rules! call_stub {
    ($number:ident) => {
        call_stub!(@asm () () $number, ())
    };
    ($number:ident, $a0:ident $(, $($others:tt)*)?) => {
        call_stub!(@asm ("xchg rbx, {0}",) (in(reg) $a0,) $number, ($($($others)*)?))
    };
    (@asm ($($exchange:literal,)?) ($($a0:tt)*) $number:ident, ($($others:tt)*)) => {{
        let answer: i64;
        // SAFETY: the caller of the function around this vouches for the call; it changes RAX alone.
        unsafe {
            asm!(
                $($exchange,)?
                "call qword ptr [rip + {stub}]",
                $($exchange,)?
                $($a0)*
                stub = sym STUB,
                inout("rax") $number => answer,
                $($others)*
                options(preserves_flags),
            )
        };
        answer
    }};
}
/// Calls KVM, by the chosen [`STUB`].
///
/// # Safety
///
/// - Called in ring 0 of a guest of KVM.
/// - The arguments are what the call asks for, and what it does is what the kernel wants.
#[inline(always)]
pub(crate) unsafe fn hypercall(number: u64, arguments: &[u64]) -> i64 {
    // Inlined, the number of arguments is known, and nothing is left of the choice, nor of the slice.
    match *arguments {
        [] => call_stub!(number),
        [a0] => call_stub!(number, a0),
        [a0, a1] => call_stub!(number, a0, in("rcx") a1,),
        [a0, a1, a2] => call_stub!(number, a0, in("rcx") a1, in("rdx") a2,),
        [a0, a1, a2, a3] => call_stub!(number, a0, in("rcx") a1, in("rdx") a2, in("rsi") a3,),
        _ => unreachable!("a hypercall takes at most four arguments"),
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::Ordering::Relaxed;

    use proptest::prelude::*;
    use vmi_abi::{Override, leaf};

    use super::*;

    fn function<O>(entry: Override<Leaf<O>>) -> Leaf<O> {
        match entry {
            Override::Call(function) => function,
            other => panic!("{other:?} is no function"),
        }
    }

    proptest! {
        #[test]
        fn an_msr_is_read_through_the_table(msr in 1_u32..) {
            let mirrored = leaf!(cpu::try_read_msr, |msr: u32| Ok(u64::from(!msr) << 32 | u64::from(msr)));
            // SAFETY: the function reads no MSR.
            let value = unsafe { read_msr(function(mirrored), msr) };
            prop_assert_eq!(value, Ok(u64::from(!msr) << 32 | u64::from(msr)));
        }

        #[test]
        fn an_msr_is_written_through_the_table(msr: u32, value: u64) {
            let checked = leaf!(cpu::try_write_msr, |msr: u32, value: u64| {
                if value == u64::from(msr) << 32 | u64::from(!msr) { Ok(()) } else { Err(Fault) }
            });
            let write = |value| {
                // SAFETY: the function writes no MSR.
                unsafe { write_msr(function(checked), msr, value) }
            };
            let good = u64::from(msr) << 32 | u64::from(!msr);
            prop_assert_eq!(write(good), Ok(()));
            prop_assert_eq!(write(value).is_ok(), value == good);
        }
    }

    /// Stubs that call nobody, and answer with what is in one register.
    macro_rules! spies {
        ($( $name:ident $instruction:literal; )*) => { $(
            #[unsafe(naked)]
            unsafe extern "sysv64" fn $name() {
                naked_asm!($instruction, "ret")
            }
        )* };
    }

    spies! {
        number "nop";
        first "mov rax, rbx";
        second "mov rax, rcx";
        third "mov rax, rdx";
        fourth "mov rax, rsi";
    }

    #[test]
    fn number_and_arguments_are_in_the_registers_of_the_convention() {
        fn answer(spy: unsafe extern "sysv64" fn(), arguments: &[u64]) -> u64 {
            STUB.store(spy as *const () as *mut (), Relaxed);
            // SAFETY: no call is made: what stands for it only moves between registers.
            unsafe { hypercall(7, arguments) as u64 }
        }
        // SAFETY: no stub has been chosen, so nobody is called.
        assert_eq!(unsafe { hypercall(7, &[]) }, Error::NO_SUCH_CALL.0);
        for count in 0..=4 {
            // One is the same as the number: it needs a register of its own all the same.
            let arguments: &[u64] = &[1, 7, 3, 4][..count];
            assert_eq!(answer(number, arguments), 7);
            for (spy, argument) in [first, second, third, fourth].into_iter().zip(arguments) {
                assert_eq!(answer(spy, arguments), *argument);
            }
        }
    }

    #[test]
    fn a_fault_is_reported() {
        let faulting = leaf!(cpu::try_read_msr, |_| Err(Fault));
        // SAFETY: the function reads no MSR.
        assert_eq!(unsafe { read_msr(function(faulting), 5) }, Err(Fault));
    }

    #[test]
    fn the_counter_ascends() {
        let readings: std::vec::Vec<_> = (0..1000).map(|_| cycles()).collect();
        assert!(readings.is_sorted() && readings[0] < readings[999]);
    }
}
