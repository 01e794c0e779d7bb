//! Published figures beside ours.

use maud::{Markup, html};

use super::number::{number, ratio};
use super::published::{EXITS, EXITS_SOURCE, FACTS};
use super::section::{Section, scrolling};
use super::view::library;
use crate::bench::document::{Document, HostFigures};

/// Draws the section.
pub(super) fn section(document: &Document) -> Section {
    let about = html! { p {
        "What others have published. Cycles of hardware and instructions of an emulated CPU are different \
         things; what can be held against each other is how much dearer one way is than another, so each \
         figure also stands in hypercalls of its own table."
    } };
    let body = html! { (exits(document)) (facts()) };
    Section { id: "published", title: "Published figures", about, body }
}

fn exits(document: &Document) -> Markup {
    let hosts: Vec<&HostFigures> =
        document.hosts.iter().filter(|host| library(host, "exit::hypercall").is_some()).collect();
    let hypercall = EXITS.iter().find(|exit| exit.ours == "exit::hypercall").map_or(1.0, |exit| exit.cycles);
    let table = html! {
        table.figures {
            thead {
                tr {
                    th scope="col" rowspan="2" { "way" }
                    th.figure scope="colgroup" colspan="2" { "kvm-unit-tests" }
                    @for host in &hosts { th.figure scope="colgroup" colspan="2" { (host.host) } }
                }
                tr {
                    th.figure scope="col" { "cycles" } th.figure scope="col" { "hypercalls" }
                    @for _ in &hosts {
                        th.figure scope="col" { "instructions" } th.figure scope="col" { "hypercalls" }
                    }
                }
            }
            tbody { @for exit in EXITS { tr {
                th scope="row" { (exit.what) }
                td.figure { (number(exit.cycles)) } td.figure { (ratio(exit.cycles / hypercall)) }
                @for host in &hosts { (ours(host, exit.ours)) }
            } } }
        }
        p.note { "Source: " (EXITS_SOURCE) "." }
    };
    scrolling("Exits as published and as counted here", &table)
}

fn ours(host: &HostFigures, name: &str) -> Markup {
    let least = |name| library(host, name).map(|figure| figure.instructions.least);
    match (least(name), least("exit::hypercall")) {
        (Some(ours), Some(hypercall)) if hypercall > 0.0 => html! {
            td.figure { (number(ours)) } td.figure { (ratio(ours / hypercall)) }
        },
        _ => html! { td.figure { "–" } td.figure { "–" } },
    }
}

fn facts() -> Markup {
    let table = html! {
        table.plain {
            thead { tr {
                th scope="col" { "question" } th scope="col" { "figure" } th scope="col" { "source" }
            } }
            tbody { @for fact in FACTS { tr {
                th scope="row" { (fact.question) } td { (fact.figure) } td { small { (fact.source) } }
            } } }
        }
    };
    scrolling("Published figures", &table)
}
