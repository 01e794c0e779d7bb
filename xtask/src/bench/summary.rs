//! The figures in the terminal: what each op costs in every form, what every way to the hypervisor costs on every host, and
//! what is to be known of both.

use std::io::{Write, stdout};

use anyhow::Result;

use super::document::{Document, Figure, HostFigures, Kind};
use super::init;
use super::notes::notes;
use super::number::number;
use super::timed;
use crate::table::{Cell, Colour, Table};

/// The variants of an op, in the order of their columns.
const VARIANTS: [&str; 9] =
    ["bare", "native", "thunk", "naked", "inline", "direct", "table", "dyn", "retpoline"];

/// The surrounding that the tables show; the others are in the document.
const SURROUNDING: &str = "loop";

/// Phases of a kernel's life, the one that is shown first.
const PHASES: [&str; 6] = ["after", "thunk", "naked", "inline", "before", "teardown"];

/// What stands for a figure that there is not.
const NONE: &str = "·";

/// Prints everything that a reader needs at a glance.
pub(super) fn print(document: &Document) -> Result<()> {
    let is_guest = |host: &&HostFigures| !host.includes_host;
    if let Some(host) = document.hosts.iter().find(is_guest)
        && let Some(table) = ops(document, host)
    {
        heading(&format!("Instructions of an op, in a loop, on `{}`", host.host))?;
        table.print()?;
    }
    if let Some(table) = paths(document) {
        heading(
            "Instructions a turn, in a loop; on kvm and vmi those of the host's kernel are counted as well",
        )?;
        table.print()?;
    }
    if let Some(table) = init::table(document) {
        heading("Instructions of `vmi::init` and of its parts, by the sites of the image")?;
        table.print()?;
    }
    timed::print(&document.timed)?;
    let notes = notes(document);
    if !notes.is_empty() {
        writeln!(stdout())?;
    }
    for note in notes {
        writeln!(stdout(), "{note}")?;
    }
    Ok(())
}

fn heading(text: &str) -> Result<()> {
    writeln!(stdout(), "\n{text}\n")?;
    Ok(())
}

/// Makes the table of the ops: a row each, a column for each way of doing it.
fn ops(document: &Document, host: &HostFigures) -> Option<Table> {
    let names = names(host, |name| Kind::of(name) == Kind::Op);
    if names.is_empty() {
        return None;
    }
    let columns: Vec<&str> = VARIANTS
        .into_iter()
        .filter(|variant| names.iter().any(|name| shown(host, name, variant).is_some()))
        .collect();
    let mut table = Table::default();
    let titles = columns.iter().copied().chain(["site bytes"]).map(Cell::title);
    table.row([Cell::word("op")].into_iter().chain(titles).map(|cell| cell.colour(Colour::Faint)));
    for name in names {
        let bare = shown(host, name, "bare").map(|figure| figure.instructions.least);
        let figures = columns.iter().map(|variant| {
            let Some(figure) = shown(host, name, variant) else { return faint() };
            let least = figure.instructions.least;
            let cell = Cell::title(&number(least));
            match bare {
                Some(bare) if *variant == "native" && bare == least => cell.colour(Colour::Good),
                Some(_) if *variant == "native" && figure.cause.is_none() => cell.colour(Colour::Bad),
                _ => cell,
            }
        });
        let bytes = document.bytes(name, "site").map_or_else(faint, Cell::number);
        table.row([Cell::word(name)].into_iter().chain(figures).chain([bytes]));
    }
    Some(table)
}

