//! KVM's model-specific registers and what is written to them.
//!
//! Source of numbers and formats: KVM documentation, "KVM-specific MSRs".

use crate::Features;

/// Wall clock: the physical address, aligned to 4, of a [`WallClock`](crate::wall_clock::WallClock) that each write
/// fills once.
pub const WALL_CLOCK_NEW: u32 = 0x4b56_4d00;
/// System time: the physical address, aligned to 4, of this CPU's [`TimeInfo`](crate::pvclock::TimeInfo), and
/// [`ENABLE`] in bit 0.
pub const SYSTEM_TIME_NEW: u32 = 0x4b56_4d01;
/// [`WALL_CLOCK_NEW`] at its deprecated number, which lies in the range of Intel's own MSRs.
pub const WALL_CLOCK: u32 = 0x11;
/// [`SYSTEM_TIME_NEW`] at its deprecated number, which lies in the range of Intel's own MSRs.
pub const SYSTEM_TIME: u32 = 0x12;

/// Bit 0 of a registration: the host keeps the page up to date until a value without it is written.
pub const ENABLE: u64 = 1;

/// The value of every registration after reset: nothing registered.
pub const RESET: u64 = 0;

/// The two MSRs of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockMsrs {
    /// Registers this CPU's page.
    pub system_time: u32,
    /// Fills the wall clock.
    pub wall_clock: u32,
}

impl ClockMsrs {
    /// The pair at KVM's own numbers.
    pub const NEW: Self = Self { system_time: SYSTEM_TIME_NEW, wall_clock: WALL_CLOCK_NEW };
    /// The pair at the deprecated numbers.
    pub const LEGACY: Self = Self { system_time: SYSTEM_TIME, wall_clock: WALL_CLOCK };

    /// Chooses the pair: the deprecated one only where the host has no other, `None` where it has none.
    ///
    /// Never both: they are two numbers for one registration, and a host that sees the deprecated number on the boot
    /// CPU stops calling the clock stable. The sample in the KVM documentation masks the feature word with the bit
    /// numbers 3 and 0 instead of the bits; it is not to be followed.
    pub fn choose(features: Features) -> Option<Self> {
        if features.contains(Features::CLOCKSOURCE2) {
            Some(Self::NEW)
        } else if features.contains(Features::CLOCKSOURCE) {
            Some(Self::LEGACY)
        } else {
            None
        }
    }
}
