//! The exits of a CPU, served one after the other.

// UNSAFETY: reads and writes the page that KVM shares with this thread, as the reason of the exit says.
#![expect(unsafe_code)]

use std::thread;
use std::time::Duration;

use kvm_ioctls::{SyncReg, VcpuExit, VcpuFd};

use crate::accounting::Kind;
use crate::bad_host::{MsrAction, add_steal_time};
use crate::devices::{NOTHING, reset_is_announced};
use crate::ending::Ending;
use crate::error::{Error, Result};
use crate::layout::{CALL, DOORBELL};
use crate::shared::{Shared, lock};

/// How often a CPU that is held looks whether the run is over.
const LOOK: Duration = Duration::from_millis(10);

/// Runs a CPU until the run is over.
pub(super) fn run(number: usize, mut fd: VcpuFd, shared: &Shared) {
    if shared.book.is_detailed() {
        fd.set_sync_valid_reg(SyncReg::Register);
        shared.book.attach(number);
    }
    let mut cpu = Cpu { number, fd, shared };
    while !shared.is_over() {
        match cpu.serve() {
            Ok(Served::Exit | Served::Interrupted) => cpu.between(),
            Ok(Served::Last(ending)) => shared.end(Ok(ending)),
            Err(error) => shared.end(Err(error)),
        }
    }
}

/// What came of an entry.
enum Served {
    /// An exit, which was served.
    Exit,
    /// No exit of the guest's.
    Interrupted,
    /// An exit that ends the run.
    Last(Ending),
}

struct Cpu<'a> {
    number: usize,
    fd: VcpuFd,
    shared: &'a Shared,
}

