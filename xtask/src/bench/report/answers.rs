//! The answers that a kernel's author asks for first.

use maud::{Markup, html};

use super::number::{count, difference, list, number};
use super::view::{figure, library, many};
use crate::bench::differences::{Difference, compared, is_leaf};
use crate::bench::document::{Document, Figure, HostFigures};
use crate::bench::init::cost_of_a_site;
use crate::bench::unique::unique;

/// A figure in large print, and what it is.
struct Answer {
    question: &'static str,
    /// The figure and its unit; none where nothing of the kind was measured.
    figure: Option<(String, &'static str)>,
    about: Markup,
}

/// Draws the answers.
pub(super) fn answers(document: &Document) -> Markup {
    let answers = [natively(document), hypercall(document), clock(document), init(document)];
    html! {
        ul.answers aria-label="The answers" { @for answer in answers {
            li {
                h2 { (answer.question) }
                @match &answer.figure {
                    Some((figure, unit)) => p.value.long[figure.len() > 6] {
                        b { (figure) } " " span { (unit) }
                    },
                    None => p.value.absent { "not measured" },
                }
                p { (answer.about) }
            }
        } }
    }
}

fn natively(document: &Document) -> Answer {
    let hosts: Vec<&HostFigures> = document.hosts.iter().filter(|host| !host.includes_host).collect();
    let leaf_ops = |host| compared(host).filter(|pair| is_leaf(&pair.native.name));
    let pairs: Vec<Difference<'_>> = hosts.iter().flat_map(|host| leaf_ops(host)).collect();
    let ops = unique(pairs.iter().map(|pair| &*pair.native.name));
    let phases = unique(pairs.iter().map(|pair| &*pair.native.phase));
    let dearer = unique(pairs.iter().filter(|pair| pair.is_real()).map(|pair| &*pair.native.name));
    let added = || pairs.iter().filter(|pair| pair.is_real()).map(Difference::added);
    let [least, most] = [added().reduce(f64::min), added().reduce(f64::max)].map(Option::unwrap_or_default);
    let names: Vec<&str> =
        hosts.iter().filter(|host| leaf_ops(host).next().is_some()).map(|host| &*host.host).collect();
    // What most of them do is the answer; the others are named with it.
    let figure = if dearer.len() * 2 < ops.len() {
        difference(0.0)
    } else {
        format!("{} to {}", difference(least), difference(most))
    };
    Answer {
        question: "What does a leaf op add natively?",
        figure: (!pairs.is_empty()).then_some((figure, "instructions")),
        about: html! {
            @if !pairs.is_empty() {
                (ops.len() - dearer.len()) " of " (count(ops.len(), "op", "ops")) " cost exactly the bare instruction ("
                (count(pairs.len(), "figure", "figures")) "; " (list(&phases)) "; on " (list(&names)) ")."
                @if !dearer.is_empty() {
                    " " (list(&dearer)) ": "
                    a href="#differences" { (difference(least)) " to " (difference(most)) ", with the cause" } "."
                }
            }
        },
    }
}

fn hypercall(document: &Document) -> Answer {
    let name = "exit::hypercall";
    let of = |host: &HostFigures| {
        let (ours, bare) = (library(host, name)?, figure(host, name, "bare", "loop")?);
        Some((host.host.clone(), ours.instructions.least, bare.instructions.least))
    };
    let figures: Vec<(String, f64, f64)> = document.hosts.iter().filter_map(of).collect();
    let most = figures.iter().map(|(_, ours, bare)| ours - bare).max_by(|a, b| a.abs().total_cmp(&b.abs()));
    Answer {
        question: "What does the library add to a hypercall?",
        figure: most.map(|most| (difference(most), "instructions")),
        about: html! {
            @for (index, (host, ours, bare)) in figures.iter().enumerate() {
                @if index > 0 { "; " } (number(*ours)) " against " (number(*bare)) " by hand on " (host)
            }
            @if !figures.is_empty() { ", host kernel and monitor included." }
        },
    }
}

fn clock(document: &Document) -> Answer {
    // What a hypervisor's clock costs is asked first.
    let with_host = document.hosts.iter().filter(|host| host.includes_host);
    let found = with_host.chain(&document.hosts).find_map(|host| Some((host, read(host)?)));
    // Of a direct call, the call itself is not the clock's.
    let alone = found.and_then(|(host, read)| figure(host, &read.name, "direct", "loop"));
    let alone = alone.map(|call| call.instructions.least - 1.0);
    let whole = found.map(|(_, read)| read.instructions.least);
    Answer {
        question: "What does it cost to read the clock?",
        figure: alone.or(whole).map(|least| (number(least), "instructions")),
        about: html! { @if let Some((host, read)) = found {
            code { (read.name) } " on " (host.host)
            @if alone.is_some() {
                ", from its entry to its " code { "ret" } "; " (number(read.instructions.least)) " by its site in a loop"
            }
            @if let Some(exits) = exits(document, &read.name) { ", with " (count(exits as usize, "exit", "exits")) }
            @if let Some(tsc) = library(host, "clock::tsc").filter(|tsc| tsc.name != read.name) {
                "; the bare time-stamp counter costs " (number(tsc.instructions.least))
            }
            "."
        } },
    }
}

/// Returns the exits of a turn, on the host where they were counted.
fn exits(document: &Document, name: &str) -> Option<f64> {
    document.hosts.iter().find_map(|host| library(host, name)?.exits)
}

/// Returns the figure of the dearest clock that a host lets its guest read without asking.
fn read(host: &HostFigures) -> Option<&Figure> {
    ["clock::page", "time::now_ns", "clock::tsc"].into_iter().find_map(|name| library(host, name))
}

fn init(document: &Document) -> Answer {
    let natively = document.hosts.iter().find_map(|host| Some((host, ends(host, "init::native")?)));
    let edited = document.hosts.iter().find_map(|host| {
        Some((host, cost_of_a_site(host, "init::validate")?, cost_of_a_site(host, "init::edit")?))
            .filter(|_| host.includes_host)
    });
    Answer {
        question: "What do more sites cost natively at boot?",
        figure: natively.map(|(_, [(_, least), (_, most)])| (difference(most - least), "instructions")),
        about: html! {
            @if let Some((host, [(few, least), (many, most)])) = natively {
                code { "vmi::init" } " costs " (number(least)) " with " (number(few)) " sites and " (number(most))
                " with " (number(many)) ", on " (host.host) "."
            }
            @if let Some((host, validated, edited)) = edited {
                " On " (host.host) " a site costs " (number(validated)) " to validate, and " (number(edited))
                " with its editing."
            }
        },
    }
}

/// Returns the fewest sites and the most with which something was measured, and its instructions with each.
fn ends(host: &HostFigures, name: &str) -> Option<[(f64, f64); 2]> {
    let of = host.figures.iter().filter(|figure| figure.name == name);
    let mut costs: Vec<(f64, f64)> =
        of.filter_map(|figure| Some((many(&figure.surrounding)?, figure.instructions.least))).collect();
    costs.sort_by(|one, other| one.0.total_cmp(&other.0));
    let [few, .., most] = costs[..] else { return None };
    Some([few, most])
}
