//! Random registrations of a page.

use super::{Clock, ClockFault, ENABLED, Info};
use crate::hostile::Numbers;
use crate::memory::{self, Memory};
use crate::port_call::GuestRam;
use crate::shared::lock;

const RAM: u64 = 2 << 20;

/// Bytes of a page, and what is looked at on either side of it.
const PAGE: u64 = 32;
const ASIDE: u64 = 64;

const FAULTS: [ClockFault; 11] = [
    ClockFault::Odd,
    ClockFault::Torn,
    ClockFault::Back,
    ClockFault::Shift(i8::MIN),
    ClockFault::Zero,
    ClockFault::Future,
    ClockFault::Paused,
    ClockFault::Apart,
    ClockFault::End,
    ClockFault::Anew,
    ClockFault::Stale,
];

thread_local! {
    /// Zeros between two cases; what one writes far from its page, a later one comes upon.
    static MEMORY: Memory = memory::allocate(RAM).expect("memory");
}

/// Tries a registration of a page: one page is written, or none.
///
/// # Panics
///
/// When it does harm.
pub fn case(mut numbers: Numbers) {
    MEMORY.with(|memory| {
        let clock = Clock::new(numbers.pick(&FAULTS), 1);
        let any = numbers.next();
        let base = numbers.pick(&[0, 0x1000, RAM, u64::MAX, 1 << 63, any % RAM, any]);
        let near = base.wrapping_add(numbers.below(2 * PAGE)).wrapping_sub(PAGE);
        let value = if numbers.odds(56) { near } else { near | ENABLED };
        let page = value & !ENABLED;
        let honest = Info { version: numbers.next_u32(), ..Info::default() };
        clock.register(memory, 0, value, honest);
        (0..3).for_each(|_| clock.turn(memory, numbers.next()));
        assert_eq!(lock(&clock.pages[0]).msr, value);
        // What is written lies in the page, and that is enabled.
        let (from, to) = (page.saturating_sub(ASIDE), page.saturating_add(PAGE + ASIDE).min(RAM));
        let mut around = vec![0; to.saturating_sub(from) as usize];
        memory.read(from.min(RAM), &mut around).expect("memory");
        let own = |at: u64| value & ENABLED != 0 && (page..page + PAGE).contains(&at);
        let written = (from..to).zip(&around).find(|(at, byte)| **byte != 0 && !own(*at));
        assert_eq!(written, None, "by {value:#x}");
        if page < RAM {
            memory.write(page, &vec![0; PAGE.min(RAM - page) as usize]).expect("memory");
        }
    });
}

#[test]
fn hostile_registrations_have_one_page_written_or_none() {
    crate::hostile::try_all(1, case);
}
