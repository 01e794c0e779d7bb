//! The report of the benchmarks, opened in a real browser.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::browser::{Scheme, visit};
use super::run::{Context, Outcome, Test};
use crate::bench::{self, Document};
use crate::install;

pub(super) const TESTS: &[Test] = &[
    Test { name: "report::opens_without_errors_and_without_the_network", run: opens },
    Test { name: "report::reads_well_in_any_width_and_theme", run: reads_well },
];

/// The widths that are looked at: a phone, and a desk.
const WIDTHS: [u32; 2] = [390, 1280];

/// What stands wherever a document holds text of somebody else's.
const HOSTILE: &str =
    "<script>document.title = 'taken'</script><img src=http://example.com/ onerror=alert(1)>\"'&";

/// What a reader sees in a frame.
#[derive(Debug, Deserialize)]
struct Seen {
    title: String,
    scripts: usize,
    width: f64,
    content: f64,
    outside: Vec<String>,
    ground: String,
    colours: Vec<Colours>,
    charts: Vec<Chart>,
}

#[derive(Debug, Deserialize)]
struct Colours {
    kind: String,
    colour: String,
    ground: String,
}

#[derive(Debug, Deserialize)]
struct Chart {
    caption: String,
    logarithmic: bool,
    marks: Vec<Mark>,
    bars: Vec<Bar>,
}

#[derive(Debug, Deserialize)]
struct Mark {
    value: f64,
    at: f64,
}

#[derive(Debug, Deserialize)]
struct Bar {
    text: String,
    value: f64,
    left: f64,
    width: f64,
    track: f64,
}

/// What `cargo xtask bench` writes, of some benchmarks of the quickest host.
fn opens(context: &mut Context) -> Result<Outcome> {
    if let Err(error) = install::browser() {
        return Ok(Outcome::Skipped(format!("{error:#}")));
    }
    let report = measured(context)?.with_extension("html");
    let visit = visit(context, &report, Scheme::Light)?;
    ensure!(visit.console.is_empty(), "the page complained: {:?}", visit.console);
    ensure!(visit.requests.is_empty(), "the page wanted the network: {:?}", visit.requests);
    for text in ["What each path costs", "irq::disable", "-icount shift=0,sleep=off"] {
        ensure!(visit.page.contains(text), "`{text}` is not on the page");
    }
    Ok(Outcome::Passed)
}

fn reads_well(context: &mut Context) -> Result<Outcome> {
    if let Err(error) = install::browser() {
        return Ok(Outcome::Skipped(format!("{error:#}")));
    }
    let json = fs::read(measured(context)?).context("the document is gone")?;
    let document = extended(serde_json::from_slice(&json)?)?;
    let frames = frames(&bench::html(&document))?;
    let page = context.write("frames.html", frames.as_bytes())?;
    let mut grounds = Vec::new();
    for scheme in [Scheme::Light, Scheme::Dark] {
        let visit = visit(context, &page, scheme)?;
        ensure!(visit.console.is_empty(), "the page complained: {:?}", visit.console);
        ensure!(visit.requests.is_empty(), "the page wanted the network: {:?}", visit.requests);
        let seen = seen(&visit.page)?;
        ensure!(seen.len() == WIDTHS.len(), "{} frames", seen.len());
        for seen in &seen {
            look(seen).with_context(|| format!("{} wide, {scheme:?}", seen.width))?;
        }
        grounds.push(brightness(&seen[0].ground)?);
    }
    ensure!(grounds[0] > 0.8 && grounds[1] < 0.05, "light and dark are as bright as {grounds:?}");
    Ok(Outcome::Passed)
}

/// Measures a little and returns where the document is.
fn measured(context: &mut Context) -> Result<PathBuf> {
    let document = context.directory().join("report.json");
    if !document.exists() {
        let (image, output) = (context.image()?.display().to_string(), document.display().to_string());
        let arguments =
            ["bench", "--host", "bare", "--image", &image, "--output", &output, "irq", "cpu::cycles"];
        let finished = context.program(arguments)?.run()?;
        ensure!(finished.status.success(), "nothing was measured: {}", finished.last_words());
    }
    Ok(document)
}

