//! The exits of a CPU, served one after the other.

// UNSAFETY: reads the page that KVM shares with this thread, as the reason of the exit says.
#![expect(unsafe_code)]

use kvm_ioctls::{VcpuExit, VcpuFd};

use crate::ending::Ending;
use crate::error::{Error, Result};
use crate::shared::{Shared, lock};

/// What the guest reads where nothing is.
const NOTHING: u8 = 0xff;

/// Runs a CPU until the run is over.
pub(super) fn run(number: usize, mut fd: VcpuFd, shared: &Shared) {
    while !shared.is_over() {
        match serve(number, &mut fd, shared) {
            Ok(None) => {}
            Ok(Some(ending)) => shared.end(Ok(ending)),
            Err(error) => shared.end(Err(error)),
        }
    }
}

/// Enters the guest, and serves the exit.
fn serve(number: usize, fd: &mut VcpuFd, shared: &Shared) -> Result<Option<Ending>> {
    match fd.run() {
        Ok(VcpuExit::IoIn(port, data)) => {
            let data: *mut [u8] = data;
            let width = port_width(fd);
            // SAFETY: the slice lies in the page that KVM shares with this thread, which nobody touches until the
            // next entry, and the only other reference to it is gone.
            let data = unsafe { &mut *data };
            for element in data.chunks_mut(width) {
                lock(&shared.devices).read(port, element);
            }
            Ok(None)
        }
        Ok(VcpuExit::IoOut(port, data)) => {
            let data: *const [u8] = data;
            let width = port_width(fd);
            // SAFETY: as above.
            let data = unsafe { &*data };
            let mut ending = None;
            for element in data.chunks(width) {
                ending = ending.or(lock(&shared.devices).write(port, element));
            }
            Ok(ending)
        }
        Ok(VcpuExit::MmioRead(_, data)) => {
            data.fill(NOTHING);
            Ok(None)
        }
        Ok(VcpuExit::MmioWrite(..) | VcpuExit::Intr | VcpuExit::Hlt | VcpuExit::IrqWindowOpen) => Ok(None),
        Ok(VcpuExit::Shutdown) => Ok(Some(Ending::TripleFault)),
        Ok(other) => {
            let reason = format!("{other:?}");
            Err(gave_up(number, fd, reason))
        }
        Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => {
            fd.set_kvm_immediate_exit(0);
            Ok(None)
        }
        Err(error) => Err(gave_up(number, fd, error.to_string())),
    }
}

/// Returns the width in bytes of the port access whose exit was returned last. A string instruction gives several
/// elements in one exit.
fn port_width(fd: &mut VcpuFd) -> usize {
    // SAFETY: the reason of the exit says that this is the part of the union in use.
    let io = unsafe { fd.get_kvm_run().__bindgen_anon_1.io };
    usize::from(io.size).max(1)
}

fn gave_up(cpu: usize, fd: &VcpuFd, reason: String) -> Error {
    let address = fd.get_regs().map_or(0, |registers| registers.rip);
    Error::KvmGaveUp { cpu, address, reason }
}
