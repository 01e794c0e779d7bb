//! Host timings: ratios against the baseline of the same run, with their spread.

use maud::{Markup, html};

use super::chart::{Bar, Chart, Group, scale_of};
use super::number::ratio;
use super::section::Section;
use crate::bench::document::{Document, Timed};
use crate::bench::unique::unique;

/// Draws the section, if anything was timed.
pub(super) fn section(document: &Document) -> Option<Section> {
    if document.timed.is_empty() {
        return None;
    }
    let about = html! { p {
        "Timed with criterion in user space on the machine that ran this. A time alone says little about \
         another machine, so everything is a ratio to the baseline of the same run; the line is the \
         middle half of the samples, from quartile to quartile."
    } };
    let questions = unique(document.timed.iter().map(|timed| &*timed.question));
    let body = html! { div.cards.two { @for name in questions { (question(document, name)) } } };
    Some(Section { id: "timings", title: "Timed on this machine", about, body })
}

fn question(document: &Document, name: &str) -> Markup {
    let of = || document.timed.iter().filter(|timed| timed.question == name);
    let baseline = of().find(|timed| timed.is_baseline);
    let groups = [Group { title: String::new(), bars: of().map(bar).collect() }];
    html! {
        div.card {
            (Chart {
                caption: html! { (name) @if let Some(baseline) = baseline { " " small { "1 is \
                    " (baseline.candidate) } } },
                columns: ("candidate", "ratio", &["interval"]),
                scale: &scale_of(&groups),
                groups: &groups,
            }.draw())
            @for timed in of() { @if let Some(source) = &timed.source {
                p.note { (timed.candidate) ": " (source) }
            } }
        }
    }
}

fn bar(timed: &Timed) -> Bar {
    Bar {
        label: timed.candidate.clone(),
        variant: if timed.is_baseline { "bare".to_owned() } else { timed.candidate.clone() },
        value: timed.ratio,
        range: (timed.low < timed.high).then_some((timed.low, timed.high)),
        text: ratio(timed.ratio),
        more: vec![if timed.is_baseline {
            String::new()
        } else {
            format!("{}\u{2013}{}", ratio(timed.low), ratio(timed.high))
        }],
    }
}