/// Adds to a document what else one can hold: all kinds, three orders of magnitude, hostile text everywhere.
fn extended(mut document: Value) -> Result<Document> {
    let figure = |name: &str, variant: &str, cost: f64| {
        json!({
            "name": name, "variant": variant, "surrounding": "loop", "phase": "after", "exits": 1.0 / 512.0,
            "instructions": { "least": cost, "mean": 1.5 * cost, "most": 2.0 * cost },
        })
    };
    let exits = [("exit::hypercall", 3079.0), ("exit::batch_512", 38_800.5), ("clock::page", 22.0)];
    let others = [("paging::update_16", 0.0), ("init::native_10", 412.0), (HOSTILE, 1.0)];
    let figures: Vec<Value> = exits
        .into_iter()
        .chain(others)
        .flat_map(|(name, cost)| ["bare", "backend", HOSTILE].map(|variant| figure(name, variant, cost)))
        .collect();
    let host = json!({
        "host": HOSTILE, "about": HOSTILE, "includes_host": true, "depends_on": [HOSTILE], "figures": figures,
        "skipped": [{ "name": HOSTILE, "reason": HOSTILE }],
    });
    let timed = |candidate: &str, ratio: f64| {
        json!({
            "question": HOSTILE, "candidate": candidate, "is_baseline": ratio == 1.0, "ratio": ratio,
            "low": 0.9 * ratio, "high": 1.1 * ratio, "source": HOSTILE,
        })
    };
    document["complete"] = json!(false);
    document["versions"][HOSTILE] = json!(HOSTILE);
    document["timed"] = json!([timed("instruction", 1.0), timed("retpoline", 36.5), timed(HOSTILE, 250.0)]);
    for (list, item) in [("hosts", host), ("code", json!({ "name": HOSTILE, "part": "site", "bytes": 7 }))] {
        document[list].as_array_mut().with_context(|| format!("no `{list}`"))?.push(item);
    }
    // A cause, and a difference that it explains.
    let natively = document["hosts"][0]["figures"].as_array_mut().context("no figures")?.iter_mut();
    for figure in natively.filter(|figure| figure["variant"] == "native" && figure["name"] == "irq::save") {
        figure["instructions"]["least"] = json!(7.0);
        figure["cause"] = json!(HOSTILE);
    }
    serde_json::from_value(document).context("no document any more")
}

/// Puts a report into frames, beside what looks at them.
fn frames(report: &str) -> Result<String> {
    // Within a script element no `<` may begin what ends it.
    let report = serde_json::to_string(report)?.replace('<', "\\u003c");
    Ok(format!(
        "<!doctype html><html><body><script>\nconst report = {report};\nfor (const width of {WIDTHS:?}) {{\n\
         const frame = document.createElement('iframe');\nframe.style = `width: ${{width}}px; height: 800px; border: 0`;\n\
         frame.srcdoc = report;\ndocument.body.append(frame);\n}}\n{}</script></body></html>",
        include_str!("report.js")
    ))
}

/// Reads what was written down.
fn seen(page: &str) -> Result<Vec<Seen>> {
    let text = page.split("<pre id=\"seen\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    let text = text.context("the frames were not looked at")?;
    let text = [("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", "\u{a0}"), ("&amp;", "&")]
        .into_iter()
        .fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character));
    serde_json::from_str(&text).context("what was written down")
}

fn look(seen: &Seen) -> Result<()> {
    ensure!(
        seen.title == "VMI: what each path costs" && seen.scripts == 0,
        "text became markup: {}",
        seen.title
    );
    ensure!(
        seen.content <= seen.width && seen.outside.is_empty(),
        "{} wide, and sticking out: {:?}",
        seen.content,
        seen.outside
    );
    for Colours { kind, colour, ground } in &seen.colours {
        // WCAG 2.1, Contrast (Minimum) and Non-text Contrast.
        let least = if kind == "text" { 4.5 } else { 3.0 };
        let contrast = contrast(colour, ground)?;
        ensure!(contrast >= least, "{kind} of {colour} on {ground} has a contrast of {contrast:.1}");
    }
    ensure!(seen.charts.iter().any(|chart| chart.logarithmic), "no chart is logarithmic");
    ensure!(seen.charts.iter().any(|chart| !chart.logarithmic), "no chart is linear");
    seen.charts.iter().try_for_each(|chart| measure(chart).with_context(|| chart.caption.clone()))
}

/// Holds every bar against its figure by the marks on the scale.
fn measure(chart: &Chart) -> Result<()> {
    let of = |value: f64| if chart.logarithmic { value.log10() } else { value };
    let [first, .., last] = &chart.marks[..] else { anyhow::bail!("too few marks: {:?}", chart.marks) };
    ensure!(last.at - first.at > 30.0, "the scale is {} wide", last.at - first.at);
    let unit = (last.at - first.at) / (of(last.value) - of(first.value));
    ensure!(!chart.bars.is_empty(), "there are no bars");
    for bar in &chart.bars {
        let expected =
            if bar.value <= 0.0 { 0.0 } else { first.at + unit * (of(bar.value) - of(first.value)) };
        ensure!(
            bar.left.abs() < 0.5 && (bar.width - expected).abs() < 1.5 && bar.width <= bar.track,
            "the bar of {} is {} long, from {}, not {expected}",
            bar.text,
            bar.width,
            bar.left
        );
    }
    Ok(())
}

/// Returns the contrast of two colours (WCAG 2.1, contrast ratio).
fn contrast(one: &str, other: &str) -> Result<f64> {
    let [one, other] = [brightness(one)?, brightness(other)?];
    Ok((one.max(other) + 0.05) / (one.min(other) + 0.05))
}

/// Returns the relative luminance of a colour `rgb(r, g, b)` (WCAG 2.1).
fn brightness(colour: &str) -> Result<f64> {
    let inside = colour.strip_prefix("rgb(").and_then(|rest| rest.strip_suffix(')'));
    let parts: Vec<f64> =
        inside.unwrap_or_default().split(", ").filter_map(|part| part.parse().ok()).collect();
    let [red, green, blue] = parts[..] else { anyhow::bail!("`{colour}` is no opaque colour") };
    let linear = |part: f64| {
        let part = part / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    };
    Ok(0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue))
}
