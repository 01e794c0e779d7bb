//! Threads beside those of the CPUs, which do what no CPU may be kept waiting for.

use std::sync::Arc;
use std::thread::{self, Builder, JoinHandle};

use crate::error::{Error, Result};
use crate::shared::{EndsByPanic, Shared};

/// Their stack: a line of the console is the largest thing on it.
const STACK: usize = 128 << 10;

/// Serves posted batches whenever the doorbell rings. On a thread of its own, not the main one, because a batch may
/// wait for the console, and signals must be heard meanwhile.
///
/// # Errors
///
/// Fails where there is no thread to be had.
pub(crate) fn serve_doorbell(shared: Arc<Shared>) -> Result<JoinHandle<()>> {
    spawn("doorbell", shared, |shared| {
        while let Ok(rings) = shared.doorbell.read() {
            if shared.is_over() {
                break;
            }
            shared.port_calls.doorbell(&shared.memory, shared, rings);
        }
    })
}

/// Spoils the clock pages again and again, where that is asked for.
///
/// # Errors
///
/// Fails where there is no thread to be had.
pub(crate) fn spoil_clock(shared: Arc<Shared>) -> Result<Option<JoinHandle<()>>> {
    let Some(period) = shared.clock.as_ref().and_then(|clock| clock.turns()) else { return Ok(None) };
    let thread = spawn("clock", shared, move |shared| {
        let rounds = (0..).take_while(|_| !shared.is_over());
        for round in rounds {
            if let Some(clock) = &shared.clock {
                clock.turn(&shared.memory, round);
            }
            thread::sleep(period);
        }
    });
    thread.map(Some)
}

fn spawn(
    name: &str,
    shared: Arc<Shared>,
    body: impl FnOnce(&Shared) + Send + 'static,
) -> Result<JoinHandle<()>> {
    let thread = Builder::new().name(name.to_owned()).stack_size(STACK).spawn(move || {
        let _ends = EndsByPanic(&shared);
        body(&shared);
    });
    thread.map_err(Error::system("start a thread"))
}
