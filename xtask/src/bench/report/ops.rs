//! The ops: a small chart for each, its variants side by side, and what each variant adds to the bare
//! instruction.

use maud::{Markup, html};
use vmi_abi::{Class, Op};

use super::chart::{Bar, Chart, Group, scale_of};
use super::number::{count, number};
use super::scale::Scale;
use super::section::{Section, folded};
use super::table;
use super::variant::{VARIANTS, class};
use super::view::{SURROUNDINGS, bare, figure, names, names_anywhere, short, variants};
use crate::bench::differences::is_leaf;
use crate::bench::document::{Document, HostFigures, Kind};
use crate::bench::unique::unique;

/// Draws the section, if any op was measured.
pub(super) fn section(document: &Document) -> Option<Section> {
    if names_anywhere(document, Kind::Op).is_empty() {
        return None;
    }
    let hosts = || document.hosts.iter().filter(|host| !names(host, Kind::Op).is_empty());
    let present = |name: &str| hosts().any(|host| host.figures.iter().any(|figure| figure.variant == name));
    let about = html! {
        p {
            "Every op, in every way in which it could be done: instructions a turn, without those of the \
             loop. The bar is the op in a " b { "loop" } "; the columns beside it are the same op in a \
                 small " b { "function" } " called in that loop, and in one in which 13 values are \
                     " b { "live" } " across it. All charts of a host have the same scale."
        }
    };
    let body = html! {
        dl.legend {
            @for variant in VARIANTS.iter().filter(|variant| present(variant.name)) {
                div class=(class(variant.name)) { dt { (variant.name) } dd { (variant.about) } }
            }
        }
        @if let Some(host) = hosts().find(|host| !host.includes_host) { (added(host)) }
        @for (index, host) in hosts().enumerate() { (on_host(document, host, index == 0)) }
    };
    Some(Section { id: "ops", title: "Ops", about, body })
}

/// Draws what the variants add to the bare instruction, over all leaf ops.
fn added(host: &HostFigures) -> Markup {
    let added = |variant: &str| -> Vec<f64> {
        let leaves = names(host, Kind::Op).into_iter().filter(|name| is_leaf(name));
        let of = leaves.filter_map(|name| figure(host, name, variant, "loop"));
        of.filter_map(|of| Some(of.instructions.least - bare(host, of)?.instructions.least)).collect()
    };
    let others = VARIANTS.iter().map(|variant| variant.name).filter(|name| *name != "bare");
    let bars: Vec<Bar> = others.filter_map(|name| Bar::of_many(name, added(name))).collect();
    if bars.is_empty() {
        return html! {};
    }
    let groups = [Group { title: String::new(), bars }];
    html! {
        h3 { "What a form adds" }
        div.wide {
            (Chart {
                caption: html! { "Instructions beside the bare one, in a loop on " (host.host) ": the \
                    median over the leaf ops, least and most" },
                columns: ("variant", "median", &["least", "most", "ops"]),
                scale: &scale_of(&groups),
                groups: &groups,
            }.draw())
        }
    }
}

fn on_host(document: &Document, host: &HostFigures, is_open: bool) -> Markup {
    let names = names(host, Kind::Op);
    let groups: Vec<Group> = names.iter().map(|name| group(host, name)).collect();
    let scale = scale_of(&groups);
    let modules = unique(names.iter().map(|name| module(name)));
    let summary = html! {
        h3 { "On " (host.host) } " "
        small { (host.about) "; \
            " (count(names.len(), "op", "ops")) @if let Some(same) = same(document, host) { "; " (same) } }
    };
    let body = html! {
        @if host.includes_host { p.about { "These figures include what the host's kernel and monitor do." } }
        @for module_name in &modules {
            h4 { (module_name) }
            div.cards {
                @for group in groups.iter().filter(|group| module(&group.title) == *module_name) {
                    (card(document, host, group, &scale))
                }
            }
        }
        (table::all(host, Kind::Op))
    };
    folded(&summary, is_open, &body)
}

