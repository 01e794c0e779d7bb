//! What `vmi::init` costs, by the number of sites.

use super::document::{Document, Kind};
use super::number::number;
use crate::image::{FEW_SITES, MANY_SITES};
use crate::table::{Cell, Colour, Table};

/// Makes the table: a row for each call on each host, with what one site more costs.
pub(super) fn table(document: &Document) -> Option<Table> {
    let mut table = Table::default();
    let counts = [FEW_SITES, MANY_SITES];
    let titles = counts.map(|count| Cell::title(&format!("{count} sites")));
    let titles =
        [Cell::word("what"), Cell::word("host")].into_iter().chain(titles).chain([Cell::title("a site")]);
    table.row(titles.map(|cell| cell.colour(Colour::Faint)));
    let mut is_empty = true;
    for host in &document.hosts {
        let at = |count: usize| format!("sites_{count}");
        let few = host
            .figures
            .iter()
            .filter(|figure| Kind::of(&figure.name) == Kind::Init && figure.surrounding == at(FEW_SITES));
        for few in few {
            let many = host.figure(&few.name, &few.variant, &at(MANY_SITES), &few.phase);
            let Some([few_cost, many_cost]) =
                many.map(|many| [few, many].map(|figure| figure.instructions.least))
            else {
                continue;
            };
            let site = (many_cost - few_cost) / (MANY_SITES - FEW_SITES) as f64;
            let numbers =
                [few_cost, many_cost, (site * 10.0).round() / 10.0].map(|value| Cell::title(&number(value)));
            table.row([Cell::word(&few.name), Cell::word(&host.host)].into_iter().chain(numbers));
            is_empty = false;
        }
    }
    (!is_empty).then_some(table)
}