/// Makes the table of everything that is not the same on every host: a row a benchmark, a column a host.
fn paths(document: &Document) -> Option<Table> {
    let mut rows: Vec<(&str, &str)> = Vec::new();
    for host in &document.hosts {
        for figure in host.figures.iter().filter(|figure| figure.surrounding == SURROUNDING) {
            let row = (&*figure.name, way(figure));
            if belongs_to_paths(document, host, figure) && !rows.contains(&row) {
                rows.push(row);
            }
        }
    }
    if rows.is_empty() {
        return None;
    }
    // Ops last, otherwise in the order of the image, all variants of a name together.
    let names: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
    rows.sort_by_key(|(name, _)| (Kind::of(name) == Kind::Op, names.iter().position(|other| other == name)));
    let hosts: Vec<&HostFigures> = document.hosts.iter().collect();
    let has_exits = hosts.iter().any(|host| host.figures.iter().any(|figure| figure.exits.is_some()));
    let mut table = Table::default();
    let mut titles = vec![Cell::word("what"), Cell::word("how")];
    titles.extend(hosts.iter().map(|host| Cell::title(&host.host)));
    if has_exits {
        titles.push(Cell::title("exits"));
    }
    table.row(titles.into_iter().map(|cell| cell.colour(Colour::Faint)));
    let mut last = "";
    for (name, variant) in rows {
        // A name stands once, over all its variants.
        let title = if last == name { "" } else { name };
        last = name;
        let mut cells = vec![Cell::word(title), Cell::word(variant)];
        let mut exits = None;
        for host in &hosts {
            let figure = on_the_way(host, name, variant);
            exits = exits.or(figure.and_then(|figure| figure.exits));
            cells.push(figure.map_or_else(faint, |figure| Cell::title(&number(figure.instructions.least))));
        }
        if has_exits {
            cells.push(exits.map_or_else(faint, |exits| Cell::title(&number(exits))));
        }
        table.row(cells);
    }
    Some(table)
}

/// Tells whether a figure is of a path to the hypervisor: by its kind, or as that of an op which exits or costs something
/// else than natively. Natively it is shown beside the backend's where the backend changes much.
fn belongs_to_paths(document: &Document, host: &HostFigures, figure: &Figure) -> bool {
    if Kind::of(&figure.name) != Kind::Op {
        return true;
    }
    let least = |host: &HostFigures, variant| {
        shown(host, &figure.name, variant).map(|figure| figure.instructions.least)
    };
    let guest = document.hosts.iter().find(|host| !host.includes_host);
    let alone = guest.and_then(|guest| least(guest, "native"));
    let (native, backend) = (least(host, "native"), least(host, "backend"));
    let is_changed =
        matches!((native, backend), (Some(native), Some(backend)) if (native / backend).ln().abs() > 0.1);
    match &*figure.variant {
        "backend" => host.includes_host && (is_changed || alone.is_none() || alone != backend),
        "native" => host.includes_host && is_changed,
        _ => false,
    }
}

/// What an exit, a clock or a page table costs by the library's functions, whoever has edited their sites.
const LIBRARY: &str = "library";

/// Names the way in which something was done. Of an op it matters who edited its site; of all else only whether it was
/// done by the library.
fn way(figure: &Figure) -> &str {
    match &*figure.variant {
        "native" | "backend" if Kind::of(&figure.name) != Kind::Op => LIBRARY,
        variant => variant,
    }
}

/// Returns the figure that the table shows of something done in that way.
fn on_the_way<'a>(host: &'a HostFigures, name: &str, way: &str) -> Option<&'a Figure> {
    match way {
        LIBRARY => shown(host, name, "backend").or_else(|| shown(host, name, "native")),
        variant => shown(host, name, variant),
    }
}

/// Returns the figure that a table shows of a benchmark.
fn shown<'a>(host: &'a HostFigures, name: &str, variant: &str) -> Option<&'a Figure> {
    PHASES.iter().find_map(|phase| host.figure(name, variant, SURROUNDING, phase))
}

/// Returns the names that fit, in the order of the image.
fn names(host: &HostFigures, fits: impl Fn(&str) -> bool) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for figure in &host.figures {
        if fits(&figure.name) && !names.contains(&&*figure.name) {
            names.push(&figure.name);
        }
    }
    names
}

fn faint() -> Cell {
    Cell::title(NONE).colour(Colour::Faint)
}
