//! Interrupts of this CPU.

use crate::insn;

#[inline]
pub(crate) fn wait() {
    insn::sti_hlt();
}
