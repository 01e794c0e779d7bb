//! The layout of the clock page.

use core::mem::offset_of;

use bitflags::bitflags;

/// What the host tells of system time and the time-stamp counter (TSC); `pvclock_vcpu_time_info` in the manual.
///
/// Source: KVM documentation, "KVM-specific MSRs" (`MSR_KVM_SYSTEM_TIME_NEW`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TimeInfo {
    /// Odd while the host writes; a new even number behind every change.
    pub version: u32,
    /// Zero.
    pub pad0: u32,
    /// TSC at the moment of `system_time`.
    pub tsc_timestamp: u64,
    /// Nanoseconds, never standing still, since a moment the host chose.
    pub system_time: u64,
    /// Nanoseconds per shifted TSC tick, as a fraction of 2^32.
    pub tsc_to_system_mul: u32,
    /// Bits by which TSC ticks are shifted before they are multiplied: left, or right where negative.
    pub tsc_shift: i8,
    /// [`Flags`].
    pub flags: u8,
    /// Zero.
    pub pad1: [u8; 2],
}

const _: () = {
    assert!(size_of::<TimeInfo>() == 32);
    assert!(offset_of!(TimeInfo, version) == 0);
    assert!(offset_of!(TimeInfo, tsc_timestamp) == 8);
    assert!(offset_of!(TimeInfo, system_time) == 16);
    assert!(offset_of!(TimeInfo, tsc_to_system_mul) == 24);
    assert!(offset_of!(TimeInfo, tsc_shift) == 28);
    assert!(offset_of!(TimeInfo, flags) == 29);
    assert!(offset_of!(TimeInfo, pad1) == 30);
};

bitflags! {
    /// The flags of a clock page. Source: as [`TimeInfo`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u8 {
        /// Readings of different CPUs ascend. Means something only with
        /// [`CLOCKSOURCE_STABLE_BIT`](crate::Features::CLOCKSOURCE_STABLE_BIT).
        const STABLE = 1 << 0;
        /// The host held the guest up, for a snapshot or a debugger; the guest clears it.
        const PAUSED = 1 << 1;
    }
}

impl TimeInfo {
    /// Returns the flags; unknown bits are kept.
    pub fn flags(&self) -> Flags {
        Flags::from_bits_retain(self.flags)
    }
}
