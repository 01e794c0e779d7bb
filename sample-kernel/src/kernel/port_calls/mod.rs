//! Calls to a VMI host: what they do, what they cost in exits, and what wrong and hostile ones get.

// UNSAFETY: opens the block from which the calls are made.
#![expect(unsafe_code)]

mod cost;
mod effect;
mod hostile;

use core::fmt;

use vmi::Platform;
use vmi_abi::port_call::{CALLS_MAX, Statistics};
use vmi_host_backend::port_call::{Announced, Block, Caller, Error};

use super::{
    console::line,
    platform::{PLATFORM, machine},
    tally::{Failure, Tally, Verdict, present},
};

/// The block of the only CPU, for as many calls as one batch can have.
static BLOCK: Block<CALLS_MAX> = Block::new();

/// A check, the property that it checks, and the host that it asks.
type Check = (&'static str, fn(&Caller) -> Verdict);

/// Runs every check.
pub fn run(tally: &mut Tally) {
    let host = match open() {
        Ok(host) => host,
        Err(why) => return tally.fail("vmi", "the interface is announced", why),
    };
    for (name, check) in [effect::CHECKS, cost::CHECKS, hostile::CHECKS].into_iter().flatten() {
        tally.count("vmi", name, check(&host));
    }
}

/// Ends the machine with this code by the host; what comes back has failed.
pub fn shutdown(tally: &mut Tally, code: &str) {
    let Err(why) = open().and_then(|host| match code.parse() {
        Ok(code) => host.shutdown(code).map_err(Why::Failed),
        Err(_) => Err(Why::NoCode),
    });
    tally.fail("vmi", "shutdown", why);
}

/// Does nothing but print lines or ring the doorbell, as fast as it can, until the host ends it.
pub fn flood(tally: &mut Tally, what: &str) {
    let host = match open() {
        Ok(host) => host,
        Err(why) => return tally.fail("vmi", "flood", why),
    };
    line!("flood: {what}");
    let error = loop {
        let sent = match what {
            "console" => host.console_line(&[b'x'; 80]),
            "doorbell" => host.ring(),
            _ => return tally.fail("vmi", what, "neither console nor doorbell"),
        };
        if let Err(error) = sent {
            break error;
        }
    };
    tally.fail("vmi", "flood", error);
}

/// Sets a mark in the host's accounting, where there is a host that takes marks.
pub fn mark(mark: u64) {
    if let Ok(host) = open() {
        // Without marks the loops run all the same.
        let _ = host.trace_mark(mark, 0);
    }
}

/// Returns the way to the host, where there is a host that speaks the interface.
pub fn host() -> Option<Caller> {
    open().ok()
}

/// Why the host cannot be called.
#[derive(Clone, Copy, Debug)]
enum Why {
    NotAnnounced,
    NoCode,
    Failed(Error),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnnounced => f.write_str("CPUID announces no VMI host of a known version"),
            Self::NoCode => f.write_str("the code is not a number up to 255"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

fn open() -> Result<Caller, Why> {
    let announced = Announced::detect(&machine()).ok_or(Why::NotAnnounced)?;
    let physical = PLATFORM.get().physical_address(BLOCK.address());
    // SAFETY: ring 0, on the CPU just asked; the image is loaded in one piece, at these addresses.
    unsafe { announced.open(&BLOCK, physical) }.map_err(Why::Failed)
}

/// Demands that a call succeeds; returns its value.
fn done<T>(what: &'static str, result: Result<T, Error>) -> Result<T, Failure> {
    if let Err(error) = &result {
        line!("{what}: {error}");
    }
    present(what, result.ok())
}

fn statistics(host: &Caller) -> Result<Statistics, Failure> {
    done("statistics", host.statistics())
}
