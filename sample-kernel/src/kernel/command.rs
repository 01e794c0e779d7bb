//! What the words on the command line have the kernel do.

// UNSAFETY: calls `init` and `teardown`.
#![expect(unsafe_code)]

use vmi::{Backend, CommandLine, Error, Op, Platform, Report, Text};

use super::{
    anew,
    bench::{self, Phase, Selection},
    checks,
    console::line,
    exit::{Code, exit},
    image,
    insn::{canary, selftest},
    lives,
    mutant::Mutant,
    platform::PLATFORM,
    port_calls,
    tally::{Tally, equal},
    trace,
};

/// The backends that the kernel links.
pub static BACKENDS: &[&dyn Backend] = &include!(concat!(env!("OUT_DIR"), "/backends.rs"));

/// Runs what the command line asks for, prints the summary and ends the run:
///
/// | word | what runs |
/// | --- | --- |
/// | (none) | all checks: before `init`, after it with the backend it chose, and after the teardown |
/// | `no-init` | all checks, natively; `init` is never called |
/// | `backend=selftest` | all checks, once for every form in which a backend can replace ops |
/// | `mutate=OP` | the check of one op, which must fail: the op is replaced by nothing or by a constant |
/// | `power=shutdown`, `power=reboot` | that op, in the phase that `phase=` names: `before`, `after` or `teardown` |
/// | `lives` | selection, with backends that rank, fail and come and go |
/// | `bench` | what ops and exits cost: every benchmark |
/// | `bench=NAME,…` | only the benchmarks that are called so, or whose names begin so |
/// | `bench-exits`, `bench-exits=NAME,…` | the same benchmarks between marks for a VMI host, which counts exits |
/// | `bench-names` | what benchmarks there are |
/// | `trace` | reads of the clock, and as many control instructions, for a trace of exits |
/// | `clock-anew` | the clock, while that of the host starts anew lower |
/// | `vmi-calls` | calls to a VMI host: their effect, what they cost in exits, and what hostile ones get |
/// | `vmi-shutdown=CODE` | the end of the machine by a VMI host, with that code |
/// | `vmi-flood=console`, `vmi-flood=doorbell` | that, without end |
/// | `epoch=SECONDS` | tells the checks the time of day |
/// | `hypercalls=undefined` | tells the checks that there is no hypervisor, not even a hidden one |
///
/// The library itself heeds `nopv` and `no-BACKEND`, and the KVM backend `no-kvmclock`.
pub fn run() -> ! {
    let command_line = CommandLine::new(PLATFORM.get().command_line());
    line!("vmi sample kernel {}, {} bytes of text", env!("CARGO_PKG_VERSION"), text_len());
    let mut tally = Tally::default();
    if command_line.value("backend") == Some("selftest") {
        every_form(&mut tally);
    } else if let Some(name) = command_line.value("mutate") {
        mutate(&mut tally, name);
    } else if let Some(action) = command_line.value("power") {
        power(&mut tally, action, command_line.value("phase"));
    } else if command_line.has("trace") {
        if start(&mut tally, BACKENDS).is_some() {
            trace::run();
            tally.count("trace", "done", equal("reads", trace::READS, trace::READS).map(|()| checks::PASSED));
        }
    } else if command_line.has("bench") || command_line.value("bench").is_some() {
        benchmarks(&mut tally, command_line.value("bench"));
    } else if command_line.has("bench-exits") || command_line.value("bench-exits").is_some() {
        count_exits(&mut tally, command_line.value("bench-exits"));
    } else if command_line.has("bench-names") {
        bench::print_names(&mut tally);
    } else if command_line.has("lives") {
        lives::run(&mut tally);
    } else if command_line.has("clock-anew") {
        if start(&mut tally, BACKENDS).is_some() {
            anew::run(&mut tally);
        }
    } else if command_line.has("vmi-calls") {
        if start(&mut tally, BACKENDS).is_some() {
            port_calls::run(&mut tally);
        }
    } else if let Some(code) = command_line.value("vmi-shutdown") {
        port_calls::shutdown(&mut tally, code);
    } else if let Some(what) = command_line.value("vmi-flood") {
        port_calls::flood(&mut tally, what);
    } else if command_line.has("no-init") {
        natively("native", &mut tally);
    } else {
        whole_life(&mut tally);
    }
    line!("{tally}");
    exit(if tally.passed() { Code::Passed } else { Code::Failed })
}

/// All checks in the three phases of a kernel's life.
fn whole_life(tally: &mut Tally) {
    let hash = image::text_hash();
    checks::run("before", tally);
    canary::run("before", tally);
    let Some(report) = start(tally, BACKENDS) else {
        natively("refused", tally);
        return checks::run_without_backend("refused", tally);
    };
    checks::run("after", tally);
    canary::run("after", tally);
    checks::run_for_backend(&report, tally);
    stop(tally, hash);
    checks::run("teardown", tally);
    canary::run("teardown", tally);
    checks::run_after_backend(&report, tally);
}

