//! Checks of the running image: text is write-protected, and nothing is both writable and executable.

use super::{Check, PASSED};
use crate::kernel::{
    image,
    insn::attempt,
    paging,
    tally::{Verdict, holds},
};

pub const CHECKS: &[Check] = &[("text is write-protected", text_is_write_protected)];

fn text_is_write_protected() -> Verdict {
    for segment in image::segments().filter(|segment| segment.executable) {
        holds("text is not linked writable", !segment.writable)?;
        for page in segment.range.clone().step_by(4096) {
            holds("the tables protect it", !paging::is_writable(page))?;
        }
        holds("a store faults", attempt::storing_faults(segment.range.start))?;
    }
    Ok(PASSED)
}
