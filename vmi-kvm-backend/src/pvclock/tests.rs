//! The clock against pages that a host should not make, and some that it may.

use std::{boxed::Box, rc::Rc, vec::Vec};

use proptest::prelude::*;

use super::{
    Flags, PageError, Source, Stability, TimeInfo, Tries, frequency_hz, nanoseconds,
    scale::NS_MAX,
    script::{GOOD, Machine, Script},
};

#[test]
fn a_good_page_is_read_fast_from_the_second_time_on() {
    let (machine, script) = (Machine::started(Stability::Announced), Script::new(GOOD, 1000));
    assert_eq!(machine.clock.fast(&script), None);
    assert_eq!(machine.full(&script), 500);
    script.pass(7);
    assert_eq!(machine.clock.fast(&script), Some(507));
}

#[test]
fn a_new_version_is_followed_at_once() {
    let (machine, script) = (Machine::started(Stability::Announced), Script::new(GOOD, 1000));
    machine.now(&script);
    script.pass(100);
    script.update(|page| page.tsc_shift += 1);
    assert_eq!(machine.clock.fast(&script), None);
    assert_eq!(machine.now(&script), 700);
}

#[test]
fn the_rate_of_a_counter_below_a_gigahertz_is_exact() {
    for khz in [333_333, 266_667] {
        // Between 2 and 4 nanoseconds a tick: four times a fraction.
        let page = TimeInfo { tsc_to_system_mul: ((1_000_000 << 30) / khz) as u32, tsc_shift: 2, ..GOOD };
        assert_eq!(frequency_hz(&page), Ok(khz * 1000));
    }
}

#[test]
fn what_is_wrong_with_a_page_is_said_with_its_value() {
    for (error, said) in [
        (PageError::Unfinished(7), "the clock page is never finished, its version stays at 7"),
        (PageError::Unsteady(8), "the clock page changes under every read, its version is 8"),
        (PageError::ZeroMultiplier, "the clock page has the multiplier 0"),
        (PageError::Shift(-32), "the clock page has the shift -32, not one from -31 to 31"),
        (PageError::Overflow(5, 6), "the clock page leads past 63 bits: 5 ticks behind 6 ns"),
    ] {
        assert_eq!(std::format!("{error}"), said);
    }
}

#[test]
fn row_12_version_odd_for_ever() {
    let odd = TimeInfo { version: 7, ..GOOD };
    let (machine, script) = (Machine::started(Stability::Announced), Script::new(odd, 2000));
    assert_eq!(script.read(Tries::BOUNDED), Err(PageError::Unfinished(7)));
    assert!(script.looks.get() <= 200, "{} looks", script.looks.get());

    machine.below.set(40);
    assert_eq!(machine.now(&script), 40, "the table below serves");
    script.looks.set(0);
    machine.below.set(41);
    assert_eq!(machine.now(&script), 41);
    assert!(
        script.looks.get() <= 3,
        "a page known to be bad is tried once, not {} times",
        script.looks.get()
    );
}

#[test]
fn row_12_version_changes_at_every_read() {
    let script = Script::with_host(GOOD, 2000, |page| page.version = page.version.wrapping_add(2));
    let machine = Machine::started(Stability::Announced);
    assert!(matches!(script.read(Tries::BOUNDED), Err(PageError::Unsteady(_))));
    assert!(script.looks.get() <= 200, "{} looks", script.looks.get());
    machine.below.set(9);
    assert_eq!(machine.now(&script), 9);
}

#[test]
fn row_12_version_changes_once_under_a_read() {
    let script = Script::new(GOOD, 2000);
    *script.interrupt.borrow_mut() =
        Some(Box::new(|script| script.update(|page| page.system_time = 1_000_000)));
    let (info, _) = script.read(Tries::BOUNDED).unwrap();
    assert_eq!((info.version, info.system_time), (4, 1_000_000));
    assert_eq!(script.looks.get(), 4, "two tries");
}

#[test]
fn row_12_multiplier_zero_and_shift_out_of_range() {
    let zero = TimeInfo { tsc_to_system_mul: 0, ..GOOD };
    assert_eq!(nanoseconds(&zero, 2000), Err(PageError::ZeroMultiplier));
    for shift in [i8::MIN, -33, -32, 32, 33, i8::MAX] {
        let bad = TimeInfo { tsc_shift: shift, ..GOOD };
        assert_eq!(nanoseconds(&bad, 2000), Err(PageError::Shift(shift)));
        let machine = Machine::started(Stability::Announced);
        machine.below.set(3);
        assert_eq!(machine.now(&Script::new(bad, 2000)), 3);
    }
    for shift in [-31, 31] {
        assert!(nanoseconds(&TimeInfo { tsc_shift: shift, ..GOOD }, 2000).is_ok());
    }
}

