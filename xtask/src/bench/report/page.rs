//! The page as a whole.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::number::{count, list};
use super::section::Section;
use super::{answers, bytes, costs, method, ops, peers, remarks, timings};
use crate::bench::document::Document;

/// How the page looks.
const STYLE: &str = include_str!("report.css");

/// Nothing may be loaded or run: the page proves by this that it needs neither script nor network.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// Makes the report of a document: one HTML file that holds all that it needs.
pub(crate) fn html(document: &Document) -> String {
    let sections: Vec<Section> = [
        ops::section(document),
        costs::exits(document),
        costs::clocks(document),
        costs::paging(document),
        costs::init(document),
        bytes::section(document),
        timings::section(document),
        Some(peers::section(document)),
        remarks::differences(document),
        remarks::skipped(document),
        Some(method::section(document)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "VMI: what each path costs" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { (head(document)) }
                main {
                    (answers::answers(document))
                    nav aria-label="Contents" { ul { @for section in &sections {
                        li { a href=(format!("#{}", section.id)) { (section.title) } }
                    } } }
                    @for section in &sections { (section.draw()) }
                }
                footer { p { "Made by " code { "cargo xtask bench" } " from the image \
                    " code.hash { (document.image_sha256) } "." } }
            }
        }
    };
    page.into_string()
}

fn head(document: &Document) -> Markup {
    let hosts: Vec<&str> = document.hosts.iter().map(|host| &*host.host).collect();
    let image: String = document.image_sha256.chars().take(12).collect();
    let figures = document.hosts.iter().map(|host| host.figures.len()).sum();
    html! {
        p.name { "VMI" }
        h1 { "What each path costs" }
        p.lead {
            "VMI is the layer of privileged operations with which one kernel binary runs at full speed on \
             bare hardware and on a hypervisor. This is what each of its paths costs, in instructions, \
             exits and bytes, beside what the same costs when it is written by hand."
        }
        p.source {
            (count(figures, "figure", "figures")) @if !hosts.is_empty() { " on " (list(&hosts)) }
            " · image " code title=(document.image_sha256) { (image) }
        }
        @if !document.complete {
            p.incomplete role="note" {
                strong { "Incomplete. " } "The run was interrupted or a host was missing: figures that are \
                    not here were not measured."
            }
        }
    }
}
