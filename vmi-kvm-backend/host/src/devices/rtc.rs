//! The real-time clock: tells the time of this machine, in UTC, and keeps what is written into its memory.
//!
//! Source: Motorola MC146818A datasheet, "Address Map" and "Registers". It never updates while it is read, because
//! the time is taken when a reader begins, and it raises no interrupts.

use std::time::{SystemTime, UNIX_EPOCH};

use super::state::RtcState;

const INDEX: u16 = 0;
/// The highest bit of the index masks NMI and is none of the clock's.
const INDEX_MASK: u8 = 0x7f;

const STATUS_A: u8 = 0x0a;
const STATUS_B: u8 = 0x0b;
const STATUS_C: u8 = 0x0c;
const STATUS_D: u8 = 0x0d;
const CENTURY: u8 = 0x32;
/// Status A: the divider of a 32768 Hz crystal, 1024 interrupts a second; no update is in progress.
const DIVIDER: u8 = 0x26;
/// Status B: 24 hours, decimal digits.
const HOURS_24: u8 = 1 << 1;
/// Status D: the battery is good.
const VALID: u8 = 1 << 7;

/// The clock.
#[derive(Debug)]
pub(super) struct Rtc {
    index: u8,
    memory: [u8; 128],
    seconds: u64,
}

impl Rtc {
    /// Makes the clock.
    pub(super) fn new() -> Self {
        Self { index: 0, memory: [0; 128], seconds: 0 }
    }

    /// Returns what it keeps.
    pub(super) fn state(&self) -> RtcState {
        RtcState { index: self.index, memory: self.memory.to_vec(), seconds: self.seconds }
    }

    /// Makes the clock with what it kept; none where that cannot be.
    pub(super) fn restored(state: &RtcState) -> Option<Self> {
        let memory = state.memory.as_slice().try_into().ok()?;
        (state.index <= INDEX_MASK).then_some(Self { index: state.index, memory, seconds: state.seconds })
    }

    /// Reads a port.
    pub(super) fn read(&self, port: u16) -> u8 {
        if port == INDEX {
            return 0xff;
        }
        let time = Civil::of(self.seconds);
        match self.index {
            0x00 => bcd(time.second),
            0x02 => bcd(time.minute),
            0x04 => bcd(time.hour),
            0x06 => time.weekday,
            0x07 => bcd(time.day),
            0x08 => bcd(time.month),
            0x09 => bcd((time.year % 100) as u8),
            CENTURY => bcd((time.year / 100 % 100) as u8),
            STATUS_A => DIVIDER,
            STATUS_B => HOURS_24,
            STATUS_C => 0,
            STATUS_D => VALID,
            index => self.memory[usize::from(index)],
        }
    }

    /// Writes a port.
    pub(super) fn write(&mut self, port: u16, value: u8) {
        if port == INDEX {
            self.index = value & INDEX_MASK;
            // Readers begin with the seconds, or look first whether an update is in progress.
            if matches!(self.index, 0 | STATUS_A) || self.seconds == 0 {
                self.seconds = now();
            }
        } else {
            self.memory[usize::from(self.index)] = value;
        }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn bcd(value: u8) -> u8 {
    ((value / 10) << 4) | (value % 10)
}

/// A time by the Gregorian calendar.
#[derive(Debug, Eq, PartialEq)]
struct Civil {
    year: u64,
    month: u8,
    day: u8,
    /// Sunday is 1.
    weekday: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl Civil {
    /// Converts from seconds since 1970. The year is counted from March, so that the leap day is its last.
    fn of(seconds: u64) -> Self {
        const DAYS_OF_400_YEARS: u64 = 146_097;
        /// From 1 March of the year 0 to 1 January 1970.
        const DAYS_TO_1970: u64 = 719_468;
        let days = seconds / 86_400 + DAYS_TO_1970;
        let (era, day_of_era) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = (month_from_march + 2) % 12 + 1;
        Self {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month: month as u8,
            day: (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u8,
            weekday: ((seconds / 86_400 + 4) % 7 + 1) as u8,
            hour: (seconds / 3600 % 24) as u8,
            minute: (seconds / 60 % 60) as u8,
            second: (seconds % 60) as u8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_right() {
        let at = |seconds| {
            let Civil { year, month, day, weekday, hour, minute, second } = Civil::of(seconds);
            (year, month, day, weekday, hour, minute, second)
        };
        assert_eq!(at(0), (1970, 1, 1, 5, 0, 0, 0));
        assert_eq!(at(951_782_399), (2000, 2, 28, 2, 23, 59, 59));
        assert_eq!(at(951_782_400), (2000, 2, 29, 3, 0, 0, 0));
        assert_eq!(at(951_868_800), (2000, 3, 1, 4, 0, 0, 0));
        assert_eq!(at(4_107_542_400), (2100, 3, 1, 2, 0, 0, 0));
    }

    #[test]
    fn the_time_is_that_of_the_machine_and_the_memory_keeps_what_is_written() {
        let mut rtc = Rtc::new();
        let mut get = |index| {
            rtc.write(0, index);
            rtc.read(1)
        };
        let year = 100 * u64::from(decimal(get(CENTURY))) + u64::from(decimal(get(9)));
        assert_eq!(year, Civil::of(now()).year);
        assert_eq!((get(STATUS_A), get(STATUS_B), get(STATUS_D)), (DIVIDER, HOURS_24, VALID));
        rtc.write(0, 0x80 | 0x40);
        rtc.write(1, 0x5a);
        assert_eq!(rtc.read(1), 0x5a);
    }

    fn decimal(bcd: u8) -> u8 {
        bcd / 16 * 10 + bcd % 16
    }
}