#[test]
fn row_12_tsc_below_the_pages() {
    assert_eq!(nanoseconds(&GOOD, 999), Ok(500));
    assert_eq!(nanoseconds(&TimeInfo { tsc_timestamp: u64::MAX, ..GOOD }, 0), Ok(500));
    let (machine, script) = (Machine::started(Stability::Announced), Script::new(GOOD, 1010));
    assert_eq!(machine.now(&script), 510);
    script.tsc.set(0);
    assert_eq!(machine.now(&script), 510, "no step back");
    script.tsc.set(1011);
    assert_eq!(machine.now(&script), 511);
}

#[test]
fn row_12_a_bad_page_hands_over_to_the_table_below_and_back_without_a_step() {
    let (machine, script) = (Machine::started(Stability::Announced), Script::new(GOOD, 1000));
    machine.below.set(1_000_000);
    assert_eq!(machine.now(&script), 500);
    script.update(|page| page.tsc_to_system_mul = 0);
    script.pass(10);
    assert_eq!(machine.now(&script), 500, "stands where it stopped");
    machine.below.set(1_000_070);
    assert_eq!(machine.now(&script), 570, "goes on at the pace of the table below");
    machine.below.set(1_000_060);
    assert_eq!(machine.now(&script), 570, "not back with it");
    script.update(|page| *page = GOOD);
    assert_eq!(machine.now(&script), 570, "the page is behind: waits for it");
    script.tsc.set(1100);
    assert_eq!(machine.now(&script), 600);
    script.pass(1);
    assert_eq!(machine.clock.fast(&script), Some(601));
}

#[test]
fn row_12_each_hand_over_starts_where_the_clock_stopped() {
    let (machine, script) = (Machine::started(Stability::Announced), Script::new(GOOD, 1000));
    for (tsc, below) in [(1000, 50_000), (2000, 7_000_000)] {
        script.update(|page| *page = TimeInfo { version: page.version, ..GOOD });
        script.tsc.set(tsc);
        let stopped = machine.now(&script);
        assert_eq!(stopped, tsc - 500);
        script.update(|page| page.tsc_to_system_mul = 0);
        machine.below.set(below);
        assert_eq!(machine.now(&script), stopped);
        machine.below.set(below + 5);
        assert_eq!(machine.now(&script), stopped + 5);
    }
}

#[test]
fn row_13_without_the_stable_flag_cpus_never_see_each_other_go_back() {
    let unstable = TimeInfo { flags: 0, ..GOOD };
    for (stability, page) in [(Stability::Announced, unstable), (Stability::Unknown, GOOD)] {
        let ahead = Machine::started(stability);
        let behind = ahead.beside(stability);
        let (fast, slow) = (Script::new(page, 1600), Script::new(page, 1300));
        assert_eq!(ahead.full(&fast), 1100);
        assert_eq!(ahead.clock.fast(&fast), None, "such a page is never read fast");
        assert_eq!(behind.full(&slow), 1100);
        slow.pass(301);
        assert_eq!(behind.full(&slow), 1101);
    }
}

#[test]
fn row_13_a_migration_does_not_turn_a_stable_clock_back() {
    let (machine, script) = (Machine::started(Stability::Announced), Script::new(GOOD, 1000));
    machine.now(&script);
    script.pass(5000);
    assert_eq!(machine.clock.fast(&script), Some(5500));
    // The new host counts from elsewhere and has a clock that is behind.
    script.update(|page| page.system_time = 700);
    script.tsc.set(1000);
    assert_eq!(machine.now(&script), 5500);
    script.tsc.set(6000);
    assert_eq!(machine.now(&script), 5700);
}

#[test]
fn row_14_paused_flag_is_reported_and_cleared() {
    let paused = TimeInfo { flags: (Flags::STABLE | Flags::PAUSED).bits(), ..GOOD };
    let (machine, script) = (Machine::started(Stability::Announced), Script::new(paused, 1000));
    assert_eq!(machine.now(&script), 500);
    assert_eq!(machine.clock.pauses(), 1);
    assert_eq!(script.page.borrow().flags(), Flags::STABLE);
    script.pass(1);
    assert_eq!(machine.now(&script), 501);
    assert_eq!(machine.clock.pauses(), 1);
    script.update(|page| page.flags |= Flags::PAUSED.bits());
    machine.now(&script);
    assert_eq!(machine.clock.pauses(), 2);
}

#[test]
fn a_stopped_clock_is_the_table_below() {
    let (machine, script) = (Machine::started(Stability::Announced), Script::new(GOOD, 1000));
    assert_eq!(machine.now(&script), 500);
    machine.clock.stop();
    assert_eq!(machine.clock.fast(&script), None);
    machine.below.set(10);
    assert_eq!(machine.now(&script), 500);
    script.pass(1000);
    machine.below.set(12);
    assert_eq!(machine.now(&script), 502);
}

