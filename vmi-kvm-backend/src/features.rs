//! What KVM offers, as CPUID announces it.
//!
//! Source of all bits: KVM documentation, "KVM CPUID bits". User space on the host can mask any of them, so a bit
//! that is clear is normal, and nothing may be used whose bit is clear.

use bitflags::bitflags;

bitflags! {
    /// What the host does for its guests: EAX of the leaf behind the signature.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Features: u32 {
        /// The clock page, at the deprecated MSRs 0x11 and 0x12.
        const CLOCKSOURCE = 1 << 0;
        /// Port accesses need no delay in between.
        const NOP_IO_DELAY = 1 << 1;
        /// The MMU hypercall, deprecated; hosts refuse it now.
        const MMU_OP = 1 << 2;
        /// The clock page, at MSRs 0x4b564d00 and 0x4b564d01.
        const CLOCKSOURCE2 = 1 << 3;
        /// Asynchronous page faults, at MSR 0x4b564d02.
        const ASYNC_PF = 1 << 4;
        /// Stolen time, at MSR 0x4b564d03.
        const STEAL_TIME = 1 << 5;
        /// End of interrupt without an exit, at MSR 0x4b564d04.
        const PV_EOI = 1 << 6;
        /// The hypercall that wakes a halted CPU.
        const PV_UNHALT = 1 << 7;
        /// TLB flush of preempted CPUs through their stolen-time page.
        const PV_TLB_FLUSH = 1 << 9;
        /// Asynchronous page faults as an exit to a nested hypervisor.
        const ASYNC_PF_VMEXIT = 1 << 10;
        /// The hypercall that sends inter-processor interrupts.
        const PV_SEND_IPI = 1 << 11;
        /// Control of the host's polling after a halt, at MSR 0x4b564d05.
        const POLL_CONTROL = 1 << 12;
        /// The hypercall that yields to another CPU.
        const PV_SCHED_YIELD = 1 << 13;
        /// Asynchronous page faults that report completion by an interrupt, at MSRs 0x4b564d06 and 0x4b564d07.
        const ASYNC_PF_INT = 1 << 14;
        /// Bits 11 to 5 of an MSI address carry bits 14 to 8 of the destination.
        const MSI_EXT_DEST_ID = 1 << 15;
        /// The hypercall that changes what a guest-physical range is.
        const HC_MAP_GPA_RANGE = 1 << 16;
        /// Control of live migration, at MSR 0x4b564d08.
        const MIGRATION_CONTROL = 1 << 17;
        /// Bit 0 of the clock page's flags means something: [`Flags::STABLE`](crate::pvclock::Flags::STABLE).
        const CLOCKSOURCE_STABLE_BIT = 1 << 24;
    }

    /// What the host recommends: EDX of the leaf behind the signature.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Hints: u32 {
        /// Virtual CPUs are never preempted for an unlimited time.
        const REALTIME = 1 << 0;
    }
}

impl Features {
    /// Either way to the clock page.
    pub const CLOCK: Self = Self::CLOCKSOURCE.union(Self::CLOCKSOURCE2);
}
