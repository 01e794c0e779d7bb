//! The clock page: system time in shared memory, read without an exit.
//!
//! The host fills one [`TimeInfo`] per CPU, and the guest computes nanoseconds from it and the time-stamp counter.
//! Nothing in the page is believed:
//!
//! - A read is valid only under an even version that is the same before and behind it; the number of tries is bounded.
//! - Multiplier 0, a shift outside -31..=31 and a result above 63 bits are [`PageError`]s: the count is never
//!   near its end, where time would begin again at 0.
//! - A time-stamp counter below the page's counts as no time gone by.
//! - The stable flag is heeded only where CPUID gives it a meaning; without it every reading is held up against the
//!   latest of all CPUs. With it, against the latest of this CPU, so that also a page that changes for the worse (a
//!   migration) never turns the clock back.
//! - A clock that starts anew lower (a restore without its time) is moved to where time was, and goes on from there at the
//!   page's rate; a clock that is set right again is taken as it is.
//! - While no valid reading can be had, time goes on from the last one at the pace of the table below.
//!
//! Source: KVM documentation, "KVM-specific MSRs" (`MSR_KVM_SYSTEM_TIME_NEW`).

mod clock;
mod line;
mod local;
mod page;
mod registered;
#[cfg(test)]
mod restarts;
mod scale;
#[cfg(test)]
mod script;
#[cfg(test)]
mod tests;
mod time_info;
mod timeline;

pub(crate) use clock::{Clock, Stability};
pub(crate) use page::{Page, Source, Tries};
pub use registered::{ahead_ns, inherited_registration, page_address, pauses_seen, snapshot};
pub use scale::{PageError, frequency_hz, nanoseconds};
pub use time_info::{Flags, TimeInfo};
pub(crate) use timeline::Timeline;
