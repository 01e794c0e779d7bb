//! Ctrl-C and its kin: noticed by everybody who waits, so that nothing is left running.

use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The signal that asked us to end, or 0.
static SIGNAL: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// A signal that asked the program to end.
#[derive(Debug)]
pub(crate) struct Interrupted(u8);

impl Interrupted {
    /// Returns the exit status that a shell reports for a program ended by this signal.
    pub(crate) fn status(&self) -> u8 {
        128 + self.0
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interrupted by signal {}", self.0)
    }
}

impl std::error::Error for Interrupted {}

/// Starts noticing SIGINT, SIGTERM and SIGHUP.
pub(crate) fn watch() -> Result<()> {
    let signal = SIGNAL.get_or_init(Arc::default);
    for number in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register_usize(number, Arc::clone(signal), number as usize)
            .with_context(|| format!("cannot watch signal {number}"))?;
    }
    Ok(())
}

/// Returns an error once a signal has asked the program to end.
///
/// Whoever waits for something calls this at least every few dozen milliseconds.
pub(crate) fn check() -> Result<()> {
    match SIGNAL.get().map_or(0, |signal| signal.load(Ordering::Relaxed)) {
        0 => Ok(()),
        number => Err(Interrupted(u8::try_from(number).unwrap_or(0)).into()),
    }
}
