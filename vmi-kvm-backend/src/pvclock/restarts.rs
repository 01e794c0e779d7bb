//! The clock under a host whose own starts anew lower, or is set.

use std::{boxed::Box, rc::Rc, vec::Vec};

use proptest::prelude::*;

use super::{
    Flags, Stability, TimeInfo,
    script::{GOOD, Machine, Script},
    timeline::{BEHIND_MAX_NS, SETTLING_NS},
};

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3600 * SECOND;

/// Has the host's clock show `system_time` now.
fn set(script: &Script, system_time: u64) {
    let tsc = script.tsc.get();
    script.update(|page| {
        page.tsc_timestamp = tsc;
        page.system_time = system_time;
    });
}

/// Returns a CPU's clock and page, both at an hour.
fn at_an_hour() -> (Machine, Script) {
    let (machine, script) = (Machine::started(Stability::Announced), Script::new(GOOD, 1000));
    set(&script, HOUR);
    assert_eq!(machine.now(&script), HOUR);
    (machine, script)
}

#[test]
fn row_13_a_clock_that_starts_anew_lower_goes_on_at_the_pages_rate() {
    let (machine, script) = at_an_hour();
    set(&script, 2 * SECOND);
    assert_eq!(machine.now(&script), HOUR);
    for passed in 1..5 {
        script.pass(SECOND);
        assert_eq!(machine.now(&script), HOUR + passed * SECOND);
    }
    script.pass(7);
    assert_eq!(machine.clock.fast(&script), Some(HOUR + 4 * SECOND + 7), "and by the line");
}

#[test]
fn row_13_later_pages_of_a_clock_that_started_anew_go_on_with_it() {
    let (machine, script) = at_an_hour();
    set(&script, 2 * SECOND);
    machine.now(&script);
    for passed in 1..100 {
        script.pass(SECOND);
        set(&script, (2 + passed) * SECOND);
        assert_eq!(machine.now(&script), HOUR + passed * SECOND);
    }
    // Half as fast: the rate is the page's.
    script.update(|page| page.tsc_shift = 0);
    set(&script, 101 * SECOND);
    script.pass(2 * SECOND);
    assert_eq!(machine.now(&script), HOUR + 100 * SECOND);
}

#[test]
fn row_13_a_clock_that_starts_anew_again_is_moved_once_more_and_not_twice() {
    let (machine, script) = at_an_hour();
    for (start, given) in [(2 * SECOND, HOUR), (0, HOUR + SECOND), (SECOND, HOUR + 2 * SECOND)] {
        set(&script, start);
        assert_eq!(machine.now(&script), given);
        script.pass(SECOND);
        assert_eq!(machine.now(&script), given + SECOND);
    }
}

#[test]
fn row_13_a_clock_that_is_set_right_again_does_not_jump_by_what_it_was_moved() {
    let (machine, script) = at_an_hour();
    set(&script, 2 * SECOND);
    machine.now(&script);
    script.pass(SECOND);
    set(&script, HOUR + 10 * SECOND);
    assert_eq!(machine.now(&script), HOUR + 10 * SECOND);
    script.pass(SECOND);
    assert_eq!(machine.now(&script), HOUR + 11 * SECOND);
    assert_eq!(machine.timeline.ahead(), 0);
}

#[test]
fn row_13_a_clock_that_nobody_read_for_longer_than_it_was_moved_stays_moved() {
    let (machine, script) = at_an_hour();
    set(&script, HOUR - SECOND);
    machine.now(&script);
    script.pass(10 * SECOND);
    set(&script, HOUR + 9 * SECOND);
    assert_eq!(machine.now(&script), HOUR + 10 * SECOND);
}

#[test]
fn row_13_a_pause_that_the_host_takes_out_of_the_page_moves_nothing() {
    let (machine, script) = at_an_hour();
    script.pass(SECOND);
    assert_eq!(machine.now(&script), HOUR + SECOND);
    script.pass(60 * SECOND);
    set(&script, HOUR + SECOND);
    assert_eq!((machine.now(&script), machine.timeline.ahead()), (HOUR + SECOND, 0));
}

