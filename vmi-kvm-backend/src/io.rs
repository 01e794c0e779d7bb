//! The port ops.

use vmi_abi::{Override, Replacements, io};

use crate::Features;

/// Says what serves the port ops: the delay goes where the host says that its ports need none.
pub(crate) fn replace(features: Features, all: &mut Replacements) {
    if features.contains(Features::NOP_IO_DELAY) {
        all.set::<io::delay>(Override::Nop);
    }
}
