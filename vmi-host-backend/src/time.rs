//! The time ops.

use vmi_abi::{Override, Replacements, port_call::Features, time};

use crate::BACKEND;

/// Says what serves the time ops, where the host tells the time of day.
pub(crate) fn replace(features: Features, all: &mut Replacements) {
    if features.contains(Features::WALL_CLOCK) {
        all.set::<time::wall_clock>(Override::Call(wall_clock));
    }
}

/// Returns nanoseconds since 1970-01-01 00:00 UTC as the host tells them, or what the table below says.
extern "sysv64" fn wall_clock() -> u64 {
    let Some(enabled) = BACKEND.enabled() else { return 0 };
    let told = || enabled.caller?.wall_clock_ns().ok().filter(|&ns| ns != 0);
    told().unwrap_or_else(|| enabled.below.get::<time::wall_clock>()())
}
