//! A guest that is started again after a reset.

use std::time::Instant;

use crate::console::Output;
use crate::ending::Ending;
use crate::error::Result;
use crate::events::Outside;
use crate::machine::{Config, Machine, Outcome};

/// Runs a machine that was made by the configuration to its end. Where the configuration says so, a reset is no end:
/// a new machine is made from the same files (see [`Boot::copy_pipes`](crate::Boot::copy_pipes)), with another output for its console, until a guest ends otherwise. The
/// time limit is that of all together, the statistics are those of the last.
///
/// # Errors
///
/// Fails where a machine cannot be made or run.
pub fn run(
    machine: Machine,
    config: &Config,
    output: impl Fn() -> Result<Box<dyn Output>>,
    outside: impl Fn() -> Result<Outside>,
) -> Result<Outcome> {
    let start = Instant::now();
    let mut machine = machine;
    loop {
        let outcome = machine.run(outside()?)?;
        if !(config.restart && outcome.ending == Ending::Reset) {
            return Ok(outcome);
        }
        // Whoever wished for the end when the guest was about to be reset wished for that of all.
        if let Some(ending) = outcome.cut_off {
            return Ok(Outcome { ending, ..outcome });
        }
        let limit = config.limit.map(|limit| limit.saturating_sub(start.elapsed()));
        machine = Machine::new(&Config { limit, ..config.clone() }, output()?)?;
    }
}
