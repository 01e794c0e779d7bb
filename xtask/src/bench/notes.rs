//! What is to be known of the figures and stands in no table.

use std::collections::BTreeMap;

use vmi_abi::{Class, Op};

use super::differences::{Difference, bare, compared};
use super::document::{Document, HostFigures};
use super::number::number;
use super::skipped::{Skips, by_reason};

/// Says in sentences where a native op is not its bare instruction, what records take, and what was skipped.
pub(super) fn notes(document: &Document) -> Vec<String> {
    let mut notes = natively(document);
    let record = |name| document.bytes(name, "record");
    if let (Some(site), Some(fixup)) = (record("site"), record("fixup")) {
        notes.push(format!("The record of a site is {site} bytes, that of a fixup {fixup}."));
    }
    notes.extend(skipped(document));
    notes
}

/// Says what ops cost natively beside their bare instructions: where the guest alone is counted, and in the rig.
fn natively(document: &Document) -> Vec<String> {
    let (rig, guests): (Vec<_>, Vec<_>) = document.hosts.iter().partition(|host| host.includes_host);
    let mut notes = side_by_side(
        &guests,
        "Natively a leaf op costs what its bare instruction costs, in every surrounding and phase",
    );
    notes.extend(calls(document));
    notes.extend(side_by_side(
        &rig,
        "With the host's part counted too, leaf ops and exits cost natively what the bare instruction costs, within one",
    ));
    notes
}

/// Says what is to be known of ops that are calls natively too.
pub(super) fn calls(document: &Document) -> Option<String> {
    let is_call = |name: &str| Op::named(name).is_some_and(|op| op.class() == Class::Call);
    let guests = document.hosts.iter().filter(|host| !host.includes_host);
    let figures = guests.flat_map(|host| host.figures.iter().map(move |figure| (host, figure)));
    let natively = figures.filter(|(_, figure)| figure.variant == "native" && is_call(&figure.name));
    let mut names: Vec<&str> = Vec::new();
    for (host, native) in natively {
        let is_dearer =
            bare(host, native).is_some_and(|bare| native.instructions.least > bare.instructions.least);
        if is_dearer && !names.contains(&&*native.name) {
            names.push(&native.name);
        }
    }
    (!names.is_empty()).then(|| {
        format!(
            "A call op is a call natively too; it costs more than the bare instructions where its function also saves, \
             looks and puts back: {}.",
            names.join(", ")
        )
    })
}

fn side_by_side(hosts: &[&HostFigures], claim: &str) -> Vec<String> {
    let mut held = 0;
    // By cause and op: surroundings, what the op costs there, and the instruction.
    let mut different: BTreeMap<&str, BTreeMap<&str, Vec<String>>> = BTreeMap::new();
    for difference in hosts.iter().flat_map(|host| compared(host)) {
        held += 1;
        if difference.is_real() {
            let Difference { native, bare, .. } = difference;
            let cause = native.cause.as_deref().unwrap_or("the cause is not known");
            let [cost, limit] = [native, bare].map(|figure| number(figure.instructions.least));
            let place = format!("{} {cost} for {limit}", native.surrounding);
            let places = different.entry(cause).or_default().entry(&native.name).or_default();
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    if held == 0 {
        return Vec::new();
    }
    let ending = if different.is_empty() { "." } else { ", but for" };
    let mut notes = vec![format!("{claim}: {held} figures held side by side{ending}")];
    for (cause, ops) in different {
        notes.extend(ops.iter().map(|(op, places)| format!("  {op}: {}", places.join(", "))));
        notes.push(format!("  because {cause}."));
    }
    notes
}

/// Says what was skipped, where and why; a line for all that have the same reason on the same hosts.
fn skipped(document: &Document) -> Vec<String> {
    let sentence = |Skips { hosts, reason, names }: Skips<'_>| {
        format!("Skipped on {}: {}: {reason}", hosts.join(", "), names.join(", "))
    };
    by_reason(document).into_iter().map(sentence).collect()
}
