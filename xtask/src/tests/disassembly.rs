//! What an independent disassembler sees at every site.

use anyhow::{Context as _, Result, bail, ensure};
use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Formatter, Instruction, IntelFormatter, MemorySizeOptions, Mnemonic,
};
use vmi_abi::{Class, Op};

use super::run::{Context, Outcome, Test};
use crate::{
    boot::Boot,
    elf::{Elf, Placed},
    host::Host,
};

pub(super) const TESTS: &[Test] = &[
    Test { name: "disassembly::every_site_is_one_instruction", run: every_site_is_one_instruction },
    Test {
        name: "disassembly::every_edited_form_is_one_instruction",
        run: every_edited_form_is_one_instruction,
    },
];

/// The prefixes that fill a site up: segment overrides for CS and DS, which mean nothing in 64-bit code.
pub(super) const PREFIXES: [u8; 2] = [0x2e, 0x3e];
/// What fills a jump up behind, where control never comes.
const TRAP: u8 = 0xcc;

fn every_site_is_one_instruction(context: &mut Context) -> Result<Outcome> {
    let elf = Elf::read(&context.image()?)?;
    check_all(&elf)?;
    for op in Op::all() {
        ensure!(elf.sites().any(|placed| placed.site.op == op.number()), "{op} has no site in the image");
    }
    Ok(Outcome::Passed)
}

/// In each manner in which the selftest backend replaces ops, the kernel prints a site of every op.
fn every_edited_form_is_one_instruction(context: &mut Context) -> Result<Outcome> {
    let boot = Boot::new(Host::named("tcg")?, &context.image()?).arguments("backend=selftest");
    let console = boot.run()?.console;
    for manner in ["thunk", "naked", "inline", "nop"] {
        for op in Op::all() {
            let line = format!("site {manner} {op} [");
            let bytes = console.lines().find_map(|printed| printed.strip_prefix(&line)?.strip_suffix(']'));
            let bytes = bytes.with_context(|| format!("no line `{line}`"))?;
            let bytes = bytes.split(", ").map(|byte| u8::from_str_radix(byte, 16));
            is_one_instruction(op, &bytes.collect::<Result<Vec<_>, _>>()?)
                .with_context(|| format!("{manner}, {op}"))?;
        }
    }
    Ok(Outcome::Passed)
}

/// Checks that a site holds one instruction of its length, or of a jump op, one that control does not come behind.
fn is_one_instruction(op: Op, text: &[u8]) -> Result<()> {
    let instruction = Decoder::new(64, text, DecoderOptions::NONE).decode();
    ensure!(!instruction.is_invalid(), "{text:02x?} is no instruction");
    let (own, behind) = text.split_at(instruction.len());
    let leaves = matches!(
        instruction.flow_control(),
        FlowControl::Return | FlowControl::UnconditionalBranch | FlowControl::IndirectBranch
    );
    let is_filled = op.class() == Class::Jump && leaves && behind.iter().all(|byte| *byte == TRAP);
    ensure!(behind.is_empty() || is_filled, "{behind:02x?} stands behind {own:02x?}");
    Ok(())
}

/// Checks every record of an image.
pub(super) fn check_all(elf: &Elf) -> Result<()> {
    let mut end = 0;
    for placed in elf.sites() {
        let Placed { index, address, site } = placed;
        ensure!(address >= end, "record {index}: the site at {address:#x} is not behind the one before");
        end = address + u64::from(site.len);
        if let Err(error) = check(elf, placed) {
            bail!("record {index}, site at {address:#x}: {error}");
        }
    }
    Ok(())
}

fn check(elf: &Elf, Placed { address, site, .. }: Placed) -> Result<()> {
    let op = Op::new(site.op).ok_or_else(|| anyhow::anyhow!("no op has number {}", site.op))?;
    ensure!(site.reserved == 0, "the reserved field is {}", site.reserved);
    ensure!(site.len >= 5, "only {} bytes", site.len);
    let text = elf.loaded(address, site.len.into())?;
    let mut decoder = Decoder::with_ip(64, text, address, DecoderOptions::NONE);
    let instruction = decoder.decode();
    ensure!(!instruction.is_invalid(), "{op}: {text:02x?} is no instruction");
    if op.class() == Class::Jump {
        let behind = &text[instruction.len()..];
        ensure!(behind.iter().all(|byte| *byte == TRAP), "{op}: {behind:02x?} stands behind the jump");
    } else {
        ensure!(instruction.len() == text.len(), "{op}: {text:02x?} is more than one instruction");
    }
    if op.class() == Class::Call {
        ensure!(instruction.mnemonic() == Mnemonic::Call, "{op}: {} is no call", written(&instruction));
        let target = instruction.near_branch_target();
        let function = elf.function_at(target).map_or("nothing", |function| &function.name);
        let is_its =
            elf.function_at(target).is_some_and(|function| function.is(&format!("native::functions::{op}")));
        ensure!(is_its, "{op}: it calls {function} at {target:#x}");
        return Ok(());
    }
    let own = text.iter().position(|byte| !PREFIXES.contains(byte)).unwrap_or(text.len());
    ensure!(own == 0 || text.len() == 5, "{op}: {text:02x?} is filled up without need");
    let (found, expected) = (written(&instruction), op.info().native.replace(' ', ""));
    ensure!(found == expected, "{op}: found `{found}`, expected `{expected}`");
    Ok(())
}

/// Writes an instruction as the op list does, without blanks and without the prefix.
fn written(instruction: &Instruction) -> String {
    let mut formatter = IntelFormatter::new();
    formatter.options_mut().set_hex_prefix("0x");
    formatter.options_mut().set_hex_suffix("");
    formatter.options_mut().set_memory_size_options(MemorySizeOptions::Never);
    let mut text = String::new();
    formatter.format(instruction, &mut text);
    text.replace("cs ", "").replace("cs:", "").replace(' ', "")
}
