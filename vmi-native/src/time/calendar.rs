//! From the registers of a clock chip to a number of seconds.

/// What the chip says: Motorola MC146818 datasheet, "Time, Calendar, and Alarm Locations"; the century is a
/// PC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Registers {
    pub(super) second: u8,
    pub(super) minute: u8,
    pub(super) hour: u8,
    pub(super) day: u8,
    pub(super) month: u8,
    pub(super) year: u8,
    pub(super) century: u8,
    /// Register B: the formats.
    pub(super) formats: u8,
}

/// Register B: numbers are binary, not BCD.
const BINARY: u8 = 1 << 2;
/// Register B: hours are 0 to 23, not 1 to 12 with [`AFTERNOON`].
const HOURS_24: u8 = 1 << 1;
const AFTERNOON: u8 = 1 << 7;

impl Registers {
    /// Returns the seconds since 1970, if the registers hold a date from then until 2199.
    pub(super) fn unix_seconds(&self) -> Option<u64> {
        let [second, minute] = [self.number(self.second, 0..=59)?, self.number(self.minute, 0..=59)?];
        let (year, month) = (self.full_year()?, self.number(self.month, 1..=12)?);
        let day = self.number(self.day, 1..=days_of_month(year, month))?;
        let days =
            days_to_year(year) + (1..month).map(|month| days_of_month(year, month)).sum::<u64>() + day - 1;
        Some(((days * 24 + self.hour()?) * 60 + minute) * 60 + second)
    }

    /// Returns the value of a register, if it is in range.
    fn number(&self, register: u8, range: core::ops::RangeInclusive<u64>) -> Option<u64> {
        let (tens, ones) = (register >> 4, register & 0xf);
        let value = match self.formats & BINARY {
            0 if tens > 9 || ones > 9 => return None,
            0 => tens * 10 + ones,
            _ => register,
        };
        Some(u64::from(value)).filter(|value| range.contains(value))
    }

    fn hour(&self) -> Option<u64> {
        if self.formats & HOURS_24 != 0 {
            return self.number(self.hour, 0..=23);
        }
        let noon = if self.hour & AFTERNOON == 0 { 0 } else { 12 };
        Some(self.number(self.hour & !AFTERNOON, 1..=12)? % 12 + noon)
    }

    /// Returns the year. Not every board keeps a century, so one that cannot be is made up.
    fn full_year(&self) -> Option<u64> {
        let year = self.number(self.year, 0..=99)?;
        let century = self.number(self.century, 19..=21).unwrap_or(if year < 70 { 20 } else { 19 });
        Some(century * 100 + year).filter(|year| *year >= 1970)
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Returns the days from 1970 to the first of January.
fn days_to_year(year: u64) -> u64 {
    let leap_days = |before: u64| (before - 1) / 4 - (before - 1) / 100 + (before - 1) / 400;
    (year - 1970) * 365 + leap_days(year) - leap_days(1970)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOON_2024: Registers = Registers {
        second: 0x56,
        minute: 0x34,
        hour: 0x12,
        day: 0x29,
        month: 0x02,
        year: 0x24,
        century: 0x20,
        formats: HOURS_24,
    };

    fn midnight(century: u8, year: u8, month: u8, day: u8) -> Registers {
        Registers { second: 0, minute: 0, hour: 0, day, month, year, century, formats: HOURS_24 }
    }

    #[test]
    fn known_dates_are_right() {
        for (date, seconds) in [
            (midnight(0x19, 0x70, 1, 1), 0),
            (midnight(0x20, 0x00, 2, 0x29), 951_782_400),
            (midnight(0x20, 0x00, 3, 1), 951_868_800),
            (midnight(0x20, 0x38, 1, 0x19), 2_147_472_000),
            (midnight(0x21, 0x00, 3, 1), 4_107_542_400),
            (midnight(0x21, 0x99, 0x12, 0x31), 7_258_032_000),
            (NOON_2024, 1_709_210_096),
        ] {
            assert_eq!(date.unix_seconds(), Some(seconds), "{date:x?}");
        }
    }

    #[test]
    fn binary_and_bcd_say_the_same() {
        let binary = Registers {
            second: 56,
            minute: 34,
            hour: 12,
            day: 29,
            month: 2,
            year: 24,
            century: 20,
            formats: HOURS_24 | BINARY,
        };
        assert_eq!(binary.unix_seconds(), NOON_2024.unix_seconds());
    }

    #[test]
    fn twelve_hours_are_read() {
        let at = |hour| Registers { hour, formats: 0, ..midnight(0x19, 0x70, 1, 1) }.unix_seconds();
        assert_eq!(at(0x12), Some(0), "12 AM is midnight");
        assert_eq!(at(0x01), Some(3600));
        assert_eq!(at(0x11), Some(11 * 3600));
        assert_eq!(at(0x92), Some(12 * 3600), "12 PM is noon");
        assert_eq!(at(0x91), Some(23 * 3600));
        for refused in [0x00, 0x13, 0x80, 0x93] {
            assert_eq!(at(refused), None, "{refused:#x}");
        }
    }

    #[test]
    fn an_implausible_century_is_made_up() {
        let with = |century, year| Registers { century, ..midnight(0, year, 1, 1) }.full_year();
        assert_eq!(with(0x00, 0x26), Some(2026));
        assert_eq!(with(0xff, 0x26), Some(2026));
        assert_eq!(with(0x99, 0x99), Some(1999));
        assert_eq!(with(0x19, 0x26), None, "1926");
        assert_eq!(with(0x21, 0x26), Some(2126));
    }

    #[test]
    fn dates_that_are_not_are_refused() {
        let good = midnight(0x20, 0x23, 6, 0x15);
        assert!(good.unix_seconds().is_some());
        for bad in [
            Registers { second: 0x60, ..good },
            Registers { second: 0x0a, ..good },
            Registers { minute: 0xa0, ..good },
            Registers { hour: 0x24, ..good },
            Registers { day: 0, ..good },
            Registers { day: 0x31, ..good },
            Registers { month: 0, ..good },
            Registers { month: 0x13, ..good },
            Registers { month: 2, day: 0x29, ..good },
            Registers { year: 0xff, ..good },
            Registers { century: 0x21, year: 0, month: 2, day: 0x29, ..good },
        ] {
            assert_eq!(bad.unix_seconds(), None, "{bad:x?}");
        }
    }

    proptest! {
        #[test]
        fn any_registers_are_survived(bytes: [u8; 8]) {
            let [second, minute, hour, day, month, year, century, formats] = bytes;
            let registers = Registers { second, minute, hour, day, month, year, century, formats };
            if let Some(seconds) = registers.unix_seconds() {
                prop_assert!(seconds < 7_258_118_400, "from 1970 until 2199");
            }
        }

        #[test]
        fn the_next_day_is_a_day_later(day in 0u64..84_005) {
            let (mut year, mut month, mut rest) = (1970, 1, day);
            while rest >= days_of_month(year, month) {
                rest -= days_of_month(year, month);
                (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            }
            let registers = Registers {
                second: 0, minute: 0, hour: 0, day: rest as u8 + 1, month: month as u8, year: (year % 100) as u8,
                century: (year / 100) as u8, formats: HOURS_24 | BINARY,
            };
            prop_assert_eq!(registers.unix_seconds(), Some(day * 86_400));
        }
    }
}
