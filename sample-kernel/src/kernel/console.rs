//! The console: COM1, or the debug port where there is none. Polled, and without sites, because exception reports go
//! through it.

// UNSAFETY: accesses the console's ports.
#![expect(unsafe_code)]

use core::fmt::{self, Write};

use vmi_abi::Io;
use vmi_native::Native;

use super::insn::port;

/// COM1's transmitter. Source: PC16550D datasheet, "Registers".
const COM1: u16 = 0x3f8;
const FIFO_CONTROL: u16 = COM1 + 2;
const LINE_STATUS: u16 = COM1 + 5;
const TRANSMITTER_EMPTY: u8 = 1 << 5;
/// What the line status reads where nobody answers: no transmitter is empty and broken in every way.
const ABSENT: u8 = 0xff;
/// The port that QEMU's `isa-debugcon` and Bochs print the bytes of. On other machines it is nobody's.
const DEBUG: u16 = 0xe9;
/// Bytes that the transmitter takes in when it is empty.
const BURST: usize = 16;
/// A transmitter that never gets empty is not waited for longer than this many polls.
const POLLS_MAX: u32 = 100_000;

/// The bytes of a text that still have to be sent. They go out in bursts: where every access to a port is an exit, what
/// the kernel prints costs more than most of what it does.
#[derive(Default)]
struct Burst {
    bytes: [u8; BURST],
    len: usize,
}

impl Burst {
    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
        if self.len == BURST {
            self.send();
        }
    }

    fn send(&mut self) {
        let mut status = ABSENT;
        for _ in 0..POLLS_MAX {
            // SAFETY: reading the line status of COM1 changes nothing but error flags.
            status = unsafe { <Native as Io>::in8(LINE_STATUS) };
            if status & TRANSMITTER_EMPTY != 0 {
                break;
            }
        }
        let console = if status == ABSENT { DEBUG } else { COM1 };
        // SAFETY: COM1 sends the bytes, or the debug port prints them.
        unsafe { port::write_string(console, &self.bytes[..self.len]) };
        self.len = 0;
    }
}

impl Write for Burst {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.push(b'\r');
            }
            self.push(byte);
        }
        Ok(())
    }
}

/// Lets COM1 take in more than a byte at a time.
pub fn enable() {
    // SAFETY: only how the device buffers changes.
    unsafe { <Native as Io>::out8(FIFO_CONTROL, 1) };
}

/// Prints to the console; the console cannot fail.
pub fn print(arguments: fmt::Arguments<'_>) {
    let mut burst = Burst::default();
    let _ = burst.write_fmt(arguments);
    burst.send();
}

/// Prints a line to the console.
macro_rules! line {
    ($($argument:tt)*) => {
        $crate::kernel::console::print(format_args!("{}\n", format_args!($($argument)*)))
    };
}
pub(crate) use line;
