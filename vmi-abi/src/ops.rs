//! The op list: every privileged operation, declared once.

/// Hands the op list to another macro: `ops!([callback] extra)` expands to `callback! { [extra] list }`.
///
/// Everything that depends on which ops there are is generated from this list, in which a group and its rows read
///
/// ```text
/// /// Documentation of the group.
/// group Group {
///     /// Documentation of the op.
///     name { column: value, column: value }
/// }
/// ```
///
/// A reader takes the row as one token, and [`columns!`](crate::columns) takes from it what the reader asks for, so that
/// a new column breaks no reader. The columns, of which all but the first two have a default:
///
/// | column | value | default |
/// | --- | --- | --- |
/// | `number` | the op's number, append-only: a new op takes the next free one, wherever its row stands | |
/// | `class` | `leaf`, `call`, `jump` or `note`, see [`Class`](crate::Class) | |
/// | `safety` | `[unsafe]` where the caller has something to promise | `[]` |
/// | `inputs` | `(name: type = [register bits, ...], ...)`; of a call op, whose convention is `sysv64`, `(name: type = [], ...)` | `()` |
/// | `result` | `(type)` | `(())` |
/// | `outputs` | `[name: register bits, ...]`: where the result lies; of a call op nothing | `[]` |
/// | `native` | the native form in Intel syntax: one instruction, or, of a call op, what its function is made of where a few instructions say it; of a note nothing | `""` |
/// | `fill` | the prefix that fills the native form up in front, by which ops of the same instruction are told apart | `0x2e`, that for CS |
/// | `stack` | `any`: sites may stand where the stack is not the kernel's, so no replacement calls | `kernel` |
/// | `since` | minor version of the table in which the op is new | `0` |
/// | `defer` | `mmu`, `cpu` or `descriptors`: which queue may hold the op back | `never` |
/// | `nop` | `never`: a site that does nothing is never right | `fits`: it may be, where there is no result and the stack stays |
///
/// `bits` says which bits of the value the register carries, `"stack"` stands for the slot at the top of the stack at
/// the site, and an output called `fault` says that the access raised a general-protection fault: its register is 0
/// when control reaches the site.
#[macro_export]
macro_rules! ops { ([$($callback:tt)*] $($extra:tt)*) => { $($callback)*! { [$($extra)*]

/// Interrupts of this CPU, and the flag that masks them.
irq Irq {
    /// Returns RFLAGS.
    save { number: 0, class: leaf, result: (u64), outputs: [flags: "stack" 0..64], native: "pushfq" }
    /// Sets RFLAGS: bit 9 enables maskable interrupts.
    ///
    /// # Safety
    ///
    /// - The direction flag is clear, and the trap flag is what the kernel expects.
    /// - Where the interrupt flag is set, the kernel can take interrupts.
    restore { number: 1, class: leaf, safety: [unsafe], inputs: (flags: u64 = ["stack" 0..64]), native: "popfq" }
    /// Disables maskable interrupts.
    disable { number: 2, class: leaf, native: "cli" }
    /// Enables maskable interrupts.
    ///
    /// One that is pending comes in front of the next instruction or behind it. The native instruction, `sti`, has a shadow
    /// that covers the next instruction; a function that a backend puts in its place spends it on its own return. So
    /// nothing may rely on the shadow: to halt without losing an interrupt there is `wait`.
    enable { number: 3, class: leaf, native: "sti" }
    /// Enables maskable interrupts and halts until one arrives.
    ///
    /// An interrupt that arrives after the caller looked for work, with interrupts disabled, ends the halt: none is
    /// lost between the two steps, as it would be between `enable` and `halt`.
    wait { number: 4, class: call, native: "sti; hlt" }
    /// Halts until an interrupt arrives; for ever, if they are disabled and none is non-maskable.
    halt { number: 5, class: leaf, native: "hlt" }
    /// Returns from the interrupt or exception whose frame is at the top of the stack.
    leave { number: 6, class: jump, safety: [unsafe], native: "iretq" }
}

/// Registers and counters of this CPU.
cpu Cpu {
    /// Returns CR0.
    read_cr0 { number: 7, class: leaf, result: (u64), outputs: [value: "rax" 0..64], native: "mov rax, cr0" }
    /// Sets CR0.
    ///
    /// # Safety
    ///
    /// - The modes that the value selects are ones that the running code, its stack and its page tables are made for.
    /// - Reserved bits are as they were read.
    write_cr0 { number: 8, class: leaf, safety: [unsafe], inputs: (value: u64 = ["rdi" 0..64]), native: "mov cr0, rdi", nop: never }
    /// Returns CR2, the virtual address of the last page fault, whether or not it is canonical.
    read_cr2 { number: 9, class: leaf, result: (u64), outputs: [value: "rax" 0..64], native: "mov rax, cr2" }
    /// Sets CR2.
    ///
    /// # Safety
    ///
    /// - No page-fault handler is about to read the address of its own fault.
    write_cr2 { number: 10, class: leaf, safety: [unsafe], inputs: (value: u64 = ["rdi" 0..64]), native: "mov cr2, rdi", nop: never }
    /// Returns CR3: the physical address of the top page table, and its flags or PCID in the low 12 bits.
    read_cr3 { number: 11, class: leaf, result: (u64), outputs: [value: "rax" 0..64], native: "mov rax, cr3" }
    /// Sets CR3, which flushes from this CPU's TLB the entries of the PCID named that are not global.
    ///
    /// Without CR4.PCIDE there is one PCID, 0. With it, the low 12 bits of the value name one, and bit 63 of the value says
    /// that nothing is flushed; read back, that bit is 0. Source: Intel SDM, Volume 3, "Process-Context Identifiers
    /// (PCIDs)".
    ///
    /// # Safety
    ///
    /// - The value names a top page table in which the running code, its stack and its data are mapped as they are now.
    write_cr3 { number: 12, class: leaf, safety: [unsafe], inputs: (value: u64 = ["rdi" 0..64]), native: "mov cr3, rdi", nop: never }
    /// Returns CR4.
    read_cr4 { number: 13, class: leaf, result: (u64), outputs: [value: "rax" 0..64], native: "mov rax, cr4" }
    /// Sets CR4.
    ///
    /// # Safety
    ///
    /// - The CPU has the features that the value enables, and the running code and page tables are made for them.
    write_cr4 { number: 14, class: leaf, safety: [unsafe], inputs: (value: u64 = ["rdi" 0..64]), native: "mov cr4, rdi", nop: never }
    /// Returns the value of an MSR.
    ///
    /// # Safety
    ///
    /// - The CPU has the MSR: otherwise it raises a general-protection fault (`try_read_msr` reports it).
    /// - Reading it has no effect that the kernel does not expect.
    read_msr {
        number: 15, class: leaf, safety: [unsafe], inputs: (msr: u32 = ["rcx" 0..32]),
        result: (u64), outputs: [low: "rax" 0..32, high: "rdx" 32..64], native: "rdmsr"
    }
    /// Sets an MSR.
    ///
    /// # Safety
    ///
    /// - The CPU has the MSR and takes the value: otherwise it raises a general-protection fault (`try_write_msr`
    ///   reports it).
    /// - The value leaves memory and control flow as the kernel expects them.
    write_msr {
        number: 16, class: leaf, safety: [unsafe],
        inputs: (msr: u32 = ["rcx" 0..32], value: u64 = ["rax" 0..32, "rdx" 32..64]), native: "wrmsr", nop: never
    }
    /// Returns the value of an MSR, if reading it does not fault.
    ///
    /// That no fault occurs does not prove that the MSR exists: some hypervisors let absent ones be read as 0.
    ///
    /// # Errors
    ///
    /// [`Fault`](crate::Fault) if the CPU raised a general-protection fault.
    ///
    /// # Safety
    ///
    /// - The kernel's #GP handler asks `vmi::fixup::landing`.
    /// - Reading the MSR has no effect that the kernel does not expect.
    try_read_msr {
        number: 17, class: leaf, safety: [unsafe], inputs: (msr: u32 = ["rcx" 0..32]),
        result: (Result<u64, $crate::Fault>), outputs: [low: "rax" 0..32, high: "rdx" 32..64, fault: "rsi" 64..65],
        native: "rdmsr", fill: 0x3e
    }
    /// Sets an MSR, if writing it does not fault.
    ///
    /// # Errors
    ///
    /// [`Fault`](crate::Fault) if the CPU raised a general-protection fault.
    ///
    /// # Safety
    ///
    /// - The kernel's #GP handler asks `vmi::fixup::landing`.
    /// - The value leaves memory and control flow as the kernel expects them.
    try_write_msr {
        number: 18, class: leaf, safety: [unsafe],
        inputs: (msr: u32 = ["rcx" 0..32], value: u64 = ["rax" 0..32, "rdx" 32..64]),
        result: (Result<(), $crate::Fault>), outputs: [fault: "rsi" 64..65], native: "wrmsr", fill: 0x3e
    }
    /// Returns a CPUID leaf.
    cpuid {
        number: 19, class: leaf, inputs: (leaf: u32 = ["rax" 0..32], subleaf: u32 = ["rcx" 0..32]),
        result: (::core::arch::x86_64::CpuidResult),
        outputs: [eax: "rax" 0..32, ebx: "rbx" 32..64, ecx: "rcx" 64..96, edx: "rdx" 96..128], native: "cpuid"
    }
    /// Returns the time-stamp counter, read wherever the CPU's out-of-order execution puts it.
    cycles { number: 20, class: leaf, result: (u64), outputs: [low: "rax" 0..32, high: "rdx" 32..64], native: "rdtsc" }
    /// Tells the CPU that it is in a spin loop.
    relax { number: 21, class: leaf, native: "pause" }
}

/// Page-table entries and this CPU's TLB.
mmu Mmu {
    /// Stores a page-table entry of any level. The TLB is not told.
    ///
    /// # Safety
    ///
    /// - `entry` is valid for a write of 8 bytes and aligned to 8.
    /// - With the new value, and with either value until the TLB is flushed, all memory in use stays mapped as it is
    ///   used.
    set_entry {
        number: 22, class: leaf, safety: [unsafe], inputs: (entry: *mut u64 = ["rdi" 0..64], value: u64 = ["rsi" 0..64]),
        native: "mov [rdi], rsi", defer: mmu
    }
    /// Flushes the page at a virtual address from this CPU's TLB: the entries of the current PCID, and global ones.
    ///
    /// What other PCIDs have of the page stays.
    flush_page { number: 23, class: leaf, inputs: (address: u64 = ["rdi" 0..64]), native: "invlpg [rdi]" }
    /// Flushes from this CPU's TLB the entries of the current PCID that are not global: the current address space.
    ///
    /// Global pages and what other PCIDs have may stay.
    flush_local { number: 24, class: call }
    /// Flushes this CPU's TLB: the entries of every PCID, and global ones.
    flush_global { number: 25, class: call }
}

/// The one line of time.
time Time {
    /// Returns nanoseconds since a fixed point of the past; never less than before.
    now_ns { number: 26, class: call, result: (u64) }
    /// Returns nanoseconds since 1970-01-01 00:00 UTC, or 0 where the machine has no calendar.
    wall_clock { number: 27, class: call, result: (u64) }
    /// Returns the rate of the time-stamp counter in hertz, or 0 where nothing tells it.
    frequency { number: 28, class: call, result: (u64) }
}

/// This CPU's local interrupt controller.
apic Apic {
    /// Ends the interrupt in service.
    ///
    /// # Safety
    ///
    /// - The local APIC's page is mapped at its physical address, or where `set_window` said.
    /// - An interrupt of the local APIC is in service and its handler is done with the device.
    eoi { number: 29, class: call, safety: [unsafe] }
    /// Returns a register, by its place in the page of an xAPIC in bytes; 0 where there is no local APIC.
    ///
    /// In x2APIC mode it is the low half of the MSR that the register is then. Source: Intel SDM, Volume 3, "Local APIC
    /// Register Address Map" and "x2APIC Register Address Space".
    ///
    /// # Safety
    ///
    /// - The local APIC's page is mapped at its physical address, or where `set_window` said.
    /// - The local APIC has the register in its mode, and reading it has no effect that the kernel does not expect.
    read { number: 39, class: call, safety: [unsafe], inputs: (register: u32 = []), result: (u32), since: 1 }
    /// Sets a register, by its place in the page of an xAPIC in bytes; does nothing where there is no local APIC.
    ///
    /// # Safety
    ///
    /// - The local APIC's page is mapped at its physical address, or where `set_window` said.
    /// - The local APIC has the register in its mode and takes the value, and the kernel can take what follows from it.
    write {
        number: 40, class: call, safety: [unsafe], inputs: (register: u32 = [], value: u32 = []), nop: never, since: 1
    }
    /// Returns the number by which interrupts reach this CPU; 0 where there is no local APIC.
    ///
    /// # Safety
    ///
    /// - The local APIC's page is mapped at its physical address, or where `set_window` said.
    id { number: 41, class: call, safety: [unsafe], result: (u32), since: 1 }
    /// Sends an interrupt to other CPUs or this one: the interrupt command register, its low half and the number of the CPU
    /// that it names as its destination. Memory that was written before is seen by who takes the interrupt.
    ///
    /// In xAPIC mode numbers have 8 bits, and there is nobody with a larger one. Source: Intel SDM, Volume 3, "Issuing
    /// Interprocessor Interrupts".
    ///
    /// # Safety
    ///
    /// - The local APIC's page is mapped at its physical address, or where `set_window` said.
    /// - The CPUs that the command reaches can take what it sends.
    send {
        number: 42, class: call, safety: [unsafe], inputs: (destination: u32 = [], command: u32 = []), nop: never, since: 1
    }
}

/// I/O ports.
io Io {
    /// Waits as long as a slow device on the bus needs between two accesses.
    delay { number: 30, class: leaf, native: "out 0x80, al" }
    /// Reads a byte from a port.
    ///
    /// # Safety
    ///
    /// - Reading the port has no effect that the kernel does not expect.
    in8 {
        number: 31, class: leaf, safety: [unsafe], inputs: (port: u16 = ["rdx" 0..16]),
        result: (u8), outputs: [value: "rax" 0..8], native: "in al, dx"
    }
    /// Reads two bytes from a port.
    ///
    /// # Safety
    ///
    /// - Reading the port has no effect that the kernel does not expect.
    in16 {
        number: 32, class: leaf, safety: [unsafe], inputs: (port: u16 = ["rdx" 0..16]),
        result: (u16), outputs: [value: "rax" 0..16], native: "in ax, dx"
    }
    /// Reads four bytes from a port.
    ///
    /// # Safety
    ///
    /// - Reading the port has no effect that the kernel does not expect.
    in32 {
        number: 33, class: leaf, safety: [unsafe], inputs: (port: u16 = ["rdx" 0..16]),
        result: (u32), outputs: [value: "rax" 0..32], native: "in eax, dx"
    }
    /// Writes a byte to a port.
    ///
    /// # Safety
    ///
    /// - The device behind the port does nothing with the value that the kernel does not expect.
    out8 {
        number: 34, class: leaf, safety: [unsafe], inputs: (port: u16 = ["rdx" 0..16], value: u8 = ["rax" 0..8]),
        native: "out dx, al", nop: never
    }
    /// Writes two bytes to a port.
    ///
    /// # Safety
    ///
    /// - The device behind the port does nothing with the value that the kernel does not expect.
    out16 {
        number: 35, class: leaf, safety: [unsafe], inputs: (port: u16 = ["rdx" 0..16], value: u16 = ["rax" 0..16]),
        native: "out dx, ax", nop: never
    }
    /// Writes four bytes to a port.
    ///
    /// # Safety
    ///
    /// - The device behind the port does nothing with the value that the kernel does not expect.
    out32 {
        number: 36, class: leaf, safety: [unsafe], inputs: (port: u16 = ["rdx" 0..16], value: u32 = ["rax" 0..32]),
        native: "out dx, eax", nop: never
    }
}

/// The machine's power switch.
power Power {
    /// Switches the machine off.
    ///
    /// Comes back only where nothing known can do it: natively that takes ACPI's word (`use_acpi`). The kernel may then
    /// say that it is safe to switch off by hand.
    shutdown { number: 37, class: call }
    /// Resets the machine. Comes back only where nothing known can do it.
    reboot { number: 38, class: call }
}

} } }
