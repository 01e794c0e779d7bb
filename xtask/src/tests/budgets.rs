//! What the benchmarks must show, from one run of all of them on all hosts.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use vmi_abi::{Class, Op};

use super::pages::page;
use super::run::{Context, Outcome, Test};
use crate::bench::{self, Budgets, HostFigures, RENEW};
use crate::host::Host;
use crate::image::{self, Target};

pub(super) const TESTS: &[Test] = &[
    Test { name: "budgets::the_whole_run_takes_less_than_three_minutes", run: in_time },
    Test { name: "budgets::every_figure_is_that_of_the_file", run: as_the_file_says },
    Test { name: "budgets::natively_a_leaf_op_costs_what_its_instruction_costs", run: leaf_ops },
    Test { name: "budgets::the_front_page_tells_what_calls_and_rings_cost", run: calls },
    Test { name: "budgets::two_runs_on_bare_give_the_same_figures", run: twice },
];

/// What is asked of the whole run on two cores.
const LIMIT: Duration = Duration::from_secs(180);

/// How many differences are named at most.
const SHOWN: usize = 12;

/// Where ops are measured, and when.
const SURROUNDINGS: [&str; 3] = ["loop", "function", "live"];
const PHASES: [&str; 3] = ["before", "after", "teardown"];

fn in_time(context: &mut Context) -> Result<Outcome> {
    let duration = context.benchmarks()?.duration;
    ensure!(duration < LIMIT, "it took {} s", duration.as_secs());
    Ok(Outcome::Passed)
}

fn as_the_file_says(context: &mut Context) -> Result<Outcome> {
    if Target::choose() != Target::BareMetal {
        return Ok(Outcome::Skipped("the file holds the figures of another target".to_owned()));
    }
    let budgets = Budgets::read()?;
    let measured = Budgets::of(&context.benchmarks()?.document)?;
    if budgets.rustc != measured.rustc {
        return Ok(Outcome::Skipped(format!(
            "the file holds the figures of {}, this is {}; `{RENEW}` renews it",
            budgets.rustc, measured.rustc
        )));
    }
    let differences = budgets.differences(&measured);
    match &differences[..] {
        [] => Ok(Outcome::Passed),
        all => {
            let shown = &all[..all.len().min(SHOWN)];
            let more = match all.len() - shown.len() {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            bail!("{}{more}; if that is meant, `{RENEW}`", shown.join(", "))
        }
    }
}

fn leaf_ops(context: &mut Context) -> Result<Outcome> {
    let benchmarks = context.benchmarks()?;
    for name in ["bare", "tcg"] {
        let host = benchmarks.document.host(name).with_context(|| format!("nothing of {name}"))?;
        for op in Op::all().filter(|op| op.class() == Class::Leaf) {
            let op = op.to_string();
            for surrounding in SURROUNDINGS {
                for phase in PHASES {
                    is_its_instruction(host, &op, surrounding, phase).with_context(|| name)?;
                }
            }
        }
    }
    // Where the host's part is counted, nothing is exact, and not everything can be measured; and what the host does
    // meanwhile may be counted too, though not twice the same.
    for host in benchmarks.document.hosts.iter().filter(|host| host.includes_host) {
        ensure!(
            bench::compared(host).next().is_some(),
            "{}: nothing was held against its bare instruction",
            host.host
        );
        let odd = oddities(host);
        if odd.is_empty() {
            continue;
        }
        let mut names: Vec<String> = odd.iter().map(|(name, _)| name.clone()).collect();
        names.dedup();
        let plan = bench::Plan {
            image: context.image()?,
            hosts: vec![Host::named(&host.host)?],
            names: Some(names),
            sites: Vec::new(),
        };
        let (again, error) = bench::measure(&plan, Vec::new())?;
        if let Some(error) = error {
            return Err(error);
        }
        let again = oddities(again.host(&host.host).context("nothing of the host again")?);
        ensure!(again.is_empty(), "{}: {odd:?}, and again {again:?}", host.host);
    }
    Ok(Outcome::Passed)
}

/// Returns what differs from the bare instruction without a cause, or has a cause and does not differ: name, and figures.
fn oddities(host: &HostFigures) -> Vec<(String, String)> {
    let odd =
        bench::compared(host).filter(|difference| difference.is_real() != difference.native.cause.is_some());
    let told = odd.map(|difference| {
        let [_, variant, surrounding, phase] = difference.native.key();
        let [cost, bare] = [difference.native, difference.bare].map(|figure| figure.instructions.least);
        (difference.native.name.clone(), format!("{variant} {surrounding} {phase}: {cost} for {bare}"))
    });
    told.collect()
}

/// Demands that both were measured, and that they differ exactly where a cause says so.
fn is_its_instruction(host: &HostFigures, op: &str, surrounding: &str, phase: &str) -> Result<()> {
    let benchmark = format!("{op} {surrounding} {phase}");
    let native = host.figure(op, "native", surrounding, phase);
    let native = native.with_context(|| format!("{benchmark}: it was not measured natively"))?;
    let bare = bench::bare(host, native);
    let bare = bare.with_context(|| format!("{benchmark}: the bare instruction was not measured"))?;
    let [cost, limit] = [native, bare].map(|figure| figure.instructions.least);
    match &native.cause {
        None => {
            ensure!(cost == limit, "{benchmark}: {cost} instructions, {limit} for the bare one, and no cause")
        }
        Some(cause) => ensure!(cost != limit, "{benchmark}: {cost}, as the bare one, but a cause: {cause}"),
    }
    Ok(())
}

/// On the host `vmi` the rig's kernel is counted too, which is not the same everywhere.
fn calls(context: &mut Context) -> Result<Outcome> {
    const CALL: (&str, &str) = ("exit::vmi_call", "to a call's ");
    const RING: (&str, &str) = ("exit::doorbell", "where there is one CPU for all it takes ");
    let benchmarks = context.benchmarks()?;
    let host = benchmarks.document.host("vmi").context("nothing of vmi")?;
    let page = page("README.md")?.replace('\n', " ");
    for (name, words) in [CALL, RING] {
        let (_, behind) = page.split_once(words).with_context(|| format!("`{words}` is not said"))?;
        let digits = behind.chars().take_while(|letter| letter.is_ascii_digit() || *letter == ' ');
        let told: f64 = digits.filter(|letter| *letter != ' ').collect::<String>().parse()?;
        let figure = host.figure(name, "backend", "loop", "after").with_context(|| format!("no {name}"))?;
        let cost = figure.instructions.least;
        ensure!((cost - told).abs() <= told / 20.0, "{name}: the page says {told}, it is {cost}");
    }
    Ok(Outcome::Passed)
}

fn twice(context: &mut Context) -> Result<Outcome> {
    let benchmarks = context.benchmarks()?;
    let first = benchmarks.document.host("bare").context("nothing of bare")?;
    let plan = bench::Plan {
        image: context.image()?,
        hosts: vec![Host::named("bare")?],
        names: Some(Vec::new()),
        sites: image::build_sites()?.to_vec(),
    };
    let (second, error) = bench::measure(&plan, Vec::new())?;
    if let Some(error) = error {
        return Err(error);
    }
    let second = second.host("bare").context("nothing of bare again")?;
    ensure!(first.figures.len() == second.figures.len() && !first.figures.is_empty(), "not as many figures");
    for (one, two) in first.figures.iter().zip(&second.figures) {
        let [one_is, two_is] = [one, two].map(|figure| figure.instructions.least);
        ensure!(one.key() == two.key() && one_is == two_is, "{:?}: {one_is}, then {two_is}", one.key());
    }
    Ok(Outcome::Passed)
}
