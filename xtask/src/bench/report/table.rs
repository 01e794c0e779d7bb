//! Tables of all figures, in which phases that cost the same share a row.

use maud::{Markup, html};

use super::number::{count, number};
use super::section::{folded, scrolling};
use super::view::{names, surroundings, variants};
use crate::bench::document::{Counted, Figure, HostFigures, Kind};
use crate::bench::unique::unique;

/// Figures of one benchmark and variant, in the same phases.
struct Row<'a> {
    name: &'a str,
    variant: &'a str,
    phases: Vec<&'a str>,
    /// A figure for each surrounding.
    figures: Vec<Option<&'a Figure>>,
}

impl Row<'_> {
    fn exits(&self) -> Option<f64> {
        self.figures.iter().flatten().find_map(|figure| figure.exits)
    }
}

/// Shows all figures of a kind that a host has, folded away.
pub(super) fn all(host: &HostFigures, kind: Kind) -> Markup {
    let places = surroundings(host.figures.iter().filter(|figure| Kind::of(&figure.name) == kind));
    let rows: Vec<Row<'_>> =
        names(host, kind).into_iter().flat_map(|name| rows(host, name, &places)).collect();
    let figures =
        rows.iter().flat_map(|row| row.figures.iter().flatten().map(move |_| row.phases.len())).sum();
    let has_exits = rows.iter().any(|row| row.exits().is_some());
    let title = format!("All figures of {}", host.host);
    let body = html! {
        table.figures {
            thead { tr {
                th scope="col" { "name" } th scope="col" { "variant" } th scope="col" { "phase" }
                @for place in &places { th.figure scope="col" { (place.replace('_', " ")) } }
                @if has_exits { th.figure scope="col" { "exits" } }
            } }
            tbody { @for row in &rows {
                tr {
                    th scope="row" { (row.name) } td { (row.variant) } td { (row.phases.join(" · ")) }
                    @for figure in &row.figures {
                        td.figure { @if let Some(figure) = figure { (counted(figure.instructions)) } }
                    }
                    @if has_exits {
                        td.figure { (row.exits().map(number).unwrap_or_default()) }
                    }
                }
            } }
        }
    };
    let summary = html! { (title) " " small { (count(figures, "figure", "figures")) ", with mean and most \
    where they differ" } };
    folded(&summary, false, &scrolling(&title, &body))
}

/// Puts the figures of one benchmark into rows.
fn rows<'a>(host: &'a HostFigures, name: &'a str, places: &[&str]) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = Vec::new();
    for variant in variants(host, name) {
        let of =
            || host.figures.iter().filter(move |figure| figure.name == name && figure.variant == variant);
        for phase in unique(of().map(|figure| &*figure.phase)) {
            let figures: Vec<Option<&Figure>> =
                places.iter().map(|surrounding| host.figure(name, variant, surrounding, phase)).collect();
            let same = |row: &&mut Row<'_>| {
                row.variant == variant
                    && row.figures.iter().zip(&figures).all(|(a, b)| {
                        a.map(|figure| (figure.instructions, figure.exits))
                            == b.map(|figure| (figure.instructions, figure.exits))
                    })
            };
            match rows.iter_mut().find(same) {
                Some(row) => row.phases.push(phase),
                None => rows.push(Row { name, variant, phases: vec![phase], figures }),
            }
        }
    }
    rows
}

/// Writes a figure, and its spread if it has any.
fn counted(counted: Counted) -> Markup {
    let [least, mean, most] = [counted.least, counted.mean, counted.most].map(number);
    html! {
        (least)
        @if mean != least || most != least { " " small { "mean " (mean) ", most " (most) } }
    }
}
