//! What has to be said of the figures: differences with their causes, and what was skipped.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::number::{count, difference, list, number};
use super::section::{Section, scrolling};
use super::view::unique;
use crate::bench::differences::{Difference, compared};
use crate::bench::document::{Document, Figure, HostFigures};

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

/// Draws the section of what was skipped.
pub(super) fn skipped(document: &Document) -> Option<Section> {
    let hosts = || document.hosts.iter().filter(|host| !host.skipped.is_empty());
    let all: usize = hosts().map(|host| host.skipped.len()).sum();
    if all == 0 {
        return None;
    }
    let body = html! { @for host in hosts() { (skipped_on(host)) } };
    let about = html! { p { (count(all, "benchmark", "benchmarks")) " could not be measured on a host, for \
    these reasons." } };
    Some(Section { id: "skipped", title: "Skipped", about, body })
}

fn skipped_on(host: &HostFigures) -> Markup {
    let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for skipped in &host.skipped {
        names.entry(&skipped.reason).or_default().push(&skipped.name);
    }
    html! {
        h3 { "On " (host.host) }
        dl.reasons { @for (reason, names) in names {
            div {
                dt { (reason) }
                dd { @for (index, name) in names.into_iter().enumerate() {
                    @if index > 0 { ", " } code { (name) }
                } }
            }
        } }
    }
}
