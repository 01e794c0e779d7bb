//! The limit: every op as its bare instruction, in `asm!` with the best options that the instruction allows.
//!
//! `nomem` stands where the instruction neither touches memory nor changes what an access to it means, `preserves_flags`
//! where it leaves the arithmetic flags alone, and operands are in any register where the instruction takes any. `pure`
//! stands nowhere: what is read may be another at the next reading. The stack is used without a word, as by the sites: an
//! image for a target without a red zone may. Of call ops there is what a kernel would write by hand; of a clock there is
//! no such thing. An op that nothing is written for here has its native form.

// UNSAFETY: these are the instructions themselves.
#![expect(unsafe_code)]

/// What an op is done by that has nothing barer below: the native function.
mod native {
    macro_rules! natives {
        ([] $( $(#[$group_doc:meta])* $group:ident $Group:ident { $( $(#[$doc:meta])* $name:ident $row:tt )* } )*) => { $(
            #[allow(dead_code, reason = "most ops have something barer")]
            pub mod $group {
                $( vmi_abi::columns!([native] [class inputs result] $row $Group $name); )*
            }
        )* };
    }

    macro_rules! native {
        ($Group:ident $name:ident jump $($rest:tt)*) => {};
        ($Group:ident $name:ident $class:ident ($($input:ident: $type:ty = $places:tt),*) ($result:ty)) => {
            #[inline(always)]
            pub unsafe fn $name($($input: $type),*) -> $result {
                #[allow(unused_unsafe, reason = "some ops are safe")]
                // SAFETY: the op's own contract; the caller vouches for it.
                unsafe { <vmi_native::Native as vmi_abi::$Group>::$name($($input),*) }
            }
        };
    }

    vmi_abi::ops!([natives]);
}

/// Defines functions of one `asm!` block each: name, arguments, result, text, operands, options.
macro_rules! bare {
    ($( $name:ident($($argument:ident: $type:ty),*) $(-> $result:ident: $output:ty)? {
        $($text:literal),*; $($operands:tt)*
    } [$($option:ident)*] )*) => { $(
        #[inline(always)]
        pub unsafe fn $name($($argument: $type),*) $(-> $output)? {
            $( let $result: $output; )?
            // SAFETY: the op's own contract; the caller vouches for it.
            unsafe {
                ::core::arch::asm!($($text,)* $($operands)* options($($option),*), #[cfg(target_os = "none")] options(nostack));
            }
            $( $result )?
        }
    )* };
}

pub mod irq {
    #[allow(unused_imports, reason = "every op of the group may stand below")]
    pub use super::native::irq::*;

    bare! {
        save() -> flags: u64 { "pushfq", "pop {}"; out(reg) flags, } [nomem preserves_flags]
        restore(flags: u64) { "push {}", "popfq"; in(reg) flags, } []
        disable() { "cli"; } [preserves_flags]
        enable() { "sti"; } [preserves_flags]
        wait() { "sti", "hlt"; } [preserves_flags]
        halt() { "hlt"; } [preserves_flags]
    }
}

pub mod cpu {
    #[allow(unused_imports, reason = "every op of the group may stand below")]
    pub use super::native::cpu::*;

    use core::arch::x86_64::CpuidResult;

    use vmi::Fault;

    bare! {
        read_cr0() -> value: u64 { "mov {}, cr0"; out(reg) value, } [nomem preserves_flags]
        write_cr0(value: u64) { "mov cr0, {}"; in(reg) value, } [preserves_flags]
        read_cr2() -> value: u64 { "mov {}, cr2"; out(reg) value, } [nomem preserves_flags]
        write_cr2(value: u64) { "mov cr2, {}"; in(reg) value, } [nomem preserves_flags]
        read_cr3() -> value: u64 { "mov {}, cr3"; out(reg) value, } [nomem preserves_flags]
        write_cr3(value: u64) { "mov cr3, {}"; in(reg) value, } [preserves_flags]
        read_cr4() -> value: u64 { "mov {}, cr4"; out(reg) value, } [nomem preserves_flags]
        write_cr4(value: u64) { "mov cr4, {}"; in(reg) value, } [preserves_flags]
        write_msr(msr: u32, value: u64) {
            "wrmsr"; in("ecx") msr, in("eax") value as u32, in("edx") (value >> 32) as u32,
        } [preserves_flags]
        relax() { "pause"; } [nomem preserves_flags]
    }

    #[inline(always)]
    pub unsafe fn read_msr(msr: u32) -> u64 {
        let (low, high): (u64, u64);
        // SAFETY: the op's own contract; the caller vouches for it.
        unsafe {
            core::arch::asm!("rdmsr", in("ecx") msr, out("rax") low, out("rdx") high,
                options(nomem, nostack, preserves_flags));
        }
        high << 32 | low
    }

    /// As bare as the other: a fault is nobody's.
    #[inline(always)]
    pub unsafe fn try_read_msr(msr: u32) -> Result<u64, Fault> {
        // SAFETY: the caller reads an MSR that there is.
        Ok(unsafe { read_msr(msr) })
    }

    /// As bare as the other: a fault is nobody's.
    #[inline(always)]
    pub unsafe fn try_write_msr(msr: u32, value: u64) -> Result<(), Fault> {
        // SAFETY: the caller writes an MSR that there is.
        unsafe { write_msr(msr, value) };
        Ok(())
    }

    #[inline(always)]
    pub unsafe fn cpuid(leaf: u32, subleaf: u32) -> CpuidResult {
        let (eax, ebx, ecx, edx);
        // SAFETY: every 64-bit CPU has the instruction; the compiler keeps rbx to itself, and gets it back.
        unsafe {
            core::arch::asm!("mov {0:r}, rbx", "cpuid", "xchg {0:r}, rbx", out(reg) ebx,
                inlateout("eax") leaf => eax, inlateout("ecx") subleaf => ecx, lateout("edx") edx,
                options(nomem, nostack, preserves_flags));
        }
        CpuidResult { eax, ebx, ecx, edx }
    }

    #[inline(always)]
    pub unsafe fn cycles() -> u64 {
        let (low, high): (u64, u64);
        // SAFETY: reading the counter changes nothing.
        unsafe {
            core::arch::asm!("rdtsc", out("rax") low, out("rdx") high, options(nomem, nostack, preserves_flags));
        }
        high << 32 | low
    }
}

pub mod mmu {
    #[allow(unused_imports, reason = "every op of the group may stand below")]
    pub use super::native::mmu::*;

    bare! {
        set_entry(entry: *mut u64, value: u64) { "mov [{}], {}"; in(reg) entry, in(reg) value, } [preserves_flags]
        flush_page(address: u64) { "invlpg [{}]"; in(reg) address, } [preserves_flags]
        flush_local() { "mov {0}, cr3", "mov cr3, {0}"; out(reg) _, } [preserves_flags]
        flush_global() {
            "mov {0}, cr4", "xor {0}, 0x80", "mov cr4, {0}", "xor {0}, 0x80", "mov cr4, {0}"; out(reg) _,
        } []
    }
}

pub mod apic {
    #[allow(unused_imports, reason = "every op of the group may stand below")]
    pub use super::native::apic::*;

    const APIC: u64 = 0xfee0_0000;

    bare! {
        eoi() { "mov dword ptr [{}], 0"; in(reg) APIC + 0xb0, } [preserves_flags]
        read(register: u32) -> value: u32 {
            "mov {:e}, [{}]"; out(reg) value, in(reg) APIC + u64::from(register),
        } [preserves_flags]
        write(register: u32, value: u32) {
            "mov [{}], {:e}"; in(reg) APIC + u64::from(register), in(reg) value,
        } [preserves_flags]
        id() -> id: u32 { "mov {0:e}, [{1}]", "shr {0:e}, 24"; out(reg) id, in(reg) APIC + 0x20, } []
        send(destination: u32, command: u32) {
            "shl {0:e}, 24", "mov [{1} + 0x310], {0:e}", "mov [{1} + 0x300], {2:e}";
            inout(reg) destination => _, in(reg) APIC, in(reg) command,
        } []
    }
}

pub mod io {
    #[allow(unused_imports, reason = "every op of the group may stand below")]
    pub use super::native::io::*;

    bare! {
        delay() { "out 0x80, al"; } [nomem preserves_flags]
        in8(port: u16) -> value: u8 { "in al, dx"; in("dx") port, out("al") value, } [nomem preserves_flags]
        in16(port: u16) -> value: u16 { "in ax, dx"; in("dx") port, out("ax") value, } [nomem preserves_flags]
        in32(port: u16) -> value: u32 { "in eax, dx"; in("dx") port, out("eax") value, } [nomem preserves_flags]
        out8(port: u16, value: u8) { "out dx, al"; in("dx") port, in("al") value, } [nomem preserves_flags]
        out16(port: u16, value: u16) { "out dx, ax"; in("dx") port, in("ax") value, } [nomem preserves_flags]
        out32(port: u16, value: u32) { "out dx, eax"; in("dx") port, in("eax") value, } [nomem preserves_flags]
    }
}
