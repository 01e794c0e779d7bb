//! The instructions.
//!
//! No block says `nomem`, not even one that touches no memory itself: each of these orders something with
//! memory (interrupt handlers, page tables, devices that read memory, other CPUs), so the compiler may not
//! move accesses across it. `nostack` stands where nothing is pushed, `preserves_flags` where the arithmetic
//! flags stay.

// UNSAFETY: these are the privileged instructions themselves.
#![expect(unsafe_code)]

use core::arch::{asm, naked_asm};
use x86_64::registers::control::Cr4Flags;

/// Returns RFLAGS.
#[inline]
pub(crate) fn pushfq() -> u64 {
    let flags;
    // SAFETY: reads a register over the stack, which the block does not promise to leave alone.
    unsafe { asm!("pushfq", "pop {flags}", flags = out(reg) flags, options(preserves_flags)) };
    flags
}

/// Sets RFLAGS.
///
/// # Safety
///
/// - The direction flag is clear and the trap flag is what the kernel expects.
/// - Where the interrupt flag is set, the kernel can take interrupts.
#[inline]
pub(crate) unsafe fn popfq(flags: u64) {
    // SAFETY: the caller ensures that the flags are good.
    unsafe { asm!("push {flags}", "popfq", flags = in(reg) flags) };
}

/// Masks interrupts.
#[inline]
pub(crate) fn cli() {
    // SAFETY: masking interrupts breaks no memory.
    unsafe { asm!("cli", options(nostack, preserves_flags)) };
}

/// Unmasks interrupts, from behind the next instruction on.
#[inline]
pub(crate) fn sti() {
    // SAFETY: an interrupt handler upholds Rust's rules by itself.
    unsafe { asm!("sti", options(nostack, preserves_flags)) };
}

/// Unmasks interrupts and halts: the shadow of `sti` covers `hlt`, so no interrupt gets in between and is
/// slept over.
#[unsafe(naked)]
pub(crate) extern "sysv64" fn sti_hlt() {
    naked_asm!("sti", "hlt", "ret")
}

/// Halts until an interrupt.
#[inline]
pub(crate) fn hlt() {
    // SAFETY: waiting breaks no memory.
    unsafe { asm!("hlt", options(nostack, preserves_flags)) };
}

/// Returns from an interrupt.
///
/// # Safety
///
/// - At the instruction RSP points at an interrupt frame: the function it is inlined into has left the stack
///   alone.
/// - The frame leads to code that may run, on a stack that is its own.
#[inline(always)]
pub(crate) unsafe fn iretq() -> ! {
    // SAFETY: the caller ensures that RSP points at a frame that is good.
    unsafe { asm!("iretq", options(noreturn)) }
}

macro_rules! control_registers {
    ($($register:literal $read:ident $write:ident;)*) => { $(
        #[doc = concat!("Returns ", $register, ".")]
        #[inline]
        pub(crate) fn $read() -> u64 {
            let value;
            // SAFETY: reading a control register changes nothing.
            unsafe {
                asm!(concat!("mov {value}, ", $register), value = out(reg) value,
                    options(nostack, preserves_flags));
            }
            value
        }

        #[doc = concat!("Sets ", $register, ".")]
        ///
        /// # Safety
        ///
        /// - All that Rust code relies on (memory, mapped code, stack) is the same under the new value.
        #[inline]
        pub(crate) unsafe fn $write(value: u64) {
            // SAFETY: the caller ensures that the value is good.
            unsafe {
                asm!(concat!("mov ", $register, ", {value}"), value = in(reg) value,
                    options(nostack, preserves_flags));
            }
        }
    )* };
}
control_registers! {
    "cr0" read_cr0 write_cr0;
    "cr2" read_cr2 write_cr2;
    "cr3" read_cr3 write_cr3;
    "cr4" read_cr4 write_cr4;
}

/// Loads CR3 with its own value, masked from interrupts: a handler that runs another thread in between would have the
/// CR3 of then loaded into whatever address space and PCID are in force when this goes on.
///
/// Naked, because a block that pushes would have the compiler align the stack, for two more instructions.
#[unsafe(naked)]
pub(crate) extern "sysv64" fn reload_cr3() {
    naked_asm!("pushfq", "cli", "mov rax, cr3", "mov cr3, rax", "popfq", "ret")
}

/// Flips CR4.PGE and back, masked from interrupts: a handler that changes CR4 in between would have its change undone.
///
/// Naked for the same reason.
#[unsafe(naked)]
pub(crate) extern "sysv64" fn toggle_cr4_pge() {
    naked_asm!(
        "pushfq",
        "cli",
        "mov rax, cr4",
        "mov rcx, rax",
        "xor rcx, {pge}",
        "mov cr4, rcx",
        "mov cr4, rax",
        "popfq",
        "ret",
        pge = const Cr4Flags::PAGE_GLOBAL.bits(),
    )
}

