//! The op list: every privileged operation, declared once.

/// Hands the op list to another macro: `ops!([callback] extra)` expands to `callback! { [extra] list }`.
///
/// Everything that depends on which ops there are is generated from this list. A row reads
///
/// ```text
/// number name [unsafe?] class (argument: type = [register bits, ...]) -> type = [output: register bits, ...] "native form";
/// ```
///
/// where `register bits` says which bits of the value the register carries, `"stack"` stands for the slot at the top
/// of the stack at the site, and an output called `fault` says that the access raised a general-protection fault: its
/// register is 0 when control reaches the site.
/// The native form of a call op is a `call` of its bare-metal function.
///
/// Numbers are append-only: a new op takes the next free number, wherever its row stands.
#[macro_export]
macro_rules! ops { ([$($callback:tt)*] $($extra:tt)*) => { $($callback)*! { [$($extra)*]

/// Interrupts of this CPU, and the flag that masks them.
irq Irq {
    /// Returns RFLAGS.
    0 save [] leaf () -> u64 = [flags: "stack" 0..64] "pushfq";
    /// Sets RFLAGS: bit 9 enables maskable interrupts.
    1 restore [unsafe] leaf (flags: u64 = ["stack" 0..64]) -> () = [] "popfq";
    /// Disables maskable interrupts.
    2 disable [] leaf () -> () = [] "cli";
    /// Enables maskable interrupts, from behind the next instruction on or earlier: no shadow may be relied on.
    3 enable [] leaf () -> () = [] "sti";
    /// Enables maskable interrupts and halts until one arrives, with none lost between the two.
    4 wait [] call () -> () = [] "sti; hlt";
    /// Halts until an interrupt arrives.
    5 halt [] leaf () -> () = [] "hlt";
    /// Returns from the interrupt or exception whose frame is at the top of the stack.
    6 leave [unsafe] jump () -> () = [] "iretq";
}

/// Registers and counters of this CPU.
cpu Cpu {
    /// Returns CR0.
    7 read_cr0 [] leaf () -> u64 = [value: "rax" 0..64] "mov rax, cr0";
    /// Sets CR0.
    8 write_cr0 [unsafe] leaf (value: u64 = ["rdi" 0..64]) -> () = [] "mov cr0, rdi";
    /// Returns CR2, the address of the last page fault.
    9 read_cr2 [] leaf () -> u64 = [value: "rax" 0..64] "mov rax, cr2";
    /// Sets CR2.
    10 write_cr2 [unsafe] leaf (value: u64 = ["rdi" 0..64]) -> () = [] "mov cr2, rdi";
    /// Returns CR3.
    11 read_cr3 [] leaf () -> u64 = [value: "rax" 0..64] "mov rax, cr3";
    /// Sets CR3, which flushes from this CPU's TLB the entries of the PCID named that are not global; with CR4.PCIDE
    /// and bit 63 of the value set, none.
    12 write_cr3 [unsafe] leaf (value: u64 = ["rdi" 0..64]) -> () = [] "mov cr3, rdi";
    /// Returns CR4.
    13 read_cr4 [] leaf () -> u64 = [value: "rax" 0..64] "mov rax, cr4";
    /// Sets CR4.
    14 write_cr4 [unsafe] leaf (value: u64 = ["rdi" 0..64]) -> () = [] "mov cr4, rdi";
    /// Returns the value of an MSR.
    15 read_msr [unsafe] leaf (msr: u32 = ["rcx" 0..32]) -> u64 = [low: "rax" 0..32, high: "rdx" 32..64] "rdmsr";
    /// Sets an MSR.
    16 write_msr [unsafe] leaf (msr: u32 = ["rcx" 0..32], value: u64 = ["rax" 0..32, "rdx" 32..64]) -> () = [] "wrmsr";
    /// Returns the value of an MSR, or that reading it faults.
    17 try_read_msr [unsafe] leaf (msr: u32 = ["rcx" 0..32]) -> Result<u64, $crate::Fault> = [low: "rax" 0..32, high: "rdx" 32..64, fault: "rsi" 64..65] "rdmsr";
    /// Sets an MSR, or returns that writing it faults.
    18 try_write_msr [unsafe] leaf (msr: u32 = ["rcx" 0..32], value: u64 = ["rax" 0..32, "rdx" 32..64]) -> Result<(), $crate::Fault> = [fault: "rsi" 64..65] "wrmsr";
    /// Returns a CPUID leaf.
    19 cpuid [] leaf (leaf: u32 = ["rax" 0..32], subleaf: u32 = ["rcx" 0..32]) -> ::core::arch::x86_64::CpuidResult = [eax: "rax" 0..32, ebx: "rbx" 32..64, ecx: "rcx" 64..96, edx: "rdx" 96..128] "cpuid";
    /// Returns the time-stamp counter.
    20 cycles [] leaf () -> u64 = [low: "rax" 0..32, high: "rdx" 32..64] "rdtsc";
    /// Tells the CPU that it is in a spin loop.
    21 relax [] leaf () -> () = [] "pause";
}

/// Page-table entries and this CPU's TLB.
mmu Mmu {
    /// Stores a page-table entry.
    22 set_entry [unsafe] leaf (entry: *mut u64 = ["rdi" 0..64], value: u64 = ["rsi" 0..64]) -> () = [] "mov [rdi], rsi";
    /// Flushes the page at a virtual address from this CPU's TLB: the entries of the current PCID, and global ones.
    23 flush_page [] leaf (address: u64 = ["rdi" 0..64]) -> () = [] "invlpg [rdi]";
    /// Flushes from this CPU's TLB the entries of the current PCID that are not global.
    24 flush_local [] call () -> () = [] "";
    /// Flushes this CPU's TLB: the entries of every PCID, and global ones.
    25 flush_global [] call () -> () = [] "";
}

/// The one line of time.
time Time {
    /// Returns nanoseconds since a fixed point of the past; never less than before.
    26 now_ns [] call () -> u64 = [] "";
    /// Returns nanoseconds since 1970-01-01 00:00 UTC, or 0 where the machine has no calendar.
    27 wall_clock [] call () -> u64 = [] "";
    /// Returns the rate of the time-stamp counter in hertz, or 0 where nothing tells it.
    28 frequency [] call () -> u64 = [] "";
}

/// This CPU's local interrupt controller.
apic Apic {
    /// Ends the interrupt in service.
    29 eoi [unsafe] call () -> () = [] "";
}

/// I/O ports.
io Io {
    /// Waits as long as a slow device on the bus needs between two accesses.
    30 delay [] leaf () -> () = [] "out 0x80, al";
    /// Reads a byte from a port.
    31 in8 [unsafe] leaf (port: u16 = ["rdx" 0..16]) -> u8 = [value: "rax" 0..8] "in al, dx";
    /// Reads two bytes from a port.
    32 in16 [unsafe] leaf (port: u16 = ["rdx" 0..16]) -> u16 = [value: "rax" 0..16] "in ax, dx";
    /// Reads four bytes from a port.
    33 in32 [unsafe] leaf (port: u16 = ["rdx" 0..16]) -> u32 = [value: "rax" 0..32] "in eax, dx";
    /// Writes a byte to a port.
    34 out8 [unsafe] leaf (port: u16 = ["rdx" 0..16], value: u8 = ["rax" 0..8]) -> () = [] "out dx, al";
    /// Writes two bytes to a port.
    35 out16 [unsafe] leaf (port: u16 = ["rdx" 0..16], value: u16 = ["rax" 0..16]) -> () = [] "out dx, ax";
    /// Writes four bytes to a port.
    36 out32 [unsafe] leaf (port: u16 = ["rdx" 0..16], value: u32 = ["rax" 0..32]) -> () = [] "out dx, eax";
}

/// The machine's power switch.
power Power {
    /// Switches the machine off; comes back only where nothing known can do it.
    37 shutdown [] call () -> () = [] "";
    /// Resets the machine; comes back only where nothing known can do it.
    38 reboot [] call () -> () = [] "";
}

} } }
