//! COM1, and the console behind it.

use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use vm_superio::Trigger;
use vm_superio::serial::NoEvents;
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::timerfd::TimerFd;

/// How long the piece of a line waits for its end.
const PATIENCE: Duration = Duration::from_millis(10);
/// How much of a line waits.
const LINE_MAX: usize = 512;

/// Where the console goes: a stream, and whether to give up on it.
pub trait Output: Write + Send {}

impl<T: Write + Send> Output for T {}

/// The console: lines go out whole, and pieces of lines soon.
pub(crate) struct Console {
    output: Box<dyn Output>,
    line: Vec<u8>,
    timer: Option<TimerFd>,
    stop: Arc<AtomicBool>,
}

impl Console {
    /// Makes a console that gives up writing when `stop` is set.
    pub(crate) fn new(output: Box<dyn Output>, stop: Arc<AtomicBool>) -> Self {
        Self { output, line: Vec::with_capacity(LINE_MAX), timer: TimerFd::new().ok(), stop }
    }

    /// Returns how many bytes wait for the end of their line.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.line.len()
    }

    /// Returns what becomes readable when a piece of a line has waited long enough.
    pub(crate) fn timer(&self) -> Option<RawFd> {
        self.timer.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Takes in a byte.
    pub(crate) fn put(&mut self, byte: u8) {
        self.line.push(byte);
        if byte == b'\n' || self.line.len() >= LINE_MAX {
            self.send();
        } else if self.line.len() == 1
            && let Some(timer) = &mut self.timer
        {
            let _ = timer.reset(PATIENCE, None);
        }
    }

    /// Takes in a line, which goes out at once, behind what has waited.
    pub(crate) fn put_line(&mut self, line: &[u8]) {
        self.line.extend_from_slice(line);
        self.line.push(b'\n');
        self.send();
    }

    /// Writes out what is left when the run is over.
    pub(crate) fn finish(&mut self) {
        let rest = std::mem::take(&mut self.line);
        // One attempt: nobody can stop it any more.
        let _ = self.output.write_all(&rest).and_then(|()| self.output.flush());
    }

    /// Writes out what has waited long enough, and stops the timer.
    pub(crate) fn time_is_up(&mut self) {
        if let Some(timer) = &mut self.timer {
            let _ = timer.clear();
        }
        self.send();
    }

    /// Writes out what has waited. The timer runs on: one that finds nothing costs less than one stopped for each line.
    fn send(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.write(&line);
        self.line = line;
        self.line.clear();
    }

    /// Writes until all is written, the run is over, or the other side is gone. A console that nobody reads is no
    /// reason to end the guest.
    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.stop.load(Ordering::Relaxed) {
            match self.output.write(bytes) {
                Ok(0) => return,
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
        let _ = self.output.flush();
    }
}

/// What the UART writes into.
struct Transmitter(Arc<Mutex<Console>>);

impl Write for Transmitter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut console = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.iter().for_each(|byte| console.put(*byte));
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
    pub(crate) fn new(interrupt: EventFd, console: Arc<Mutex<Console>>) -> Self {
        Self { uart: vm_superio::Serial::new(Interrupt(interrupt), Transmitter(console)) }
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
