//! The power ops.

use vmi_abi::{Override, port_call::Features, power::Overrides};

use crate::{enabled, port_call::own};

/// Returns what serves the power ops where the host can be asked to switch the machine off.
pub(crate) const fn overrides(vmi: Features) -> Overrides {
    if vmi.contains(Features::SHUTDOWN) {
        Overrides { shutdown: Override::Call(shutdown), ..Overrides::KEEP }
    } else {
        Overrides::KEEP
    }
}

/// Asks the host to end the machine; where it does not, does what the table below does.
extern "sysv64" fn shutdown() {
    if let Some(caller) = own::caller() {
        // Comes back with an error alone, and then there is the other way.
        let _ = caller.shutdown(0);
    }
    if let Some(table) = enabled::below() {
        (table.power.shutdown)();
    }
}