#[test]
fn row_13_a_cpu_that_was_idle_goes_on_where_another_has_come_to() {
    let (first, page) = at_an_hour();
    let second = first.beside(Stability::Announced);
    let other = Script::new(*page.page.borrow(), 1000);
    second.now(&other);
    page.pass(60 * SECOND);
    assert_eq!(first.full(&page), HOUR + 60 * SECOND);
    other.pass(60 * SECOND);
    set(&other, 2 * SECOND);
    assert_eq!(second.now(&other), HOUR + 60 * SECOND);
    other.pass(SECOND);
    assert_eq!(second.now(&other), HOUR + 61 * SECOND);
}

#[test]
fn row_13_what_drift_explains_is_waited_for() {
    assert_eq!(BEHIND_MAX_NS, 150_000_000, "500 ppm of 300 s");
    let (machine, script) = at_an_hour();
    set(&script, HOUR - BEHIND_MAX_NS);
    assert_eq!(machine.now(&script), HOUR);
    script.pass(BEHIND_MAX_NS + 1);
    assert_eq!(machine.now(&script), HOUR + 1);
    set(&script, HOUR - BEHIND_MAX_NS);
    assert_eq!((machine.now(&script), machine.timeline.ahead()), (HOUR + 1, BEHIND_MAX_NS + 1));
}

#[test]
fn row_13_cpus_go_on_together_whichever_sees_the_new_page_first() {
    // What each CPU last gave before the restart: the second, far behind, was idle, or the first.
    for idle in [0, 1] {
        let (first, page) = at_an_hour();
        let second = first.beside(Stability::Announced);
        let other = Script::new(*page.page.borrow(), 1000);
        second.now(&other);
        let cpus = [(&first, &page), (&second, &other)];
        for (_, script) in cpus {
            script.pass(60 * SECOND);
        }
        assert_eq!(cpus[1 - idle].0.clock.fast(cpus[1 - idle].1), Some(HOUR + 60 * SECOND));
        for (_, script) in cpus {
            set(script, 2 * SECOND);
        }
        let mut last = 0;
        for round in 0..8 {
            for (machine, script) in cpus {
                let now = machine.now(script);
                assert!(now >= last, "{now} behind {last} in round {round}");
                last = now;
            }
            for (_, script) in cpus {
                script.pass(SECOND / 2);
            }
        }
        assert_eq!(last, HOUR + 60 * SECOND + 7 * SECOND / 2);
        let fast = cpus.map(|(machine, script)| machine.clock.fast(script));
        assert_eq!(fast, [Some(last + SECOND / 2); 2], "settled");
    }
}

#[test]
fn row_13_cpus_that_are_not_in_step_start_anew_once() {
    let unstable = TimeInfo { flags: 0, ..GOOD };
    let ahead = Machine::started(Stability::Unknown);
    let behind = ahead.beside(Stability::Unknown);
    let (fast, slow) = (Script::new(unstable, 1000), Script::new(unstable, 1000));
    let mut last = 0;
    for start in [HOUR, 2 * SECOND] {
        set(&fast, start + SECOND);
        set(&slow, start);
        for _ in 0..10 {
            for (machine, script) in [(&ahead, &fast), (&behind, &slow)] {
                let now = machine.now(script);
                assert!(now >= last);
                last = now;
                script.pass(SECOND);
            }
        }
    }
    assert_eq!(last, HOUR + SECOND + 9 * SECOND + 9 * SECOND, "the leader's time, at its rate");
}

#[test]
fn row_13_an_interrupt_that_sees_the_new_page_first_moves_time_for_both() {
    let (machine, script) = at_an_hour();
    let machine = Rc::new(machine);
    let inner = machine.clone();
    script.pass(SECOND);
    script.update(|_| ());
    // The full reading has looked at what was given before, and at the old page's version.
    *script.interrupt.borrow_mut() = Some(Box::new(move |script| {
        set(script, 2 * SECOND);
        assert_eq!(inner.now(script), HOUR);
    }));
    assert_eq!(machine.full(&script), HOUR);
    assert_eq!(machine.timeline.ahead(), HOUR - 2 * SECOND);
    script.pass(SECOND);
    assert_eq!(machine.now(&script), HOUR + SECOND);
}