impl Cpu<'_> {
    /// Enters the guest, and serves the exit.
    fn serve(&mut self) -> Result<Served> {
        match self.fd.run() {
            Ok(VcpuExit::IoIn(port, data)) => {
                let data: *mut [u8] = data;
                self.count(Kind::PortRead);
                let width = self.port_width();
                // SAFETY: the slice lies in the page that KVM shares with this thread, which nobody touches until
                // the next entry, and the only other reference to it is gone.
                let data = unsafe { &mut *data };
                let mut devices = lock(&self.shared.devices);
                data.chunks_mut(width).for_each(|element| devices.read(port, element));
                Ok(Served::Exit)
            }
            Ok(VcpuExit::IoOut(port, data)) => {
                let data: *const [u8] = data;
                self.count(match port {
                    _ if port == CALL.start => Kind::VmiCall,
                    _ if port == DOORBELL.start => Kind::VmiDoorbell,
                    _ => Kind::PortWrite,
                });
                let width = self.port_width();
                // SAFETY: as above.
                let data = unsafe { &*data };
                Ok(self.write_port(port, data, width).map_or(Served::Exit, Served::Last))
            }
            Ok(VcpuExit::MmioRead(_, data)) => {
                data.fill(NOTHING);
                self.count(Kind::MmioRead);
                Ok(Served::Exit)
            }
            Ok(VcpuExit::MmioWrite(..)) => {
                self.count(Kind::MmioWrite);
                Ok(Served::Exit)
            }
            Ok(VcpuExit::X86Rdmsr(exit)) => {
                let index = exit.index;
                self.count(Kind::MsrRead);
                let clock = self.shared.clock.as_ref().and_then(|clock| clock.read(self.number, index));
                let action = clock.unwrap_or_else(|| self.shared.msrs.read(&self.fd, index));
                self.answer_msr(action);
                Ok(Served::Exit)
            }
            Ok(VcpuExit::X86Wrmsr(exit)) => {
                let (index, value) = (exit.index, exit.data);
                self.count(Kind::MsrWrite);
                let clock = self.shared.clock.as_ref();
                let action = clock
                    .and_then(|clock| clock.write(&self.fd, &self.shared.memory, self.number, index, value));
                let action = action.unwrap_or_else(|| self.shared.msrs.write(&self.fd, index, value));
                self.answer_msr(action);
                Ok(Served::Exit)
            }
            Ok(VcpuExit::Intr | VcpuExit::Hlt | VcpuExit::IrqWindowOpen) => {
                self.count(Kind::Interrupted);
                Ok(Served::Interrupted)
            }
            Ok(VcpuExit::Shutdown) => {
                self.count(Kind::Other);
                Ok(Served::Last(if self.meant_to_reset() { Ending::Reset } else { Ending::TripleFault }))
            }
            Ok(other) => {
                let reason = format!("{other:?}");
                self.count(Kind::Other);
                Err(self.gave_up(reason))
            }
            Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => {
                self.count(Kind::Interrupted);
                Ok(Served::Interrupted)
            }
            Err(error) => Err(self.gave_up(error.to_string())),
        }
    }

    /// Serves a write of a port, by one element or, of a string instruction, several.
    fn write_port(&self, port: u16, data: &[u8], width: usize) -> Option<Ending> {
        let mut ending = None;
        for element in data.chunks(width) {
            if self.shared.is_over() {
                break;
            }
            match port {
                _ if port == CALL.start => {
                    self.shared.port_calls.call(&self.shared.memory, self.shared, self.number, element);
                }
                // KVM turns a ring into an event; where it does not, it is passed on.
                _ if port == DOORBELL.start => drop(self.shared.doorbell.write(1)),
                _ => {
                    ending = ending.or(lock(&self.shared.devices).write(port, element));
                    // Whichever device has something to say.
                    self.shared.console.wait_for_room();
                }
            }
        }
        ending
    }

    /// Tells whether a triple fault was a reset. Who wants one takes the interrupt table away and makes an exception, and
    /// a PC's kernel sets the BIOS's flag before; after a crash the table is there still. KVM on AMD keeps nothing of the
    /// CPU, not the table either, so there the flag alone tells.
    fn meant_to_reset(&self) -> bool {
        let no_table = self.fd.get_sregs().is_ok_and(|system| system.idt.limit == 0);
        no_table || reset_is_announced(&self.shared.memory)
    }

    /// Does what there is to be done between two entries.
    fn between(&mut self) {
        if let Some(time) = self.shared.take_steal_time(self.number) {
            add_steal_time(&self.fd, &self.shared.memory, time);
        }
        while !self.shared.is_over() {
            if self.shared.pause.is_wanted() {
                self.park();
            } else if let Some(left) = self.shared.holds.left(self.number) {
                thread::sleep(left.min(LOOK));
            } else {
                break;
            }
        }
    }

    /// Stands still as long as a pause is wanted.
    fn park(&mut self) {
        self.finish_exit();
        let shared = self.shared;
        if shared.pause.park(self.number, &self.fd, || shared.is_over()) {
            // Refused where the guest has registered no clock page, and so has no flag to see.
            let _ = self.fd.kvmclock_ctrl();
            shared.console.wait_for_room();
        }
    }

    /// Has KVM take the answer to the exit that was served last, without going on in the guest. Source: KVM API,
    /// "KVM_RUN", on pending operations, and `immediate_exit`.
    fn finish_exit(&mut self) {
        self.fd.set_kvm_immediate_exit(1);
        // The rest of a string instruction may come to be served too.
        while !self.shared.is_over() {
            match self.serve() {
                Ok(Served::Interrupted) => break,
                Ok(Served::Exit) => {}
                Ok(Served::Last(ending)) => self.shared.end(Ok(ending)),
                Err(error) => self.shared.end(Err(error)),
            }
        }
        self.fd.set_kvm_immediate_exit(0);
    }

    fn count(&self, kind: Kind) {
        let address = self.shared.book.is_detailed().then(|| self.fd.sync_regs().regs.rip);
        self.shared.book.count(self.number, kind, address);
    }

    /// Returns the width in bytes of the port access whose exit was returned last. A string instruction gives several
    /// elements in one exit.
    fn port_width(&mut self) -> usize {
        // SAFETY: the reason of the exit says that this is the part of the union in use.
        let io = unsafe { self.fd.get_kvm_run().__bindgen_anon_1.io };
        usize::from(io.size).max(1)
    }

    /// Answers the access to a register whose exit was returned last.
    fn answer_msr(&mut self, action: MsrAction) {
        // SAFETY: the reason of the exit says that this is the part of the union in use.
        let msr = unsafe { &mut self.fd.get_kvm_run().__bindgen_anon_1.msr };
        match action {
            MsrAction::Fault => msr.error = 1,
            MsrAction::Done(value) => (msr.error, msr.data) = (0, value),
        }
    }

    fn gave_up(&self, reason: String) -> Error {
        let address = self.fd.get_regs().map_or(0, |registers| registers.rip);
        Error::KvmGaveUp { cpu: self.number, address, reason }
    }
}
