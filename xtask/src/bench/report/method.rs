//! How it was measured, on what, and with what.

use maud::{Markup, html};

use super::number::{count, list};
use super::section::{Section, scrolling};
use crate::bench::document::{Document, HostFigures};

/// Draws the section.
pub(super) fn section(document: &Document) -> Section {
    let about = html! { p { "Counted, not timed: what is counted twice is the same twice." } };
    let body = html! { (steps(document)) (hosts(document)) (versions(document)) };
    Section { id: "method", title: "Method", about, body }
}

fn steps(document: &Document) -> Markup {
    let including: Vec<&str> =
        document.hosts.iter().filter(|host| host.includes_host).map(|host| &*host.host).collect();
    html! {
        dl.method {
            div { dt { "Counter" } dd {
                "The CPU is emulated by QEMU with " code { "-icount shift=0,sleep=off" } ", under which \
                 the time-stamp counter counts instructions. The image reads it before and after a batch \
                 of turns."
            } }
            div { dt { "Turn" } dd {
                "Batches come in two lengths, 16 of each, or 4 where all take the same. The fastest of the \
                 long ones less the fastest of the short ones, divided by the turns between them, is what a \
                 turn costs: what surrounds the loop is in both. The same of an empty loop in the same \
                 surroundings is subtracted."
            } }
            div { dt { "Least" } dd {
                "Batches are shorter than a tick of the host's clock, so the fastest of them met no tick. \
                 Mean and most stand in the tables."
            } }
            @if !including.is_empty() { div { dt { "Host included" } dd {
                "On " (list(&including)) " the whole machine is emulated, with a stock Linux and its KVM \
                 as the host. Figures of these hosts are instructions of that emulated CPU, \
                 " strong { "what the host's kernel and monitor do included" } ". They are not nanoseconds \
                     of hardware, and they can be compared only where the versions below are equal."
            } } }
            div { dt { "Exits" } dd {
                "Counted by vmi-run between two marks in the guest, in a run of its own, since tracing \
                 costs instructions. Physical interrupts of the host are left out."
            } }
            div { dt { "Bytes" } dd { "Read from the image." } }
            @if !document.timed.is_empty() { div { dt { "Times" } dd { "Of this machine, and only as \
                ratios within one run." } } }
        }
    }
}

fn hosts(document: &Document) -> Markup {
    let kind = |host: &HostFigures| if host.includes_host { "guest and host" } else { "the guest alone" };
    let table = html! { table.plain {
        caption { "Hosts" }
        thead { tr {
            th scope="col" { "host" } th scope="col" { "what it \
                is" } th scope="col" { "counted" } th scope="col" { "compare only with equal" }
        } }
        tbody { @for host in &document.hosts { tr {
            th scope="row" { (host.host) } td { (host.about) } td { (kind(host)) ", \
                " (count(host.figures.len(), "figure", "figures")) }
            td { (host.depends_on.join(", ")) }
        } } }
    } };
    scrolling("Hosts", &table)
}

fn versions(document: &Document) -> Markup {
    let table = html! { table.plain {
        caption { "Versions" }
        tbody {
            @for (name, version) in &document.versions { tr { th scope="row" { (name) } td { (version) } } }
            tr { th scope="row" { "image, SHA-256" } td { code.hash { (document.image_sha256) } } }
        }
    } };
    scrolling("Versions", &table)
}