#[test]
fn row_14_a_pause_has_the_page_read_again() {
    let (machine, script) = at_an_hour();
    script.update(|page| page.flags |= Flags::PAUSED.bits());
    let looks = script.looks.get();
    machine.full(&script);
    assert_eq!(script.looks.get() - looks, 4, "two readings of two looks each");
}

#[test]
fn row_14_a_page_that_is_paused_for_ever_is_read_a_few_times_and_believed() {
    let machine = Machine::started(Stability::Announced);
    let script = Script::with_host(GOOD, 1000, |page| page.flags |= Flags::PAUSED.bits());
    assert_eq!(machine.full(&script), 500);
    assert_eq!(script.looks.get(), 8, "four readings of two looks each");
}

/// What the host does to its clock.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Lets time pass.
    Pass(u64),
    /// Renews the pages: the clock is what it was.
    Renew,
    /// Starts anew at this time, or sets the clock to it.
    Set(u64),
    /// A CPU reads.
    Read(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3 * SECOND).prop_map(Step::Pass),
        Just(Step::Renew),
        (0..2 * HOUR).prop_map(Step::Set),
        (0..3_usize).prop_map(Step::Read),
        (0..3_usize).prop_map(Step::Read),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Time is where the host's clock is, or where it was when that started anew, plus what has passed since: never back,
    /// and never behind by more than is waited for.
    #[test]
    fn time_is_what_was_given_and_what_has_passed(steps in prop::collection::vec(step(), 1..80)) {
        let first = Machine::started(Stability::Announced);
        let cpus = [first.beside(Stability::Announced), first.beside(Stability::Announced), first];
        let pages: Vec<Script> = cpus.iter().map(|_| Script::new(GOOD, 1000)).collect();
        // The host's time, and the latest that was given with the ticks that passed since.
        let (mut host, mut given, mut since) = (GOOD.system_time, 0, 0);
        for step in steps {
            match step {
                Step::Pass(ns) => {
                    pages.iter().for_each(|page| page.pass(ns));
                    host += ns;
                    since += ns;
                }
                Step::Renew => pages.iter().for_each(|page| set(page, host)),
                Step::Set(ns) => {
                    // All CPUs have given the same time when the host stops them.
                    cpus.iter().zip(&pages).for_each(|(cpu, page)| given = cpu.now(page));
                    since = 0;
                    host = ns;
                    pages.iter().for_each(|page| set(page, host));
                    let now = cpus[0].now(&pages[0]);
                    // It went on, or the host's clock was set forward, from wherever it is moved.
                    let forward = now == host + cpus[0].timeline.ahead();
                    prop_assert!(now == given || now > given && forward, "{} after {}", now, given);
                    given = now;
                }
                Step::Read(cpu) => {
                    let now = cpus[cpu].now(&pages[cpu]);
                    let line = given + since;
                    prop_assert!(now >= given, "{} behind {}", now, given);
                    prop_assert!(now + BEHIND_MAX_NS >= line, "{} stands still before {}", now, line);
                    prop_assert!(now <= line + BEHIND_MAX_NS, "{} is past {}", now, line);
                    (given, since) = (now, 0);
                }
            }
        }
    }

    /// Once all is settled the CPUs agree, by the line.
    #[test]
    fn settled_cpus_agree(starts in prop::collection::vec(0..HOUR, 1..10)) {
        let first = Machine::started(Stability::Announced);
        let cpus = [first.beside(Stability::Announced), first];
        let pages = [Script::new(GOOD, 1000), Script::new(GOOD, 1000)];
        for start in starts {
            for (cpu, page) in cpus.iter().zip(&pages) {
                set(page, start);
                cpu.now(page);
            }
            pages.iter().for_each(|page| page.pass(SETTLING_NS + BEHIND_MAX_NS));
            let full = [cpus[0].full(&pages[0]), cpus[1].full(&pages[1])];
            prop_assert_eq!(full[0], full[1]);
            let fast = [cpus[0].clock.fast(&pages[0]), cpus[1].clock.fast(&pages[1])];
            prop_assert_eq!(fast, [Some(full[0]); 2]);
        }
    }
}
