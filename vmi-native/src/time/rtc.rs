//! The clock of the board: Motorola MC146818 datasheet, "Update Cycle" and "Register A" to "Register D".

// UNSAFETY: reads the chip through its ports.
#![expect(unsafe_code)]

use super::{WAIT_TURNS, calendar::Registers, scale};
use crate::{Native, insn};
use core::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use vmi_abi::Io;
use x86_64::instructions::interrupts::without_interrupts;

/// Bits 0 to 6: the register. Bit 7 masks the NMI and cannot be read back; it is left clear.
const INDEX: u16 = 0x70;
const DATA: u16 = 0x71;

const REGISTER_A: u8 = 0x0a;
const REGISTER_B: u8 = 0x0b;
const REGISTER_D: u8 = 0x0d;
/// Where a PC keeps the century.
const CENTURY: u8 = 0x32;
/// Register A: the time changes within 244 µs.
const UPDATING: u8 = 1 << 7;
/// Register D: the time was kept.
const VALID: u8 = 1 << 7;
/// What a bus with nothing on it reads.
const FLOATING: u8 = 0xff;

/// Readings of register A while an update goes on, which takes 2.2 ms.
const UPDATE_TURNS: u32 = 20_000;
/// Readings of all registers until two are the same.
const READINGS: u32 = 8;

/// The time that was read, in nanoseconds since 1970, and 0 before.
static READ_NS: AtomicU64 = AtomicU64::new(0);
/// The time-stamp counter then.
static READ_CYCLES: AtomicU64 = AtomicU64::new(0);

/// Returns nanoseconds since 1970 with a counter of `hz`, or 0.
pub(super) fn wall_clock(hz: u64) -> u64 {
    carried_on(hz).unwrap_or_else(|| read(hz))
}

/// Returns the time that was read plus the time since, if the counter can tell that.
fn carried_on(hz: u64) -> Option<u64> {
    let ns = READ_NS.load(Acquire);
    (ns != 0 && hz != 0).then(|| {
        let cycles = insn::lfence_rdtsc().wrapping_sub(READ_CYCLES.load(Relaxed));
        ns.saturating_add(scale::to_ns(cycles, scale::multiplier(hz)))
    })
}

/// Reads the chip, and keeps the time if the counter can carry it on. One CPU at a time: index and data
/// belong together.
#[cold]
fn read(hz: u64) -> u64 {
    static BUSY: AtomicBool = AtomicBool::new(false);

    without_interrupts(|| {
        let mine = (0..WAIT_TURNS).any(|_| {
            core::hint::spin_loop();
            BUSY.compare_exchange(false, true, Acquire, Relaxed).is_ok()
        });
        if !mine {
            return 0;
        }
        // Another CPU may have been quicker, just now.
        let ns = carried_on(hz).unwrap_or_else(|| {
            let ns = stable(&mut register).map_or(0, |seconds| seconds * 1_000_000_000);
            if READ_NS.load(Relaxed) == 0 && hz != 0 {
                READ_CYCLES.store(insn::lfence_rdtsc(), Relaxed);
                READ_NS.store(ns, Release);
            }
            ns
        });
        BUSY.store(false, Release);
        ns
    })
}

/// Returns the seconds since 1970 that the chip says twice, if there is a chip that has kept them.
fn stable(register: &mut dyn FnMut(u8) -> u8) -> Option<u64> {
    if register(REGISTER_A) == FLOATING || register(REGISTER_D) & VALID == 0 {
        return None;
    }
    let mut last = None;
    for _ in 0..READINGS {
        if !(0..UPDATE_TURNS).any(|_| register(REGISTER_A) & UPDATING == 0) {
            return None;
        }
        let now = registers(register);
        if last == Some(now) {
            return now.unix_seconds();
        }
        last = Some(now);
    }
    None
}

fn registers(register: &mut dyn FnMut(u8) -> u8) -> Registers {
    Registers {
        second: register(0x00),
        minute: register(0x02),
        hour: register(0x04),
        day: register(0x07),
        month: register(0x08),
        year: register(0x09),
        century: register(CENTURY),
        formats: register(REGISTER_B),
    }
}

fn register(number: u8) -> u8 {
    // SAFETY: selects a register, and the NMI stays as a PC runs: enabled.
    unsafe { Native::out8(INDEX, number) };
    // SAFETY: of the registers read here none changes by being read.
    unsafe { Native::in8(DATA) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chip on 2000-03-01 00:00, in BCD and 24 hours.
    fn chip(number: u8) -> u8 {
        match number {
            0x07 | 0x32 => [1, 0x20][usize::from(number == CENTURY)],
            0x08 => 3,
            REGISTER_A => 0x26,
            REGISTER_B => 0x02,
            REGISTER_D => VALID,
            _ => 0,
        }
    }

    #[test]
    fn a_chip_is_read() {
        assert_eq!(stable(&mut chip), Some(951_868_800));
    }

    #[test]
    fn an_empty_bus_is_no_clock() {
        assert_eq!(stable(&mut |_| 0xff), None);
        assert_eq!(stable(&mut |_| 0), None);
    }

    #[test]
    fn an_empty_battery_is_no_clock() {
        assert_eq!(stable(&mut |number| if number == REGISTER_D { 0 } else { chip(number) }), None);
    }

    #[test]
    fn an_update_is_waited_for_but_not_for_ever() {
        let mut reads = 0;
        let mut late = |number| {
            reads += 1;
            if number == REGISTER_A && reads < 1000 { 0xa6 } else { chip(number) }
        };
        assert_eq!(stable(&mut late), Some(951_868_800));
        assert_eq!(stable(&mut |number| if number == REGISTER_A { 0xa6 } else { chip(number) }), None);
    }

    #[test]
    fn a_reading_torn_by_an_update_is_not_taken() {
        let mut seconds = [0x59, 0x00, 0x00].into_iter();
        let mut torn = |number| {
            if number == 0 { seconds.next().unwrap() } else { chip(number) }
        };
        assert_eq!(stable(&mut torn), Some(951_868_800));
        let mut counts = 0;
        let mut restless = |number| {
            counts += u8::from(number == 0);
            if number == 0 { counts } else { chip(number) }
        };
        assert_eq!(stable(&mut restless), None);
    }
}
