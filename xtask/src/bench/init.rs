//! What `vmi::init` costs, by the number of sites.

use super::document::{Counted, Document, Figure, HostFigures, Kind};
use super::number::number;
use crate::image::{FEW_SITES, MANY_SITES};
use crate::table::{Cell, Colour, Table};

/// The surrounding of figures that are those of one site.
pub(crate) const A_SITE: &str = "a_site";

/// Puts what a site costs in place of what the whole calls cost, for a host whose own part in them is never twice the same.
pub(super) fn by_site(figures: &mut Vec<Figure>) {
    let (calls, mut kept): (Vec<Figure>, Vec<Figure>) =
        std::mem::take(figures).into_iter().partition(|figure| Kind::of(&figure.name) == Kind::Init);
    for few in calls.iter().filter(|figure| figure.surrounding == sites(FEW_SITES)) {
        let same = |figure: &&Figure| {
            (&figure.name, &figure.variant, &figure.phase) == (&few.name, &few.variant, &few.phase)
                && figure.surrounding == sites(MANY_SITES)
        };
        if let Some(many) = calls.iter().find(same) {
            let [few_cost, many_cost] = [few, many].map(|figure| figure.instructions);
            let instructions = Counted {
                least: slope(few_cost.least, many_cost.least),
                mean: slope(few_cost.mean, many_cost.mean),
                most: slope(few_cost.most, many_cost.most),
            };
            kept.push(Figure { surrounding: A_SITE.to_owned(), instructions, ..few.clone() });
        }
    }
    *figures = kept;
}

/// Returns what a call costs for one site more.
pub(crate) fn cost_of_a_site(host: &HostFigures, call: &str) -> Option<f64> {
    let cost = |surrounding: &str| {
        let mut figures = host.figures.iter();
        let figure = figures.find(|figure| figure.name == call && figure.surrounding == surrounding);
        figure.map(|figure| figure.instructions.least)
    };
    let whole = || Some(slope(cost(&sites(FEW_SITES))?, cost(&sites(MANY_SITES))?));
    cost(A_SITE).or_else(whole)
}

fn sites(count: usize) -> String {
    format!("sites_{count}")
}

fn slope(few: f64, many: f64) -> f64 {
    (many - few) / (MANY_SITES - FEW_SITES) as f64
}

/// Makes the table: a row for each call on each host, with what one site more costs.
pub(super) fn table(document: &Document) -> Option<Table> {
    let mut table = Table::default();
    let titles = [FEW_SITES, MANY_SITES].map(|count| Cell::title(&format!("{count} sites")));
    let titles =
        [Cell::word("what"), Cell::word("host")].into_iter().chain(titles).chain([Cell::title("a site")]);
    table.row(titles.map(|cell| cell.colour(Colour::Faint)));
    let mut is_empty = true;
    for host in &document.hosts {
        let mut calls: Vec<&str> = Vec::new();
        for figure in host.figures.iter().filter(|figure| Kind::of(&figure.name) == Kind::Init) {
            if !calls.contains(&&*figure.name) {
                calls.push(&figure.name);
            }
        }
        for call in calls {
            let Some(site) = cost_of_a_site(host, call) else { continue };
            let whole = [FEW_SITES, MANY_SITES].map(|count| {
                let mut figures = host.figures.iter();
                let figure = figures.find(|figure| figure.name == call && figure.surrounding == sites(count));
                Cell::title(&figure.map_or("·".to_owned(), |figure| number(figure.instructions.least)))
            });
            let site = Cell::title(&number((site * 10.0).round() / 10.0));
            table.row([Cell::word(call), Cell::word(&host.host)].into_iter().chain(whole).chain([site]));
            is_empty = false;
        }
    }
    (!is_empty).then_some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(name: &str, sites: usize, least: f64) -> Figure {
        Figure {
            name: name.into(),
            variant: "backend".into(),
            surrounding: format!("sites_{sites}"),
            phase: "before".into(),
            instructions: Counted { least, mean: least + 1.0, most: least + 2.0 },
            exits: None,
            cause: None,
        }
    }

    #[test]
    fn of_a_call_what_a_site_costs_is_kept() {
        let mut figures = vec![
            figure("init::edit", FEW_SITES, 1000.0),
            figure("init::restore", FEW_SITES, 5.0),
            Figure { surrounding: "loop".into(), ..figure("clock::tsc", 0, 3.0) },
            figure("init::edit", MANY_SITES, 1000.0 + 76.5 * (MANY_SITES - FEW_SITES) as f64),
        ];
        let host = |figures| HostFigures {
            host: "vmi".into(),
            about: String::new(),
            includes_host: true,
            depends_on: Vec::new(),
            figures,
            skipped: Vec::new(),
        };
        assert_eq!(cost_of_a_site(&host(figures.clone()), "init::edit"), Some(76.5));
        by_site(&mut figures);
        let kept: Vec<_> = figures.iter().map(|figure| (&*figure.name, &*figure.surrounding)).collect();
        // Half a pair says nothing.
        assert_eq!(kept, [("clock::tsc", "loop"), ("init::edit", A_SITE)]);
        assert_eq!(figures[1].instructions.least, 76.5);
        assert_eq!(cost_of_a_site(&host(figures), "init::edit"), Some(76.5));
    }
}
