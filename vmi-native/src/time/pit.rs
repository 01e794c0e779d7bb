//! Channel 2 of the programmable interval timer: Intel 8254 datasheet, "Read-Back Command" and "Mode 0:
//! Interrupt on Terminal Count".

// UNSAFETY: programs the timer through its ports.
#![expect(unsafe_code)]

use super::measure::{Reference, Sample};
use crate::{Native, insn};
use vmi_abi::Io;

const CHANNEL_2: u16 = 0x42;
const COMMAND: u16 = 0x43;
/// The port that gates channel 2 (bit 0) and lets it drive the speaker (bit 1).
const GATE: u16 = 0x61;

/// Channel 2 (bits 7 and 6), low byte then high byte (5 and 4), mode 0 (3 to 1), binary (0).
const PROGRAM: u8 = 0b1011_0000;
/// Latch count and status (bits 5 and 4, low) of channel 2 (bit 3).
const READ_BACK: u8 = 0b1100_1000;

/// Status: the output is high, so the count went through 0.
const ENDED: u8 = 1 << 7;
/// Status: the count has not been loaded yet.
const NULL_COUNT: u8 = 1 << 6;
/// Status: access, mode and number format, as [`PROGRAM`] has them.
const PROGRAMMED: u8 = 0x3f;

const FULL: u16 = u16::MAX;

/// Channel 2 counting down once from [`FULL`], in 55 ms; put back when dropped.
pub(super) struct Pit {
    gate: u8,
}

impl Pit {
    /// Starts the count, if there is a timer: where there is none the port floats, and the status is not what
    /// was programmed.
    pub(super) fn start() -> Option<Self> {
        let gate = read(GATE);
        let pit = Self { gate };
        write(GATE, gate & !0b10 | 0b01);
        write(COMMAND, PROGRAM);
        let [low, high] = FULL.to_le_bytes();
        write(CHANNEL_2, low);
        write(CHANNEL_2, high);
        for _ in 0..100 {
            let (status, _) = read_back().take();
            if status & PROGRAMMED != PROGRAM & PROGRAMMED {
                return None;
            }
            if status & NULL_COUNT == 0 {
                return Some(pit);
            }
        }
        None
    }
}

impl Drop for Pit {
    fn drop(&mut self) {
        write(GATE, self.gate);
    }
}

impl Reference for Pit {
    const HZ: u64 = 1_193_182;
    const MASK: u32 = FULL as u32;

    fn sample(&mut self) -> Option<Sample> {
        // The command latches the count: what reading it out takes does not matter.
        let before = insn::lfence_rdtsc();
        let latched = read_back();
        let after = insn::lfence_rdtsc();
        let (status, count) = latched.take();
        if status & (PROGRAMMED | ENDED) != PROGRAM & PROGRAMMED {
            return None;
        }
        Some(Sample { before, ticks: u32::from(FULL - count), after })
    }
}

/// A count and a status that wait to be read.
struct Latched;

/// Latches count and status.
fn read_back() -> Latched {
    write(COMMAND, READ_BACK);
    Latched
}

impl Latched {
    fn take(self) -> (u8, u16) {
        let [status, low, high] = [read(CHANNEL_2), read(CHANNEL_2), read(CHANNEL_2)];
        (status, u16::from_le_bytes([low, high]))
    }
}

fn read(port: u16) -> u8 {
    // SAFETY: the timer's ports: a read takes at most a latched byte, which only this module latches in
    // channel 2.
    unsafe { Native::in8(port) }
}

fn write(port: u16, value: u8) {
    // SAFETY: the timer's ports: channel 2 drives nothing but the speaker, which is off meanwhile.
    unsafe { Native::out8(port, value) };
}
