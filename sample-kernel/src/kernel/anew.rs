//! The clock of a host that starts anew lower.

use super::{
    checks::{kvm::page_time, time::advances_while},
    tally::{Tally, Verdict, holds},
};

/// How long the host is waited for, and how long the clock is watched then, in seconds.
const PATIENCE: u64 = 20;
const WATCH: u64 = 1;

/// Watches the clock while the host's starts anew, and a while longer.
pub fn run(tally: &mut Tally) {
    tally.count("anew", "the clock goes on at its rate", goes_on_at_rate());
}

fn goes_on_at_rate() -> Verdict {
    let hertz = vmi::time::frequency().map_or(1_000_000_000, |hertz| hertz.get());
    let (mut page, mut last, mut anew) = (page_time()?, vmi::time::now_ns(), None);
    advances_while(|passed| {
        let (page_before, last_before) = (page, last);
        (page, last) = (page_time()?, vmi::time::now_ns());
        holds("time never steps back", last >= last_before)?;
        if page < page_before {
            anew = anew.or(Some(passed));
        }
        holds("the host's clock starts anew", anew.is_some() || passed < PATIENCE * hertz)?;
        Ok(anew.is_none_or(|anew| passed < anew + WATCH * hertz))
    })
}
