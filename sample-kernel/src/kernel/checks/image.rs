//! Checks of the running image: text is write-protected, and nothing is both writable and executable.

// UNSAFETY: tries to write to text.
#![expect(unsafe_code)]

use core::arch::naked_asm;

use super::{Check, PASSED};
use crate::kernel::{
    image, paging,
    tally::{Verdict, equal, holds},
    trap,
};

pub const CHECKS: &[Check] = &[("text is write-protected", text_is_write_protected)];

/// Writes to `*address`; returns 0, or 1 at the landing.
#[unsafe(naked)]
extern "sysv64" fn store(address: usize) -> u64 {
    naked_asm!("mov al, [rdi]", "mov [rdi], al", "xor eax, eax", "ret", "store_landing: mov eax, 1", "ret",)
}

unsafe extern "C" {
    static store_landing: u8;
}

fn text_is_write_protected() -> Verdict {
    let landing = (&raw const store_landing).addr() as u64;
    for segment in image::segments().filter(|segment| segment.executable) {
        holds("text is not linked writable", !segment.writable)?;
        for page in segment.range.clone().step_by(4096) {
            holds("the tables protect it", !paging::is_writable(page))?;
        }
        let fault = trap::expecting(trap::PAGE_FAULT, landing, || store(segment.range.start));
        equal("a store faults", fault, 1_u64)?;
    }
    Ok(PASSED)
}