/// Makes the bars of an op.
fn group(host: &HostFigures, name: &str) -> Group {
    let bars = variants(host, name).into_iter().filter_map(|variant| {
        let [first, rest @ ..] = SURROUNDINGS
            .map(|surrounding| figure(host, name, variant, surrounding).map(|of| of.instructions.least));
        let value = first.or_else(|| rest.into_iter().flatten().next())?;
        Some(Bar {
            label: variant.to_owned(),
            variant: variant.to_owned(),
            value,
            range: None,
            text: first.map(number).unwrap_or_default(),
            more: rest.iter().map(|value| value.map(number).unwrap_or_default()).collect(),
        })
    });
    Group { title: name.to_owned(), bars: bars.collect() }
}

fn card(document: &Document, host: &HostFigures, group: &Group, scale: &Scale) -> Markup {
    let bytes = document.bytes(&group.title, "site");
    let phases = phases(host, &group.title);
    let bars = [Group { title: String::new(), bars: group.bars.clone() }];
    html! {
        div.card {
            (Chart {
                caption: html! {
                    code { (short(&group.title)) }
                    @if let Some(bytes) = bytes { " " small {
                        (count(bytes as usize, "byte", "bytes")) @if let Some(kind) = kind_of_site(&group.title) { ", a " (kind) }
                    } }
                },
                columns: ("variant", "loop", &["func.", "live"]),
                scale,
                groups: &bars,
            }.draw())
            @for difference in phases { p.note { (difference) } }
        }
    }
}

/// Names the class of an op whose site is more than an instruction of its own registers.
fn kind_of_site(name: &str) -> Option<&'static str> {
    match Op::named(name)?.class() {
        Class::Call => Some("call"),
        Class::Jump => Some("jump"),
        _ => None,
    }
}

/// Says where an op costs something else in another phase.
fn phases(host: &HostFigures, name: &str) -> Vec<String> {
    let mut differences = Vec::new();
    for variant in variants(host, name) {
        for surrounding in SURROUNDINGS {
            let of: Vec<(&str, String)> = host
                .figures
                .iter()
                .filter(|figure| {
                    figure.name == name && figure.variant == variant && figure.surrounding == surrounding
                })
                .map(|figure| (&*figure.phase, number(figure.instructions.least)))
                .collect();
            if of.windows(2).any(|pair| pair[0].1 != pair[1].1) {
                let of: Vec<String> = of.iter().map(|(phase, cost)| format!("{phase} {cost}")).collect();
                differences.push(format!("{variant}, {surrounding}: {}", of.join(", ")));
            }
        }
    }
    differences
}

/// Says how the figures of a host compare to those of the first one, where both count only the guest.
fn same(document: &Document, host: &HostFigures) -> Option<String> {
    let first = document.hosts.first().filter(|first| first.host != host.host)?;
    if first.includes_host || host.includes_host {
        return None;
    }
    let ops = host.figures.iter().filter(|figure| Kind::of(&figure.name) == Kind::Op);
    let both = ops.filter_map(|figure| {
        let [name, variant, surrounding, phase] = figure.key();
        Some(figure.instructions.least == first.figure(name, variant, surrounding, phase)?.instructions.least)
    });
    let (mut equal, mut different) = (0, 0);
    for is_equal in both {
        *(if is_equal { &mut equal } else { &mut different }) += 1;
    }
    match (equal, different) {
        (0, 0) => None,
        (equal, 0) => Some(format!("all {} as on {}", count(equal, "figure", "figures"), first.host)),
        (equal, different) => {
            Some(format!("{} as on {}, {different} others", count(equal, "figure", "figures"), first.host))
        }
    }
}

fn module(name: &str) -> &str {
    name.split_once("::").map_or("other", |(module, _)| module)
}
