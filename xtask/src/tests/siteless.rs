//! Code that may run in the middle of an edit holds no site, nor does what it calls.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use iced_x86::{Decoder, DecoderOptions, FlowControl, OpKind};

use super::run::{Context, Outcome, Test};
use crate::elf::Elf;
use crate::image::{Profile, Target};

pub(super) const TESTS: &[Test] =
    &[Test { name: "siteless::what_runs_during_an_edit_holds_no_site", run: no_site_is_reached }];

/// Where such code is entered: the handler of exceptions, the writer of text, and the patcher.
const ROOTS: [&str; 7] = [
    "trap::on_exception",
    "platform::SamplePlatform::write",
    "platform::SamplePlatform::edit",
    "patch::plan::Plan::validate",
    "patch::edit::Validated::write",
    "patch::edit::Edited::write_back",
    "fixup::landing",
];

/// In a build without optimisation every function stands by itself, and so shows whom it calls.
fn no_site_is_reached(context: &mut Context) -> Result<Outcome> {
    let elf = Elf::read(&context.image_for(Target::BareMetal, Profile::Dev)?)?;
    let calls = calls(&elf)?;
    let sited: BTreeMap<u64, u64> = elf
        .sites()
        .filter_map(|placed| Some((elf.function_at(placed.address)?.range.start, placed.address)))
        .collect();
    for root in ROOTS {
        // The method of a trait stands apart from the type in a name.
        let (own, method) = root.rsplit_once("::").unwrap_or(("", root));
        let entries = elf
            .functions()
            .iter()
            .filter(|function| function.is(root) || function.is(own) && function.is(method));
        let mut open: Vec<u64> = entries.map(|function| function.range.start).collect();
        ensure!(!open.is_empty(), "there is no function {root}");
        let mut seen: BTreeSet<u64> = open.iter().copied().collect();
        while let Some(start) = open.pop() {
            let name = elf.function_at(start).map_or("?", |function| &function.name);
            ensure!(
                !sited.contains_key(&start),
                "{root} reaches {name}, with a site at {:#x}",
                sited[&start]
            );
            for target in calls.get(&start).into_iter().flatten() {
                if seen.insert(*target) {
                    open.push(*target);
                }
            }
        }
    }
    Ok(Outcome::Passed)
}

/// Returns, per function, the functions it calls or jumps to directly.
fn calls(elf: &Elf) -> Result<BTreeMap<u64, BTreeSet<u64>>> {
    let mut calls = BTreeMap::<u64, BTreeSet<u64>>::new();
    for function in elf.functions().iter().filter(|function| !function.range.is_empty()) {
        let range = function.range.clone();
        let text = elf.loaded(range.start, (range.end - range.start) as usize)?;
        for instruction in &mut Decoder::with_ip(64, text, range.start, DecoderOptions::NONE) {
            let branch = matches!(
                instruction.flow_control(),
                FlowControl::Call | FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch
            );
            if branch && instruction.op0_kind() == OpKind::NearBranch64 {
                let target = instruction.near_branch_target();
                if let Some(callee) =
                    elf.function_at(target).filter(|callee| callee.range.start != range.start)
                {
                    calls.entry(range.start).or_default().insert(callee.range.start);
                }
            }
        }
    }
    Ok(calls)
}
