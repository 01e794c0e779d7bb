//! What leaves the CPU's own speed: exits, clocks, page tables and `vmi::init`, hosts and variants side by
//! side.

use maud::{Markup, html};

use super::chart::{Bar, Chart, Group, scale_of};
use super::number::number;
use super::section::Section;
use super::table;
use super::view::{figure, many, names, names_anywhere, short, surroundings, variants};
use crate::bench::document::{Document, Kind};
use crate::bench::init::A_SITE;

/// Draws the section of the exits.
pub(super) fn exits(document: &Document) -> Option<Section> {
    let about = html! { p {
        "One way to the hypervisor a line. The instructions are those of the guest, the host's kernel and \
         its monitor together, of an emulated CPU: not nanoseconds. " b { "Exits" } " are counted by \
             vmi-run in a run of its own; a batch is one exit for many calls, and " b { "each" } " is one \
                 of them."
    } };
    section(document, Kind::Exit, "exits", "Exits", about)
}

/// Draws the section of the clocks.
pub(super) fn clocks(document: &Document) -> Option<Section> {
    let about = html! { p {
        "One reading of each time source. A reading without an exit costs the same under every load; one \
         with an exit costs what the exit costs."
    } };
    section(document, Kind::Clock, "clocks", "Time sources", about)
}

/// Draws the section of the page tables.
pub(super) fn paging(document: &Document) -> Option<Section> {
    let about = html! { p {
        "Updates of page-table entries, a switch of the address space, and a full flush; \
         " b { "each" } " is one entry of many."
    } };
    section(document, Kind::Paging, "paging", "Page tables", about)
}

/// Draws the section of `vmi::init`.
pub(super) fn init(document: &Document) -> Option<Section> {
    let about = html! { p {
        "What " code { "vmi::init" } " costs in an image with so many sites, and what a site costs to \
         check and to edit. Natively nothing is edited and no record is read, so the number of sites makes \
         no difference."
    } };
    section(document, Kind::Init, "init", "Initialization", about)
}

fn section(
    document: &Document,
    kind: Kind,
    id: &'static str,
    title: &'static str,
    about: Markup,
) -> Option<Section> {
    let groups: Vec<Group> =
        names_anywhere(document, kind).into_iter().map(|name| group(document, name)).collect();
    if groups.is_empty() {
        return None;
    }
    let scale = scale_of(&groups);
    let has = |column: usize| {
        groups
            .iter()
            .flat_map(|group| &group.bars)
            .any(|bar| bar.more.get(column).is_some_and(|text| !text.is_empty()))
    };
    let columns: Vec<(usize, &str)> =
        ["each", "exits"].into_iter().enumerate().filter(|(column, _)| has(*column)).collect();
    let groups: Vec<Group> = groups.iter().map(|group| only(group, &columns)).collect();
    let titles: Vec<&str> = columns.iter().map(|(_, title)| *title).collect();
    let body = html! {
        div.wide {
            (Chart {
                caption: html! {
                    "Instructions a turn" @if scale.is_logarithmic() { ", logarithmic scale" }
                },
                columns: ("host · variant", "instructions", &titles),
                scale: &scale,
                groups: &groups,
            }.draw())
        }
        @for host in document.hosts.iter().filter(|host| !names(host, kind).is_empty()) {
            (table::all(host, kind))
        }
    };
    Some(Section { id, title, about, body })
}

/// Makes the bars of a benchmark: hosts, and on each its variants.
fn group(document: &Document, name: &str) -> Group {
    let mut bars = Vec::new();
    for host in &document.hosts {
        let all = variants(host, name);
        // Where a backend serves, what the library costs is that; the native figure is in the table of all.
        let is_outdone = |variant: &&str| *variant == "native" && all.contains(&"backend");
        for variant in all.iter().copied().filter(|variant| !is_outdone(variant)) {
            let of = host.figures.iter().filter(|figure| figure.name == name && figure.variant == variant);
            for surrounding in surroundings(of) {
                let Some(of) = figure(host, name, variant, surrounding) else { continue };
                let value = of.instructions.least;
                let mut label = format!("{} · {variant}", host.host);
                match surrounding.split_once('_') {
                    _ if surrounding == "loop" => {}
                    _ if surrounding == A_SITE => label.push_str(" · a site"),
                    Some((what, many)) => label.push_str(&format!(" · {many} {what}")),
                    None => label.push_str(&format!(" · {surrounding}")),
                }
                let many = many(name).or_else(|| many(surrounding)).filter(|many| *many > 1.0);
                // Natively nothing is done to each site.
                let many = many.filter(|_| name != "init::native");
                bars.push(Bar {
                    label,
                    variant: variant.to_owned(),
                    value,
                    range: None,
                    text: number(value),
                    more: vec![
                        many.map(|many| number(value / many)).unwrap_or_default(),
                        of.exits.map(number).unwrap_or_default(),
                    ],
                });
            }
        }
    }
    Group { title: short(name).replace('_', " "), bars }
}

/// Leaves only some columns of the bars.
fn only(group: &Group, columns: &[(usize, &str)]) -> Group {
    let keep = |bar: &Bar| Bar {
        more: columns.iter().map(|(column, _)| bar.more[*column].clone()).collect(),
        ..bar.clone()
    };
    Group { title: group.title.clone(), bars: group.bars.iter().map(keep).collect() }
}
