//! What `demo` prints, and how it ends.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::run::{Context, Outcome, Test};
use super::tiny_kernel::{End, GOOD};
use crate::host::Host;
use crate::image;
use crate::process::Finished;

pub(super) const TESTS: &[Test] = &[
    Test { name: "demos::the_document_has_the_agreed_shape", run: document },
    Test { name: "demos::the_table_is_plain_when_piped", run: table },
    Test { name: "demos::a_failed_check_fails_the_demo", run: failure },
];

/// The document as it was agreed, with nothing else in it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    image_sha256: String,
    hosts: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    host: String,
    hypervisor: String,
    backend: String,
    layers: Vec<String>,
    sites: Sites,
    checks: Checks,
    millis: u64,
}

#[derive(Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
struct Sites {
    total: u64,
    native: u64,
    call: u64,
    inline: u64,
    nop: u64,
}

#[derive(Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
struct Checks {
    passed: u64,
    failed: u64,
    skipped: u64,
}

fn demo(context: &Context, image: &Path, more: &[&str]) -> Result<Finished> {
    let image = image.display().to_string();
    context.program(["demo", "--image", &image].into_iter().chain(more.iter().copied()))?.run()
}

fn document(context: &mut Context) -> Result<Outcome> {
    let image = context.tiny_kernel("good", GOOD, End::Exit(0x10))?;
    let finished = demo(context, &image, &["--json"])?;
    ensure!(finished.status.success(), "it ended with {}: `{}`", finished.status, finished.stderr);
    let document: Document = serde_json::from_str(&finished.stdout)
        .with_context(|| format!("this is not the document: `{}`", finished.stdout))?;
    ensure!(document.image_sha256 == image::sha256(&image)?, "the hash is that of another file");
    for host in Host::gates() {
        let row = document.hosts.iter().find(|row| row.host == host.name);
        let row = row.with_context(|| format!("there is no row for {host}"))?;
        ensure!(row.hypervisor == "none" && row.backend == "native" && row.layers.is_empty(), "{row:?}");
        ensure!(row.millis > 0, "{row:?}");
        ensure!(row.sites == Sites { total: 3, native: 3, call: 0, inline: 0, nop: 0 }, "{row:?}");
        // The kernel's own two, and both ways of ending the machine.
        ensure!(row.checks == Checks { passed: 4, failed: 0, skipped: 1 }, "{row:?}");
    }
    let text = GOOD.replace("layers: none", "layers: upper lower");
    let finished = demo(context, &context.tiny_kernel("layers", &text, End::Exit(0x10))?, &["--json"])?;
    let layered: Document = serde_json::from_str(&finished.stdout).context("this is not the document")?;
    ensure!(layered.hosts.iter().all(|row| row.layers == ["upper", "lower"]), "{:?}", layered.hosts);
    ensure!(
        document.hosts.iter().any(|row| row.host == "kvm-local")
            || finished.stderr.contains("kvm-local: skipped: "),
        "kvm-local was skipped without a word"
    );
    Ok(Outcome::Passed)
}

fn table(context: &mut Context) -> Result<Outcome> {
    let image = context.tiny_kernel("good", GOOD, End::Exit(0x10))?;
    let finished = demo(context, &image, &[])?;
    ensure!(finished.status.success(), "it ended with {}: `{}`", finished.status, finished.stderr);
    let text = format!("{}{}", finished.stdout, finished.stderr);
    ensure!(!text.contains(['\x1b', '\r']), "it is coloured or animated: {text:?}");
    let lines: Vec<&str> = finished.stdout.lines().collect();
    let title = lines.first().copied().unwrap_or_default();
    for host in Host::gates() {
        let line = lines.iter().find(|line| line.split_whitespace().next() == Some(host.name));
        let line = line.with_context(|| format!("there is no line for {host} in `{}`", finished.stdout))?;
        ensure!(line.chars().count() == title.chars().count(), "`{line}` is not aligned to `{title}`");
    }
    let hash = image::sha256(&image)?;
    ensure!(finished.stdout.matches(&hash).count() == 1, "the hash is not there once");
    Ok(Outcome::Passed)
}

fn failure(context: &mut Context) -> Result<Outcome> {
    let text = GOOD.replace("PASS a::two", "FAIL a::two: 1 is not 2").replace("2 passed, 0", "1 passed, 1");
    let image = context.tiny_kernel("failing", &text, End::Exit(0x11))?;
    let finished = demo(context, &image, &[])?;
    ensure!(finished.status.code() == Some(1), "it ended with {}", finished.status);
    for host in Host::gates() {
        let complaint = format!("error: {host}: a::two: 1 is not 2");
        ensure!(finished.stderr.contains(&complaint), "`{complaint}` is not in `{}`", finished.stderr);
    }
    Ok(Outcome::Passed)
}
