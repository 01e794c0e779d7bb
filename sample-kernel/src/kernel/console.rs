//! The serial console, COM1: polled, and without sites, because exception reports go through it.

// UNSAFETY: accesses COM1's ports.
#![expect(unsafe_code)]

use core::fmt::{self, Write};

use vmi_abi::Io;
use vmi_native::Native;

/// COM1's transmitter. Source: PC16550D datasheet, "Registers".
const COM1: u16 = 0x3f8;
const LINE_STATUS: u16 = COM1 + 5;
const TRANSMITTER_EMPTY: u8 = 1 << 5;
/// A transmitter that never gets empty is not waited for longer than this many polls.
const POLLS_MAX: u32 = 100_000;

struct Com1;

impl Write for Com1 {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                send(b'\r');
            }
            send(byte);
        }
        Ok(())
    }
}

fn send(byte: u8) {
    for _ in 0..POLLS_MAX {
        // SAFETY: reading the line status of COM1 changes nothing but error flags.
        let status = unsafe { <Native as Io>::in8(LINE_STATUS) };
        if status & TRANSMITTER_EMPTY != 0 {
            break;
        }
    }
    // SAFETY: COM1 sends the byte.
    unsafe { <Native as Io>::out8(COM1, byte) };
}

/// Prints to the console; the console cannot fail.
pub fn print(arguments: fmt::Arguments<'_>) {
    let _ = Com1.write_fmt(arguments);
}

/// Prints a line to the console.
macro_rules! line {
    ($($argument:tt)*) => {
        $crate::kernel::console::print(format_args!("{}\n", format_args!($($argument)*)))
    };
}
pub(crate) use line;