/// All checks on a kernel without a backend.
fn natively(phase: &str, tally: &mut Tally) {
    checks::run(phase, tally);
    canary::run(phase, tally);
}

/// All checks with the backend that replaces every op, once for every form of replacement.
fn every_form(tally: &mut Tally) {
    let hash = image::text_hash();
    for backend in &selftest::MANNERS {
        let phase = backend.phase();
        selftest::forget_counts();
        let Some(report) = start(tally, &[backend]) else { return natively("refused", tally) };
        backend.print_sites();
        checks::run(phase, tally);
        canary::run(phase, tally);
        tally.count(phase, "every site is edited", backend.edited(&report.sites));
        tally.count(phase, "every replacement is called", backend.counted());
        stop(tally, hash);
    }
}

/// The benchmarks asked for: before `init`, after it, after the teardown, and with a backend that puts every op into one
/// form after the other.
fn benchmarks(tally: &mut Tally, names: Option<&str>) {
    let selection = match Selection::new(names) {
        Ok(selection) => selection,
        Err(unknown) => return tally.fail("bench", unknown.0, unknown),
    };
    let hash = image::text_hash();
    bench::run(selection, Phase::Before, tally);
    if start(tally, BACKENDS).is_none() {
        return;
    }
    bench::run(selection, Phase::After, tally);
    stop(tally, hash);
    bench::run(selection, Phase::Teardown, tally);
    for form in &bench::forms::ALL {
        if start(tally, &[form]).is_some() {
            bench::run(selection, form.0, tally);
            stop(tally, hash);
        }
    }
}

/// The exits of the benchmarks asked for, as a VMI host counts them.
fn count_exits(tally: &mut Tally, names: Option<&str>) {
    match Selection::new(names) {
        Err(unknown) => tally.fail("bench-exits", unknown.0, unknown),
        Ok(selection) if start(tally, BACKENDS).is_some() => bench::marks::run(selection, tally),
        Ok(_) => {}
    }
}

/// The check of one op, which is to fail, since the op does nothing.
fn mutate(tally: &mut Tally, name: &str) {
    let Some(op) = Op::named(name) else {
        return tally.fail("mutate", name, "no such op");
    };
    static MUTANT: Mutant = Mutant::new();
    MUTANT.set(op);
    if start(tally, &[&MUTANT]).is_none() {
        return;
    }
    match name.strip_prefix("power::") {
        Some(action) => switch(tally, "mutant", action),
        None => checks::run_one("mutant", op, tally),
    }
}

/// Switches off or resets in the phase asked for.
fn power(tally: &mut Tally, action: &str, phase: Option<&str>) {
    let hash = image::text_hash();
    if phase.is_some_and(|phase| phase != "before") {
        start(tally, BACKENDS);
    }
    if phase == Some("teardown") {
        stop(tally, hash);
    }
    switch(tally, phase.unwrap_or("before"), action);
}

/// Switches off or resets. What comes back from that has failed.
fn switch(tally: &mut Tally, phase: &str, action: &str) {
    match action {
        "shutdown" => {
            vmi::power::shutdown();
            tally.fail(phase, "power::shutdown", "the machine is still on");
        }
        "reboot" => {
            vmi::power::reboot();
            tally.fail(phase, "power::reboot", "the machine is still on");
        }
        _ => tally.fail(phase, action, "neither shutdown nor reboot"),
    }
}

/// Initialises the library and prints its report.
fn start(tally: &mut Tally, backends: &[&'static dyn Backend]) -> Option<Report> {
    // SAFETY: one CPU, ring 0, and handlers without ops until a timer is started.
    match unsafe { vmi::init(PLATFORM.get(), backends) } {
        Ok(report) => {
            line!("{report}");
            // SAFETY: as above; this call must be refused.
            let again = unsafe { vmi::init(PLATFORM.get(), backends) };
            if !matches!(again, Err(Error::AlreadyInitialised)) {
                tally.fail("init", "vmi::init", "a second call was not refused");
            }
            Some(report)
        }
        Err(error) => {
            tally.fail("init", "vmi::init", error);
            None
        }
    }
}

/// Tears down and holds the text against the hash it had.
fn stop(tally: &mut Tally, hash: u64) {
    // SAFETY: one CPU, and not in an interrupt.
    if let Err(error) = unsafe { vmi::teardown() } {
        tally.fail("teardown", "vmi::teardown", error);
    }
    tally.count("teardown", "text", equal("hash", image::text_hash(), hash).map(|()| checks::PASSED));
}

fn text_len() -> usize {
    PLATFORM.get().ranges().iter().map(|range| range.end.addr() - range.start.addr()).sum()
}
