//! A guest that is started again after a reset.

use std::time::Instant;

use crate::devices::Output;
use crate::ending::Ending;
use crate::error::{Error, Result};
use crate::events::Outside;
use crate::machine::{Config, Machine, Outcome};

/// Runs a machine that was made by the configuration to its end. Where the configuration says so, a reset is no end:
/// a new machine is made from the same files, with another output for its console, until a guest ends otherwise. The
/// time limit is that of all together, the statistics are those of the last.
///
/// # Errors
///
/// Fails where a machine cannot be made or run.
pub fn run(
    machine: Machine,
    config: &Config,
    mut output: impl FnMut() -> Box<dyn Output>,
    outside: Outside,
) -> Result<Outcome> {
    let start = Instant::now();
    let mut machine = machine;
    loop {
        let outcome = machine.run(another(&outside)?)?;
        if !(config.restart && outcome.ending == Ending::Reset) {
            return Ok(outcome);
        }
        let limit = config.limit.map(|limit| limit.saturating_sub(start.elapsed()));
        machine = Machine::new(&Config { limit, ..config.clone() }, output())?;
    }
}

/// Returns the same outside for one more machine.
fn another(outside: &Outside) -> Result<Outside> {
    let copy = |descriptor: &Option<std::os::fd::OwnedFd>| {
        let copied = descriptor.as_ref().map(|descriptor| descriptor.try_clone()).transpose();
        copied.map_err(Error::system("share a descriptor with a guest that starts again"))
    };
    Ok(Outside { input: copy(&outside.input)?, signals: copy(&outside.signals)? })
}
