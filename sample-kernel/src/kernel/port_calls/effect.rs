//! What each call does, seen without it.

// UNSAFETY: gives pages back, and makes calls that are wrong.
#![expect(unsafe_code)]

use vmi_abi::port_call::{Call, Number, Status};
use vmi_host_backend::port_call::{Caller, Error};

use super::{Check, done, statistics};
use crate::kernel::{
    checks::PASSED,
    paging::Page,
    tally::{Outcome, Verdict, between, equal, holds},
};

pub(super) const CHECKS: &[Check] = &[
    ("released pages read as zeros", released_pages),
    ("the time of day is the clock's", time_of_day),
    ("calls are counted", counted),
    ("wrong calls are refused by name", wrong_calls),
    ("a posted batch is answered", posted),
];

static PAGES: [Page; 2] = [const { Page::new() }; 2];

fn released_pages(host: &Caller) -> Verdict {
    const PATTERN: u64 = 0xa5a5_5a5a_1234_8765;
    for page in &PAGES {
        for index in 0..512 {
            // SAFETY: the page is this check's.
            unsafe { page.entry(index).write_volatile(PATTERN) };
        }
    }
    // SAFETY: nobody needs the pattern.
    done("release", unsafe { host.release_pages(PAGES[0].physical(), 4096) })?;
    for (page, expected) in PAGES.iter().zip([0, PATTERN]) {
        for index in 0..512 {
            // SAFETY: the page is this check's.
            equal("word", unsafe { page.entry(index).read_volatile() }, expected)?;
        }
    }
    Ok(PASSED)
}

fn time_of_day(host: &Caller) -> Verdict {
    const SECOND: u64 = 1_000_000_000;
    let first = done("wall clock", host.wall_clock_ns())?;
    let second = done("wall clock", host.wall_clock_ns())?;
    between("nanoseconds", first, second, first + 10 * SECOND)?;
    let Some(by_op) = vmi::time::wall_clock() else {
        return Ok(Outcome::Skipped("the machine has no other calendar"));
    };
    let by_op = by_op.as_nanos() as u64;
    // Natively the calendar counts seconds.
    between("nanoseconds", first - 2 * SECOND, by_op, second + 10 * SECOND)?;
    Ok(PASSED)
}

fn counted(host: &Caller) -> Verdict {
    let before = statistics(host)?;
    done("mark", host.trace_mark(0, 0))?;
    done("line", host.console_line(b"one line"))?;
    // SAFETY: nobody needs the page.
    done("release", unsafe { host.release_pages(PAGES[0].physical(), 4096) })?;
    let after = statistics(host)?;
    equal("marks", after.trace_marks - before.trace_marks, 1_u64)?;
    equal("lines", after.lines - before.lines, 1_u64)?;
    equal("released bytes", after.released_bytes - before.released_bytes, 4096_u64)?;
    equal("calls", after.calls - before.calls, 4_u64)?;
    equal("batches", after.batches - before.batches, 4_u64)?;
    equal("refused", after.refused - before.refused, 0_u64)?;
    Ok(PASSED)
}

fn wrong_calls(host: &Caller) -> Verdict {
    let page = PAGES[0].physical();
    let cases = [
        (Number(0), 0, 0, Status::UNKNOWN_CALL),
        (Number(Number::POST_BLOCK.0 + 1), 0, 0, Status::UNKNOWN_CALL),
        (Number::CONSOLE_LINE, page, 1025, Status::TOO_LONG),
        (Number::CONSOLE_LINE, u64::MAX - 7, 80, Status::FAULT),
        (Number::CONSOLE_LINE, 1 << 60, 80, Status::FAULT),
        (Number::RELEASE_PAGES, page, 1, Status::INVALID),
        (Number::RELEASE_PAGES, page + 8, 4096, Status::INVALID),
        (Number::RELEASE_PAGES, page, 1 << 60, Status::FAULT),
        (Number::RELEASE_PAGES, page, !4095, Status::FAULT),
        (Number::SHUTDOWN, 256, 0, Status::INVALID),
        (Number::STATISTICS, u64::MAX - 7, 80, Status::FAULT),
        (Number::POST_BLOCK, page + 8, 0, Status::INVALID),
        (Number::POST_BLOCK, 1 << 60, 0, Status::FAULT),
    ];
    let mut batch = done("batch", host.batch())?;
    for (number, a0, a1, _) in cases {
        // SAFETY: the host is to refuse it.
        done("push", unsafe { batch.push(Call::new(number, a0, a1)) })?;
    }
    let answers = done("send", batch.send())?;
    for (answer, (number, _, _, expected)) in answers.iter().zip(cases) {
        let found = match answer {
            Ok(_) => Status::DONE,
            Err(Error::Refused(status)) => status,
            Err(_) => Status::IDLE,
        };
        equal(number.name().unwrap_or("unknown call"), found.0, expected.0)?;
    }
    Ok(PASSED)
}

fn posted(host: &Caller) -> Verdict {
    let before = statistics(host)?;
    done("registration", host.accept_posts())?;
    let mut batch = done("batch", host.batch())?;
    for mark in 0..3 {
        done("mark", batch.trace_mark(mark, 0))?;
    }
    done("post", batch.post())?;
    holds("the host answers soon", soon(|| host.batch().is_ok()))?;
    let after = statistics(host)?;
    equal("posted", after.posted - before.posted, 1_u64)?;
    equal("marks", after.trace_marks - before.trace_marks, 3_u64)?;
    done("end of registration", host.refuse_posts())?;
    Ok(PASSED)
}

/// Tells whether `condition` came to hold within ten seconds: the host's other threads may have to wait for this one.
pub(super) fn soon(condition: impl Fn() -> bool) -> bool {
    const PATIENCE_NS: u64 = 10_000_000_000;
    let start = vmi::time::now_ns();
    loop {
        if condition() {
            return true;
        }
        if vmi::time::now_ns() - start > PATIENCE_NS {
            return false;
        }
        vmi::cpu::relax();
    }
}
