//! What KVM's interfaces cost through the library.

use anyhow::{Context as _, Result, ensure};
use iced_x86::{Code, Decoder, DecoderOptions, Instruction};

use super::run::{Context, Outcome, Test};
use crate::bench::figures_of;
use crate::boot::Boot;
use crate::elf::Elf;
use crate::full_run::judge;
use crate::host::Host;

pub(super) const TESTS: &[Test] = &[
    Test { name: "kvm_cost::a_loop_of_hypercalls_is_that_of_the_bare_instruction", run: loops_of_hypercalls },
    Test {
        name: "kvm_cost::24_instructions_read_the_clock_page_and_a_hypercall_is_the_instruction",
        run: clock_page_and_hypercall,
    },
];

/// The functions of the image that do nothing but call KVM: through the library, and by the bare instruction.
const BY_LIBRARY: &str = "exits::hypercall_by_library";
const BARE: &str = "exits::hypercall_bare";

/// The host's part differs from run to run by as much as an instruction of the guest's; the code does not.
fn loops_of_hypercalls(context: &mut Context) -> Result<Outcome> {
    let elf = Elf::read(&context.image()?)?;
    for instruction in [Code::Vmcall, Code::Vmmcall] {
        let [library, bare] = [BY_LIBRARY, BARE].map(|function| loop_around(&elf, function, instruction));
        let (library, bare) = (library?, bare?);
        ensure!(library == bare, "the library's loop is {library:?}, the bare one {bare:?}");
    }
    Ok(Outcome::Passed)
}

/// Returns the instructions of the loop of a function that holds an instruction.
fn loop_around(elf: &Elf, function: &str, instruction: Code) -> Result<Vec<Code>> {
    let found = elf.functions().iter().find(|known| known.is(function));
    let range = found.with_context(|| format!("the image has no {function}"))?.range.clone();
    let text = elf.loaded(range.start, (range.end - range.start) as usize)?;
    let code: Vec<Instruction> =
        Decoder::with_ip(64, text, range.start, DecoderOptions::NONE).iter().collect();
    let at = code.iter().position(|known| known.code() == instruction);
    let at = at.with_context(|| format!("{function} has no {instruction:?}"))?;
    let is_back =
        |jump: &Instruction| jump.is_jcc_short_or_near() && jump.near_branch_target() <= code[at].ip();
    let end = code[at..].iter().position(is_back).with_context(|| format!("{function} has no loop"))? + at;
    let start = code.iter().position(|known| known.ip() == code[end].near_branch_target());
    let start = start.with_context(|| format!("the loop of {function} begins nowhere"))?;
    Ok(code[start..=end].iter().map(Instruction::code).collect())
}

/// Instructions from the entry of the function to its `ret`, while the page stays as it was and time goes by.
const READ_MAX: f64 = 24.0;
/// The `call` in the loop.
const CALL: f64 = 1.0;
/// What the host's part of an exit may differ by.
const HOST: f64 = 1.0;

fn clock_page_and_hypercall(context: &mut Context) -> Result<Outcome> {
    let host = Host::named("kvm")?;
    let mut boot = Boot::new(host, &context.image()?).arguments("bench=clock::page,exit::hypercall");
    boot.counts_instructions = true;
    let run = boot.run()?;
    judge(&run)?;
    let measured = figures_of(host, &[run.console])?;
    let cost = |name: &str, variant: &str| {
        let mut figures = measured.figures.iter();
        let figure = figures.find(|figure| figure.name == name && figure.variant == variant);
        figure.map(|figure| figure.instructions.least).with_context(|| format!("{name} {variant} is missing"))
    };

    let read = cost("clock::page", "direct")? - CALL;
    // The counter, a multiplication and two looks at the page are more than a few.
    ensure!(read > 10.0, "only {read} instructions were counted");
    ensure!(read <= READ_MAX, "{read} instructions read the clock page, at most {READ_MAX} allowed");

    let [library, bare] = ["backend", "bare"].map(|variant| cost("exit::hypercall", variant));
    let (library, bare) = (library?, bare?);
    ensure!(bare > 100.0, "{bare} instructions are no exit");
    ensure!((library - bare).abs() <= HOST, "a hypercall takes {library} instructions, the bare one {bare}");
    Ok(Outcome::Passed)
}
