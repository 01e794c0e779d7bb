//! From a file to a guest.

use std::fs::File;
use std::io::{BufReader, Seek};
use std::path::{Path, PathBuf};

use kvm_ioctls::{VcpuFd, VmFd};

use super::state::State;
use super::{clock, features, format};
use crate::cpuid::Leaves;
use crate::devices::Present;
use crate::error::{Error, Result};
use crate::memory::Memory;

/// A snapshot that is whole, whose memory is yet to be read.
pub(crate) struct Snapshot {
    path: PathBuf,
    input: BufReader<File>,
    pub(crate) state: State,
    /// Which devices there are.
    pub(crate) present: Present,
}

impl Snapshot {
    /// Opens a snapshot, and reads all but the memory.
    ///
    /// # Errors
    ///
    /// Refuses, with a reason, whatever is no whole snapshot of a version that is known.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = |reason| Error::File { path: path.to_owned(), reason };
        let refused = |reason| Error::Restore { path: path.to_owned(), reason };
        let input = File::open(path).map_err(file)?;
        let metadata = input.metadata().map_err(file)?;
        if !metadata.is_file() {
            return Err(refused("it is no file that can be read twice".to_owned()));
        }
        let mut input = BufReader::new(input);
        format::verify(&mut input, metadata.len()).map_err(refused)?;
        input.rewind().map_err(file)?;
        let state = format::read_state(&mut input).map_err(refused)?;
        let present = state.present().map_err(refused)?;
        Ok(Self { path: path.to_owned(), input, state, present })
    }

    /// Reads the memory, into such that is all zero.
    ///
    /// # Errors
    ///
    /// Refuses, with a reason, what is not the guest's.
    pub(crate) fn read_memory(&mut self, memory: &Memory) -> Result<()> {
        format::read_memory(&mut self.input, memory).map_err(|reason| self.refused(reason))
    }

    /// Has new CPUs and their machine take the state up, so that they can run. `leaves` are those that this machine's KVM
    /// supports.
    ///
    /// # Errors
    ///
    /// Refuses a guest that was told of features that there are not; fails where KVM does.
    pub(crate) fn put(&mut self, vm: &VmFd, cpus: &[VcpuFd], leaves: &Leaves) -> Result<()> {
        for (number, state) in self.state.cpus.iter().enumerate() {
            let mut has = leaves.of(leaves.vendor(), number);
            features::compare(&state.leaves, &mut has).map_err(|reason| self.refused(reason))?;
        }
        let away_ns = clock::away_ns(self.state.vm.real_ns, clock::real_ns());
        let mut counters: Vec<u64> = self.state.cpus.iter().map(|state| state.counter).collect();
        let khz = self.state.cpus.first().map_or(0, |state| state.counter_khz);
        clock::move_on(&mut counters, khz, away_ns);
        for (state, counter) in self.state.cpus.iter_mut().zip(counters) {
            state.counter = counter;
        }
        let put = || {
            self.state.cpus.iter().zip(cpus).try_for_each(|(state, cpu)| state.put(cpu))?;
            self.state.vm.put(vm, away_ns)
        };
        put().map_err(|error| self.refused(error.to_string()))
    }

    fn refused(&self, reason: String) -> Error {
        Error::Restore { path: self.path.clone(), reason }
    }
}
