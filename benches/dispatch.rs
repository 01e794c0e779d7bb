//! What does a call cost, by every way in which a kernel could get at what serves an op?

use benches::{dispatch, question::Question, ratio::Ratio, settings};
use criterion::{Criterion, criterion_group, criterion_main};

/// Any rate will do: what the clock says is not looked at. Without one it would ask ports, which a program may not.
const HERTZ: u64 = 2_000_000_000;

fn set_entry(criterion: &mut Criterion<Ratio>) {
    use dispatch::set_entry::{asm, measure};
    measure(Question::ask(criterion, "dispatch/set_entry", "asm!", &asm));
}

fn relax(criterion: &mut Criterion<Ratio>) {
    use dispatch::relax::{asm, measure};
    measure(Question::ask(criterion, "dispatch/relax", "asm!", &asm));
}

fn cycles(criterion: &mut Criterion<Ratio>) {
    use dispatch::cycles::{asm, measure};
    measure(Question::ask(criterion, "dispatch/cycles", "asm!", &asm));
}

fn now_ns(criterion: &mut Criterion<Ratio>) {
    use dispatch::now_ns::{direct, measure};
    vmi_native::set_frequency(HERTZ);
    measure(Question::ask(criterion, "dispatch/now_ns", "direct call", &direct));
}

criterion_group! {
    name = benches;
    config = settings::criterion(Ratio);
    targets = set_entry, relax, cycles, now_ns
}
criterion_main!(benches);
