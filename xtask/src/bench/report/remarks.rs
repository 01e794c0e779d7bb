//! What has to be said of the figures: differences with their causes, and what was skipped.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::number::{count, difference, list, number};
use super::section::{Section, scrolling};
use crate::bench::differences::{Difference, compared};
use crate::bench::document::{Document, Figure};
use crate::bench::notes::calls;
use crate::bench::skipped::by_reason;
use crate::bench::unique::unique;

/// Draws the section of the differences.
pub(super) fn differences(document: &Document) -> Option<Section> {
    let compared_here: usize = document.hosts.iter().map(|host| compared(host).count()).sum();
    if compared_here == 0 {
        return None;
    }
    // One row for the same difference in several surroundings, phases, and hosts.
    let mut rows: BTreeMap<_, Vec<(&str, &Figure)>> = BTreeMap::new();
    for host in &document.hosts {
        for pair in compared(host).filter(Difference::is_real) {
            let Difference { native, bare, .. } = pair;
            let change = format!(
                "{} (native {}, bare {})",
                difference(pair.added()),
                number(native.instructions.least),
                number(bare.instructions.least)
            );
            let cause = native.cause.as_deref().unwrap_or_default();
            rows.entry((&*native.name, change, cause)).or_default().push((&host.host, native));
        }
    }
    let about = html! { p {
        (count(compared_here, "native figure", "native figures")) " of leaf ops, each held against its \
            bare instruction in the same surroundings and phase."
        @if rows.is_empty() { " There is no difference." }
        @if let Some(calls) = calls(document) { " " (calls) }
    } };
    let body = html! { @if !rows.is_empty() { (scrolling("Differences", &html! {
        table.plain {
            thead { tr {
                @for title in ["op", "instructions", "where", "cause"] { th scope="col" { (title) } }
            } }
            tbody { @for ((name, change, cause), figures) in &rows { tr {
                th scope="row" { code { (name) } }
                td { (change) }
                td { (place(figures)) }
                td { @if cause.is_empty() { strong { "no cause is known" } } @else { (cause) } }
            } } }
        }
    })) } };
    Some(Section { id: "differences", title: "Differences and their causes", about, body })
}

/// Says where a difference is: surroundings, phases, hosts.
fn place(figures: &[(&str, &Figure)]) -> Markup {
    let surroundings = unique(figures.iter().map(|(_, figure)| &*figure.surrounding));
    let phases = unique(figures.iter().map(|(_, figure)| &*figure.phase));
    let hosts = unique(figures.iter().map(|(host, _)| *host));
    html! { (list(&surroundings)) "; " (list(&phases)) "; on " (list(&hosts)) }
}

/// Draws the section of what was skipped: the reasons that hold on the same hosts together.
pub(super) fn skipped(document: &Document) -> Option<Section> {
    let skips = by_reason(document);
    if skips.is_empty() {
        return None;
    }
    let body = html! { @for on_same in skips.chunk_by(|one, next| one.hosts == next.hosts) {
        h3 { "On " (list(&on_same[0].hosts)) }
        dl.reasons { @for skip in on_same {
            div {
                dt { (with_code(skip.reason)) }
                dd { @for (index, name) in skip.names.iter().enumerate() {
                    @if index > 0 { ", " } code { (name) }
                } }
            }
        } }
    } };
    let about = html! { p { "What could not be measured on a host, or not in every way, and why." } };
    Some(Section { id: "skipped", title: "Skipped", about, body })
}

/// Draws what stands between backticks as code.
fn with_code(text: &str) -> Markup {
    html! { @for (index, part) in text.split('`').enumerate() {
        @if index % 2 == 1 { code { (part) } } @else { (part) }
    } }
}
