//! The power ops.

use vmi_abi::{Override, Replacements, port_call::Features, power};

use crate::BACKEND;

/// Says what serves the power ops, where the host can be asked to switch the machine off.
pub(crate) fn replace(features: Features, all: &mut Replacements) {
    if features.contains(Features::SHUTDOWN) {
        all.set::<power::shutdown>(Override::Call(shutdown));
    }
}

/// Asks the host to end the machine; where it does not, does what the table below does.
extern "sysv64" fn shutdown() {
    let Some(enabled) = BACKEND.enabled() else { return };
    if let Some(caller) = enabled.caller {
        // Comes back with an error alone, and then there is the other way.
        let _ = caller.shutdown(0);
    }
    enabled.below.get::<power::shutdown>()();
}
