//! COM1, in front of the console.

use std::io::{self, Write};
use std::sync::Arc;

use vm_superio::Trigger;
use vm_superio::serial::{NoEvents, SerialState};
use vmm_sys_util::eventfd::EventFd;

use super::state::Uart;
use crate::console::Console;

/// What the UART writes into.
struct Transmitter(Arc<Console>);

impl Write for Transmitter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        bytes.iter().for_each(|byte| self.0.put(*byte));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The UART's interrupt line.
struct Interrupt(EventFd);

impl Trigger for Interrupt {
    type E = io::Error;

    fn trigger(&self) -> io::Result<()> {
        self.0.write(1)
    }
}

/// COM1.
pub(crate) struct Serial {
    uart: vm_superio::Serial<Interrupt, NoEvents, Transmitter>,
}

impl Serial {
    /// Makes the UART with its interrupt line and its console.
    pub(crate) fn new(interrupt: EventFd, console: Arc<Console>) -> Self {
        Self { uart: vm_superio::Serial::new(Interrupt(interrupt), Transmitter(console)) }
    }

    /// Makes the UART with what it kept; none where that cannot be. An interrupt that waited comes again.
    pub(crate) fn restored(state: &Uart, interrupt: EventFd, console: Arc<Console>) -> Option<Self> {
        let state = SerialState::from(state);
        let uart =
            vm_superio::Serial::from_state(&state, Interrupt(interrupt), NoEvents, Transmitter(console))
                .ok()?;
        Some(Self { uart })
    }

    /// Returns what it keeps.
    pub(super) fn state(&self) -> Uart {
        self.uart.state().into()
    }

    /// Reads a register.
    pub(super) fn read(&mut self, register: u8) -> u8 {
        self.uart.read(register)
    }

    /// Writes a register. What can fail is the interrupt, and a full counter of interrupts is one that is pending.
    pub(super) fn write(&mut self, register: u8, value: u8) {
        let _ = self.uart.write(register, value);
    }

    /// Returns how many bytes of input there is room for.
    pub(crate) fn room(&self) -> usize {
        self.uart.fifo_capacity()
    }

    /// Takes in input.
    pub(crate) fn input(&mut self, bytes: &[u8]) {
        let _ = self.uart.enqueue_raw_bytes(bytes);
    }
}
