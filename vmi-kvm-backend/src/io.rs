//! The port ops.

use vmi_abi::{Override, io::Overrides};

use crate::Features;

/// Returns what serves the port ops: the delay goes where the host says that its ports need none.
pub(crate) const fn overrides(features: Features) -> Overrides {
    if features.contains(Features::NOP_IO_DELAY) {
        Overrides { delay: Override::Nop, ..Overrides::KEEP }
    } else {
        Overrides::KEEP
    }
}
