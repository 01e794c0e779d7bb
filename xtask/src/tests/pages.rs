//! What the pages say of costs is what the files say.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::run::{Context, Outcome, Test};
use crate::bench::Budgets;
use crate::{startup, workspace};

pub(super) const TESTS: &[Test] = &[
    Test { name: "pages::a_start_costs_what_the_file_says", run: starts },
    Test { name: "pages::an_op_costs_what_the_budgets_say", run: ops },
];

/// The pages that tell what a start costs.
const PAGES: [&str; 2] = ["README.md", "vmi-kvm-backend/host/README.md"];

/// The titles of what ops cost, on the front page.
const OPS: &str = "op                  bare  native ";
/// What the table leaves open.
const NOTHING: &str = "·";

pub(super) fn page(name: &str) -> Result<String> {
    fs::read_to_string(workspace::root().join(name)).with_context(|| format!("cannot read `{name}`"))
}

fn starts(_: &mut Context) -> Result<Outcome> {
    let path = startup::path();
    let table = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    for name in PAGES {
        let block = format!("```text\n{table}```\n");
        ensure!(page(name)?.contains(&block), "{name} does not tell what `{}` has", path.display());
    }
    Ok(Outcome::Passed)
}

fn ops(_: &mut Context) -> Result<Outcome> {
    let budgets = Budgets::read()?;
    let page = page(PAGES[0])?;
    let mut lines = page.lines().skip_while(|line| !line.starts_with(OPS));
    let titles: Vec<&str> = lines.next().context("no table of ops")?.split_whitespace().collect();
    let mut told = 0;
    for line in lines.take_while(|line| *line != "```") {
        let words: Vec<&str> = line.split_whitespace().collect();
        let name = words[0];
        for (title, word) in titles.iter().zip(&words).skip(1).filter(|(_, word)| **word != NOTHING) {
            let figure = match *title {
                "site" => budgets.figure(["bytes", name, "site", "-", "-"]),
                variant => budgets.figure(["instructions", name, variant, "loop", "bare"]),
            };
            ensure!(word.parse().ok() == figure, "{name}, {title}: {word}, and the budgets say {figure:?}");
            told += 1;
        }
    }
    ensure!(told > 0, "the table of ops is empty");
    Ok(Outcome::Passed)
}
