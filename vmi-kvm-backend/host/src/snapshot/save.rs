//! From a guest that stands still to a file.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::cpu::CpuState;
use super::file;
use super::format;
use super::state::{State, VmState};
use crate::devices::Name;
use crate::error::{Error, Result};
use crate::pause;
use crate::shared::{Shared, lock};

/// Saves a guest that stands still; it goes on standing still.
///
/// # Errors
///
/// Says why there is no snapshot; a file that was there is whole then.
pub(crate) fn save(shared: &Shared, path: &Path) -> Result<()> {
    let failed = |reason: String| Error::Snapshot { path: path.to_owned(), reason };
    let state = take(shared).map_err(|error| failed(error.to_string()))?;
    let write = |output: &mut dyn Write| format::write(UntilOver { shared, output }, &state, &shared.memory);
    file::replace(path, write, |_| ()).map_err(|error| failed(error.to_string()))
}

fn take(shared: &Shared) -> Result<State> {
    if shared.is_bad {
        return Err(Error::Option("the host is a bad one, whose faults a snapshot does not hold".to_owned()));
    }
    let vm = shared.vm.as_ref().ok_or(Error::RunOver)?;
    // Input that comes meanwhile waits, so that it and its interrupt are both in, or neither.
    let devices = lock(&shared.devices);
    let vm = VmState::take(vm)?;
    let without = Name::ALL.iter().filter(|(_, name)| !devices.present().has(*name));
    let without = without.map(|(name, _)| (*name).to_owned()).collect();
    let indices: Arc<[u32]> = Arc::clone(&shared.msr_indices);
    let cpus = (0..shared.pause.cpus()).map(|cpu| {
        let (leaves, indices) = (Arc::clone(&shared.leaves[cpu]), Arc::clone(&indices));
        pause::on_cpu(shared, cpu, move |cpu| CpuState::take(cpu, &leaves, &indices))?
    });
    let cpus = cpus.collect::<Result<_>>()?;
    Ok(State {
        memory_bytes: shared.memory_bytes,
        without,
        vm,
        cpus,
        devices: devices.state(),
        posted: shared.port_calls.posted(),
    })
}

/// Writes until the run is over, which waits for no disk.
struct UntilOver<'a> {
    shared: &'a Shared,
    output: &'a mut dyn Write,
}

impl Write for UntilOver<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.shared.is_over() {
            return Err(io::Error::other(Error::RunOver));
        }
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
