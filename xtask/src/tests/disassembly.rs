//! What an independent disassembler sees at every site.

use anyhow::{Result, bail, ensure};
use iced_x86::{
    Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter, MemorySizeOptions, Mnemonic,
};
use vmi_abi::{Class, Op};

use super::run::{Context, Outcome, Test};
use crate::elf::{Elf, Placed};

pub(super) const TESTS: &[Test] =
    &[Test { name: "disassembly::every_site_is_one_instruction", run: every_site_is_one_instruction }];

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
        let is_its = elf.function_at(target).is_some_and(|function| function.is(&format!("native::{op}")));
        ensure!(is_its, "{op}: it calls {function} at {target:#x}");
        return Ok(());
    }
    let own = text.iter().position(|byte| !PREFIXES.contains(byte)).unwrap_or(text.len());
    ensure!(own == 0 || text.len() == 5, "{op}: {text:02x?} is filled up without need");
    let (found, expected) = (written(&instruction), op.native_form().replace(' ', ""));
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