#[test]
fn an_interrupt_that_changes_the_line_under_a_fast_read_makes_it_look_again() {
    let machine = Rc::new(Machine::started(Stability::Announced));
    let script = Script::new(GOOD, 1000);
    machine.now(&script);
    script.pass(50);
    let inner = machine.clone();
    *script.interrupt.borrow_mut() = Some(Box::new(move |script| {
        script.update(|page| page.system_time = 900);
        assert_eq!(inner.now(script), 950);
    }));
    assert_eq!(machine.clock.fast(&script), None, "parts of two lines are no time");
    script.pass(1);
    assert_eq!(machine.now(&script), 951);
}

#[test]
fn row_12_a_time_past_292_years_is_none() {
    for (system_time, first) in [(NS_MAX - 10, 1001), (NS_MAX + 1, 1000), (u64::MAX - 10, 1000)] {
        let page = TimeInfo { system_time, tsc_to_system_mul: u32::MAX, tsc_shift: 31, ..GOOD };
        let passed = first - 1000;
        assert_eq!(nanoseconds(&page, 1000).ok(), (passed > 0).then_some(system_time));
        assert_eq!(nanoseconds(&page, first), Err(PageError::Overflow(passed, system_time)));
        let (machine, script) = (Machine::started(Stability::Announced), Script::new(page, first));
        machine.below.set(77);
        assert_eq!(machine.now(&script), 77);
    }
}

#[test]
fn row_13_a_clock_that_steps_back_below_0_does_not_use_up_the_count() {
    let (machine, script) = (Machine::started(Stability::Announced), Script::new(GOOD, 1000));
    machine.now(&script);
    script.update(|page| page.system_time = 0_u64.wrapping_sub(1_000_000_000));
    machine.below.set(1);
    for passed in 0..5 {
        machine.below.set(1 + passed * 1_000_000_000);
        assert_eq!(machine.now(&script), GOOD.system_time + passed * 1_000_000_000);
    }
}

fn anything() -> impl Strategy<Value = TimeInfo> {
    let mul = prop_oneof![any::<u32>(), Just(0), 1_u32 << 31..=u32::MAX];
    let shift = prop_oneof![any::<i8>(), -3_i8..3];
    let time = prop_oneof![any::<u64>(), 0..1_u64 << 48];
    (any::<u32>(), time.clone(), time, mul, shift, any::<u8>()).prop_map(
        |(version, tsc_timestamp, system_time, tsc_to_system_mul, tsc_shift, flags)| TimeInfo {
            version,
            tsc_timestamp,
            system_time,
            tsc_to_system_mul,
            tsc_shift,
            flags,
            ..TimeInfo::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    /// The formula is the manual's, in 128-bit integers: shift, multiply, divide by 2^32, add.
    #[test]
    fn the_formula_agrees_with_128_bit_arithmetic(info in anything(), tsc: u64) {
        let ticks = i128::from(tsc) - i128::from(info.tsc_timestamp);
        let ticks = ticks.max(0).cast_unsigned();
        let shift = i32::from(info.tsc_shift);
        let expected = (-31..=31).contains(&shift).then(|| {
            let shifted = if shift < 0 { ticks / (1 << -shift) } else { ticks * (1 << shift) };
            let passed = shifted * u128::from(info.tsc_to_system_mul) / (1 << 32);
            u64::try_from(passed + u128::from(info.system_time)).ok().filter(|&ns| ns <= NS_MAX)
        });
        let expected = expected.flatten().filter(|_| info.tsc_to_system_mul != 0);
        prop_assert_eq!(nanoseconds(&info, tsc).ok(), expected);
    }

    /// Whatever pages and counters follow each other, and whatever the table below says: no reading is less than the
    /// one before.
    #[test]
    fn no_sequence_of_pages_turns_the_clock_back(
        stable: bool,
        steps in prop::collection::vec((anything(), any::<u64>(), any::<u64>(), 0..4_u8), 1..40),
    ) {
        let machine = Machine::started(if stable { Stability::Announced } else { Stability::Unknown });
        let script = Script::new(GOOD, 1000);
        let mut readings = Vec::new();
        for (page, tsc, below, change) in steps {
            match change {
                0 => *script.page.borrow_mut() = page,
                1 => script.update(|old| *old = TimeInfo { version: old.version, ..GOOD }),
                2 => machine.below.set(below),
                _ => script.tsc.set(tsc),
            }
            readings.push(machine.now(&script));
            script.tsc.set(script.tsc.get().wrapping_add(1));
            readings.push(machine.now(&script));
        }
        prop_assert!(readings.is_sorted(), "{:?}", readings);
        prop_assert!(machine.timeline.latest() <= *readings.last().unwrap());
    }
}
