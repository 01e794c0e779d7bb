//! Threads beside those of the CPUs, which do what no CPU may be kept waiting for.

use std::io::ErrorKind;
use std::sync::Arc;
use std::thread::{self, Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::confinement::{self, Role};
use crate::error::{Error, Result};
use crate::shared::{EndsByPanic, Shared};
use crate::signals;

/// Their stack: the state of a machine that is saved is the largest thing on it, several times over where nothing is
/// optimized. It is less than a large page, which the kernel would fill with zeros for it.
const STACK: usize = 1 << 20;

/// A ring of ours among those of the guest, which does not ring that often.
const LAST: u64 = 1 << 48;
/// How long the doorbell's thread may take for what was posted last.
const PATIENCE: Duration = Duration::from_millis(500);

/// Writes the console's output, which may take as long as whoever reads it likes.
///
/// # Errors
///
/// Fails where there is no thread to be had.
pub(crate) fn write_console(shared: Arc<Shared>) -> Result<JoinHandle<()>> {
    spawn("console", Role::Io, shared, |shared| {
        shared.console.write_out();
        let _ = shared.over.write(1);
    })
}

/// Serves posted batches whenever the doorbell rings. On a thread of its own, not the main one, because a batch may
/// wait for room in the console, and signals must be heard meanwhile.
///
/// # Errors
///
/// Fails where there is no thread to be had.
pub(crate) fn serve_doorbell(shared: Arc<Shared>) -> Result<JoinHandle<()>> {
    spawn("doorbell", Role::Io, shared, |shared| {
        loop {
            let rings = match shared.doorbell.read() {
                Ok(rings) => rings,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            if rings % LAST != 0 {
                let serve = || shared.port_calls.doorbell(&shared.memory, shared, rings % LAST);
                shared.pause.touch(|| shared.is_over(), serve);
            }
            if rings >= LAST {
                return;
            }
        }
    })
}

/// Has the doorbell's thread serve what the guest, which runs no longer, has posted before, and end.
pub(crate) fn end_doorbell(shared: &Shared, thread: &JoinHandle<()>) {
    let _ = shared.doorbell.write(LAST);
    let deadline = Instant::now() + PATIENCE;
    while !thread.is_finished() && Instant::now() < deadline {
        thread::sleep(Duration::from_micros(100));
    }
}

/// Spoils the clock pages again and again, where that is asked for.
///
/// # Errors
///
/// Fails where there is no thread to be had.
pub(crate) fn spoil_clock(shared: Arc<Shared>) -> Result<Option<JoinHandle<()>>> {
    let Some(period) = shared.clock.as_ref().and_then(|clock| clock.turns()) else { return Ok(None) };
    let thread = spawn("clock", Role::Io, shared, move |shared| {
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

/// Starts a thread that is held to its role and whose panic ends the run.
///
/// # Errors
///
/// Fails where there is no thread to be had.
pub(crate) fn spawn(
    name: &str,
    role: Role,
    shared: Arc<Shared>,
    body: impl FnOnce(&Shared) + Send + 'static,
) -> Result<JoinHandle<()>> {
    let held = confinement::held();
    let thread = Builder::new().name(name.to_owned()).stack_size(STACK).spawn(move || {
        let _ends = EndsByPanic(&shared);
        signals::leave_to_main();
        match confinement::narrow_from(held, role) {
            Ok(()) => body(&shared),
            Err(error) => shared.end(Err(error)),
        }
    });
    thread.map_err(Error::system("start a thread"))
}
