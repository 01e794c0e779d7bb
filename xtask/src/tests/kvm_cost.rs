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
    Test {
        name: "kvm_cost::a_loop_of_hypercalls_has_a_call_in_place_of_the_instruction",
        run: loops_of_hypercalls,
    },
    Test {
        name: "kvm_cost::24_instructions_read_the_clock_page_and_a_hypercall_adds_call_and_ret",
        run: clock_page_and_hypercall,
    },
];

/// The functions of the image that do nothing but call KVM: through the library, and by the bare instruction.
const BY_LIBRARY: &str = "exits::hypercall_by_library";
const BARE: &str = "exits::hypercall_bare";
/// Where the library's call leads, by the instruction.
const STUBS: [(&str, Code); 2] = [("insn::vmcall", Code::Vmcall), ("insn::vmmcall", Code::Vmmcall)];

/// The host's part differs from run to run by as much as an instruction of the guest's; the code does not.
fn loops_of_hypercalls(context: &mut Context) -> Result<Outcome> {
    let elf = Elf::read(&context.image()?)?;
    let library = loop_around(&elf, BY_LIBRARY, Code::Call_rm64)?;
    for (stub, instruction) in STUBS {
        let mut bare = loop_around(&elf, BARE, instruction)?;
        for code in &mut bare {
            if *code == instruction {
                *code = Code::Call_rm64;
            }
        }
        ensure!(library == bare, "the library's loop is {library:?}, the bare one {bare:?}");
        let stub: Vec<Code> = code_of(&elf, stub)?.iter().take(2).map(Instruction::code).collect();
        ensure!(stub == [instruction, Code::Retnq], "the stub begins with {stub:?}");
    }
    Ok(Outcome::Passed)
}

/// Returns the instructions of a function.
fn code_of(elf: &Elf, function: &str) -> Result<Vec<Instruction>> {
    let found = elf.functions().iter().find(|known| known.is(function));
    let range = found.with_context(|| format!("the image has no {function}"))?.range.clone();
    let text = elf.loaded(range.start, (range.end - range.start) as usize)?;
    Ok(Decoder::with_ip(64, text, range.start, DecoderOptions::NONE).iter().collect())
}

/// Returns the instructions of the loop of a function that holds an instruction.
fn loop_around(elf: &Elf, function: &str, instruction: Code) -> Result<Vec<Code>> {
    let code = code_of(elf, function)?;
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
/// The stub's `call` and `ret` around a hypercall.
const STUB: f64 = 2.0;
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
    let added = library - bare;
    ensure!((added - STUB).abs() <= HOST, "a hypercall takes {library} instructions, the bare one {bare}");
    Ok(Outcome::Passed)
}
