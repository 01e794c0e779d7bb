//! Bytes of code: how long sites are, and the small function around an op in each variant.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::chart::{Bar, Chart, Group, scale_of};
use super::number::count;
use super::section::{Section, folded, scrolling};
use super::variant;
use crate::bench::document::Document;
use crate::bench::unique::unique;

/// Draws the section, if the document has sizes.
pub(super) fn section(document: &Document) -> Option<Section> {
    if document.code.is_empty() {
        return None;
    }
    let about = html! { p {
        "A site is its instruction, padded to the 5 bytes that a call needs, or as long as the instruction \
         is. Beside it lies a record, which names the place and the op; nothing reads it natively."
    } };
    let body = html! { (sites(document)) (functions(document)) (all(document)) };
    Some(Section { id: "bytes", title: "Code bytes", about, body })
}

/// Lists the lengths that sites have, and of which ops.
fn sites(document: &Document) -> Markup {
    let mut lengths: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for code in document.code.iter().filter(|code| code.part == "site") {
        lengths.entry(code.bytes).or_default().push(&code.name);
    }
    let records = document.code.iter().filter(|code| code.part == "record");
    html! {
        table.plain {
            caption { "Sites and records" }
            thead { tr { th.figure scope="col" { "bytes" } th scope="col" { "of" } } }
            tbody {
                @for (bytes, ops) in &lengths { tr {
                    td.figure { (bytes) }
                    td { (count(ops.len(), "site", "sites")) ": " span.names { (ops.join(", ")) } }
                } }
                @for record in records { tr { td.figure { (record.bytes) } td { "the record of a " (record.name) } } }
            }
        }
    }
}

/// Draws the size of the small function around an op, by variant.
fn functions(document: &Document) -> Markup {
    let mut parts = unique(document.code.iter().map(|code| &*code.part));
    parts.retain(|part| variant::VARIANTS.iter().any(|variant| variant.name == *part));
    parts.sort_by_key(|part| variant::place(part));
    let sizes = |part: &str| -> Vec<f64> {
        document.code.iter().filter(|code| code.part == part).map(|code| code.bytes as f64).collect()
    };
    let bars: Vec<Bar> = parts.into_iter().filter_map(|part| Bar::of_many(part, sizes(part))).collect();
    if bars.is_empty() {
        return html! {};
    }
    let groups = [Group { title: String::new(), bars }];
    html! { div.wide { (Chart {
        caption: html! { "Bytes of the small function around an op: the median over the ops, least and \
            most" },
        columns: ("variant", "median", &["least", "most", "ops"]),
        scale: &scale_of(&groups),
        groups: &groups,
    }.draw()) } }
}

fn all(document: &Document) -> Markup {
    let code = document.code.iter().filter(|code| code.part != "record");
    let names = unique(code.clone().map(|code| &*code.name));
    let mut parts = unique(code.map(|code| &*code.part));
    parts.sort_by_key(|part| (*part != "site", variant::place(part)));
    let body = html! { table.figures {
        thead { tr { th scope="col" { "name" } @for part in &parts { th.figure scope="col" { (part) } } } }
        tbody { @for name in names { tr {
            th scope="row" { (name) }
            @for part in &parts { td.figure { @if let Some(bytes) = document.bytes(name, part) { (bytes) } } }
        } } }
    } };
    folded(&html! { "All sizes" }, false, &scrolling("All sizes", &body))
}
