//! The rig, started once: its machine is saved where it waits for a job, and every job goes on from there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::cache::{Base, digest};
use super::control::Line;
use super::machine::{Machine, PATIENCE, Said, arguments, pad};
use crate::progress::Progress;

/// Returns the saved state of the machine that these further arguments make; saved now if there is none.
pub(super) fn ensure(base: &Base, more: &[&str]) -> Result<PathBuf> {
    let state = base.states.join(format!("state-{}", digest(more.join(" ").as_bytes())));
    let lock = state.with_extension("lock");
    let lock = File::create(&lock).with_context(|| format!("cannot make `{}`", lock.display()))?;
    lock.lock().context("cannot lock the rig's state")?;
    if !state.exists() {
        let _progress = Progress::start("starting the rig's Linux (once)");
        // Beside its place and moved there whole, so that half a state is never found.
        let partial = state.with_extension("partial");
        save(base, more, &partial).context("the rig cannot be started")?;
        fs::rename(&partial, &state).context("cannot keep the rig's state")?;
    }
    Ok(state)
}

/// Starts the machine with an empty disk and saves it once it waits for a job.
fn save(base: &Base, more: &[&str], state: &Path) -> Result<()> {
    let disk = tempfile::NamedTempFile::new().context("cannot make an empty disk")?;
    pad(disk.as_file())?;
    let mut machine = Machine::start(&arguments(base, disk.path(), more))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let lines = match machine.next(deadline)? {
            Said::Lines(lines) => lines,
            Said::Console(_) => continue,
            Said::Ended(finish) => bail!("it ended early with {}{}", finish.status, machine.last_words()),
            Said::TimedOut => {
                bail!("it was not ready within {} s{}", PATIENCE.as_secs(), machine.last_words())
            }
        };
        for line in lines {
            match line {
                Line::Ready => return machine.save(state),
                Line::Broken(reason) => bail!("{reason}{}", machine.last_words()),
                _ => {}
            }
        }
    }
}