/// Reads an MSR.
///
/// # Safety
///
/// - The MSR exists, and reading it has no effect that the kernel does not expect.
#[inline]
pub(crate) unsafe fn rdmsr(msr: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the caller ensures that the MSR may be read.
    unsafe {
        asm!("rdmsr", in("ecx") msr, out("eax") low, out("edx") high, options(nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Sets an MSR.
///
/// # Safety
///
/// - The MSR exists and takes the value, and the kernel expects the effect.
#[inline]
pub(crate) unsafe fn wrmsr(msr: u32, value: u64) {
    // SAFETY: the caller ensures that the MSR may have this value.
    unsafe {
        asm!("wrmsr", in("ecx") msr, in("eax") value as u32, in("edx") (value >> 32) as u32,
            options(nostack, preserves_flags));
    }
}

/// The text of a [`vmi_abi::Fixup`]: a fault in the `$len` bytes at label `$start` goes on at label
/// `$landing`.
///
/// The section is tied to the label's (flag `o`), so that it lives and dies with the code. The labels are
/// plain names, as a section cannot be tied to a numeric one; a naked function is emitted once, so a name
/// cannot be met twice.
macro_rules! fixup {
    ($start:literal, $landing:literal, $len:literal) => {
        concat!(
            ".pushsection vmi_fixups,\"ao\",@progbits,",
            $start,
            "\n",
            ".balign 4\n",
            "2: .long ",
            $start,
            " - 2b\n",
            ".long ",
            $landing,
            " - 2b\n",
            ".long ",
            $len,
            "\n",
            ".popsection",
        )
    };
}

/// What [`try_rdmsr`] returns in rax and rdx.
#[repr(C)]
pub(crate) struct TriedRead {
    /// The value, 0 where the access faulted.
    pub(crate) value: u64,
    /// Not 0 where the access faulted.
    pub(crate) fault: u64,
}

/// Reads an MSR, or says that it faults: needs a general-protection handler that looks into `vmi_fixups`.
///
/// # Safety
///
/// - If the MSR exists, reading it has no effect that the kernel does not expect.
#[unsafe(naked)]
pub(crate) unsafe extern "sysv64" fn try_rdmsr(msr: u32) -> TriedRead {
    naked_asm!(
        "mov ecx, edi",
        ".Lvmi_native_try_rdmsr:",
        "rdmsr",
        "shl rdx, 32",
        "or rax, rdx",
        "xor edx, edx",
        "ret",
        ".Lvmi_native_try_rdmsr_fault:",
        "xor eax, eax",
        "mov edx, 1",
        "ret",
        fixup!(".Lvmi_native_try_rdmsr", ".Lvmi_native_try_rdmsr_fault", "2"),
    )
}

/// Sets an MSR and returns 0, or not 0 if it faults: needs what [`try_rdmsr`] needs.
///
/// # Safety
///
/// - If the MSR takes the value, the kernel expects the effect.
#[unsafe(naked)]
pub(crate) unsafe extern "sysv64" fn try_wrmsr(msr: u32, value: u64) -> u64 {
    naked_asm!(
        "mov ecx, edi",
        "mov eax, esi",
        "mov rdx, rsi",
        "shr rdx, 32",
        ".Lvmi_native_try_wrmsr:",
        "wrmsr",
        "xor eax, eax",
        "ret",
        ".Lvmi_native_try_wrmsr_fault:",
        "mov eax, 1",
        "ret",
        fixup!(".Lvmi_native_try_wrmsr", ".Lvmi_native_try_wrmsr_fault", "2"),
    )
}

/// Returns the time-stamp counter, read at any moment the CPU finds convenient.
#[inline]
pub(crate) fn rdtsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading the counter changes nothing.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") high, options(nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Returns the time-stamp counter, read after every earlier load is done.
///
/// `rdtsc` alone may run ahead of an earlier load, and then a time older than the one just read from another
/// CPU's memory comes out. `lfence` in front, not `rdtscp`, because every x86-64 CPU has it, and not
/// `mfence`, because stores do not matter: they become visible later than any counter that was read.
#[inline]
pub(crate) fn lfence_rdtsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading the counter changes nothing.
    unsafe { asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Stores 8 bytes in one access.
///
/// # Safety
///
/// - The place is valid for a write of 8 aligned bytes.
/// - If it is a live page-table entry, the mapping it makes is one the kernel wants.
#[inline]
pub(crate) unsafe fn store(place: *mut u64, value: u64) {
    // SAFETY: the caller ensures that the place may be written.
    unsafe {
        asm!("mov [{place}], {value}", place = in(reg) place, value = in(reg) value,
            options(nostack, preserves_flags));
    }
}

/// Drops the TLB entries of a page.
#[inline]
pub(crate) fn invlpg(address: u64) {
    // SAFETY: dropping cached translations changes no mapping; an address that is not canonical does nothing.
    unsafe { asm!("invlpg [{address}]", address = in(reg) address, options(nostack, preserves_flags)) };
}

macro_rules! ports {
    ($($type:ty: $register:tt $read:ident $write:ident;)*) => { $(
        /// Reads from a port.
        ///
        /// # Safety
        ///
        /// - The kernel expects what the device does at the read.
        #[inline]
        pub(crate) unsafe fn $read(port: u16) -> $type {
            let value;
            // SAFETY: the caller ensures that the port may be read.
            unsafe {
                asm!(concat!("in ", $register, ", dx"), in("dx") port, out($register) value,
                    options(nostack, preserves_flags));
            }
            value
        }

        /// Writes to a port.
        ///
        /// # Safety
        ///
        /// - The kernel expects what the device does at the write.
        #[inline]
        pub(crate) unsafe fn $write(port: u16, value: $type) {
            // SAFETY: the caller ensures that the port may be written.
            unsafe {
                asm!(concat!("out dx, ", $register), in("dx") port, in($register) value,
                    options(nostack, preserves_flags));
            }
        }
    )* };
}
ports! {
    u8: "al" in8 out8;
    u16: "ax" in16 out16;
    u32: "eax" in32 out32;
}

/// Spends about a microsecond: a write to port 0x80, which the PC leaves to power-on diagnostics, goes all
/// the way to the bus.
#[inline]
pub(crate) fn delay() {
    // SAFETY: nothing but a diagnostic display hangs on the port.
    unsafe { asm!("out 0x80, al", in("al") 0u8, options(nostack, preserves_flags)) };
}
