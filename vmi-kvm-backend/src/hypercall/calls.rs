//! The calls there are.

use super::Arguments;
use crate::Features;

/// A hypercall, as a type: what is granted for it takes no memory.
///
/// A call that has no type here needs one of its own, with its number.
pub trait Call {
    /// The number.
    const NUMBER: Number;

    /// The arguments: an array of up to four.
    type Arguments: Arguments;
}

/// The number of a hypercall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Number(pub u64);

/// Number, constant, type, arguments, and the feature without which the call must not be made.
macro_rules! calls {
    ($( $(#[$doc:meta])* $number:literal $CONSTANT:ident $Type:ident [$($argument:ident)*] $($feature:ident)?; )*) => {
        impl Number {
            $( $(#[$doc])* pub const $CONSTANT: Self = Self($number); )*

            /// Returns the feature without which the call must not be made; empty where there is none, also for numbers
            /// not known here.
            pub const fn needs(self) -> Features {
                match self {
                    $( Self::$CONSTANT => Features::empty()$(.union(Features::$feature))?, )*
                    _ => Features::empty(),
                }
            }
        }

        $(
            $(#[$doc])*
            #[doc = concat!("\n\nArguments: `[", stringify!($($argument),*), "]`.")]
            #[derive(Clone, Copy, Debug)]
            pub enum $Type {}

            impl Call for $Type {
                const NUMBER: Number = Number::$CONSTANT;
                type Arguments = [u64; <[&str]>::len(&[$(stringify!($argument)),*])];
            }
        )*
    };
}

calls! {
    /// Exits and does nothing, so that pending interrupts are looked at.
    1 VAPIC_POLL_IRQ VapicPollIrq [];
    /// Wakes a halted CPU. No flag is defined.
    5 KICK_CPU KickCpu [flags apic_id] PV_UNHALT;
    /// Fills a structure in memory with the host's time and the TSC it belongs to. The only type of clock is 0, wall
    /// clock.
    9 CLOCK_PAIRING ClockPairing [physical_address clock_type];
    /// Sends an interrupt to up to 128 CPUs: the bits of the map are APIC ids from the lowest on.
    10 SEND_IPI SendIpi [map_low map_high lowest_apic_id interrupt_command] PV_SEND_IPI;
    /// Yields to another CPU.
    11 SCHED_YIELD SchedYield [apic_id] PV_SCHED_YIELD;
    /// Changes whether a physical range is shared with the host.
    12 MAP_GPA_RANGE MapGpaRange [physical_address pages attributes] HC_MAP_GPA_RANGE;
}
