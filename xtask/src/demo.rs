//! The main job: one image, booted on every host, in one table.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};
use serde::Serialize;

use crate::boot::{Boot, Ending};
use crate::console::{Checks, Sites};
use crate::full_run::{Full, full_run};
use crate::host::{HOSTS, Host};
use crate::image::{self, Profile, Target};
use crate::install;
use crate::interrupt::Interrupted;
use crate::progress::{Progress, say};
use crate::table::{Cell, Colour, Table};

/// How long a host that is only an extra may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The whole outcome, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Document {
    image_sha256: String,
    hosts: Vec<Row>,
}

/// What is shown of one host.
#[derive(Debug, Serialize)]
struct Row {
    host: &'static str,
    hypervisor: String,
    /// The topmost of the layers, or `native`.
    backend: String,
    /// The layers over the native functions, topmost first.
    layers: Vec<String>,
    sites: Sites,
    checks: Checks,
    millis: u64,
    #[serde(skip)]
    complaints: Vec<String>,
}

/// What came of one host.
enum Outcome {
    Ran(Row),
    /// A host that is only an extra gave no answer, for this reason.
    Skipped(String),
}

/// Boots the image on every host and prints what came of it; returns whether everything passed.
pub(crate) fn run(image: Option<PathBuf>, is_json: bool) -> Result<bool> {
    install::qemu()?;
    let image = match image {
        Some(image) => image,
        None => image::build(Target::choose(), Profile::Release)?,
    };
    let image_sha256 = image::sha256(&image)?;
    let progress = Progress::start("booting the image on every host");
    let outcomes = run_hosts(&image)?;
    drop(progress);

    let mut hosts = Vec::new();
    for (host, outcome) in HOSTS.iter().zip(outcomes) {
        match outcome {
            Outcome::Ran(row) => hosts.push(row),
            Outcome::Skipped(reason) => say(&format!("{host}: skipped: {reason}")),
        }
    }
    let document = Document { image_sha256, hosts };
    if is_json {
        let mut text = serde_json::to_string_pretty(&document)?;
        text.push('\n');
        stdout().write_all(text.as_bytes())?;
        stdout().flush()?;
    } else {
        print_table(&document)?;
    }
    for complaint in document.hosts.iter().flat_map(|row| &row.complaints) {
        say(&format!("error: {complaint}"));
    }
    Ok(document.hosts.iter().all(|row| row.checks.failed == 0 && row.complaints.is_empty()))
}

/// Runs the gates one after the other, so that they do not disturb each other's clocks, and the extras beside them.
fn run_hosts(image: &Path) -> Result<Vec<Outcome>> {
    thread::scope(|scope| {
        let extras = scope
            .spawn(|| HOSTS.iter().filter(|host| host.extra).map(|host| run_extra(host, image)).collect());
        let gates: Vec<Result<Outcome>> =
            HOSTS.iter().filter(|host| !host.extra).map(|host| run_gate(host, image)).collect();
        let extras: Vec<Result<Outcome>> =
            extras.join().map_err(|_| anyhow!("a thread that boots hosts broke"))?;
        // The extras stand behind the gates in the list of hosts.
        gates.into_iter().chain(extras).collect()
    })
}

/// Runs a host that must pass; that it cannot be tried at all is a failure beside those of the others.
fn run_gate(host: &'static Host, image: &Path) -> Result<Outcome> {
    match full_run(&Boot::new(host, image)) {
        Ok(full) => Ok(Outcome::Ran(row(host, full))),
        Err(error) if error.is::<Interrupted>() => Err(error),
        Err(error) => Ok(Outcome::Ran(Row {
            host: host.name,
            hypervisor: String::new(),
            backend: String::new(),
            layers: Vec::new(),
            sites: Sites::default(),
            checks: Checks { failed: 1, ..Checks::default() },
            millis: 0,
            complaints: vec![format!("{host}: {error:#}")],
        })),
    }
}

/// Runs a host that may be skipped: where nothing usable answers in time, that is no failure of the image.
fn run_extra(host: &'static Host, image: &Path) -> Result<Outcome> {
    if let Some(reason) = host.missing() {
        return Ok(Outcome::Skipped(reason));
    }
    let mut boot = Boot::new(host, image);
    boot.limit = PATIENCE;
    // Whether anything answers is the question of a boot of its own; from then on it has as long as any host.
    match boot.run()?.ending {
        Ending::TimedOut => {
            return Ok(Outcome::Skipped(format!("no answer within {} s", PATIENCE.as_secs())));
        }
        ending @ Ending::Died { .. } => return Ok(Outcome::Skipped(ending.to_string())),
        _ => boot.limit = host.limit,
    }
    Ok(Outcome::Ran(row(host, full_run(&boot)?)))
}

fn row(host: &'static Host, full: Full) -> Row {
    Row {
        host: host.name,
        backend: full.report.backend().unwrap_or_default().to_owned(),
        hypervisor: full.report.hypervisor.unwrap_or_default(),
        layers: full.report.layers.unwrap_or_default(),
        sites: full.report.sites.unwrap_or_default(),
        checks: full.checks,
        millis: full.millis,
        complaints: full.complaints,
    }
}

fn print_table(document: &Document) -> Result<()> {
    let mut table = Table::default();
    let titles = ["host", "hypervisor", "layers"].map(Cell::word);
    let numbers =
        ["sites", "native", "call", "inline", "nop", "passed", "failed", "skipped", "ms"].map(Cell::title);
    table.row(titles.into_iter().chain(numbers).map(|cell| cell.colour(Colour::Faint)));
    for row in &document.hosts {
        let Sites { total, native, call, inline, nop } = row.sites;
        let Checks { passed, failed, skipped } = row.checks;
        let (good, bad) =
            if failed == 0 { (Colour::Good, Colour::Plain) } else { (Colour::Plain, Colour::Bad) };
        // Where there is no layer, the backend says whether that is because all is native or because nobody answered.
        let layers = if row.layers.is_empty() { row.backend.clone() } else { row.layers.join(" ") };
        let words = [row.host, &row.hypervisor, &layers].map(|word| if word.is_empty() { "-" } else { word });
        let words = words.map(Cell::word);
        let sites = [total, native, call, inline, nop].map(Cell::number);
        let checks = [
            Cell::number(passed).colour(good),
            Cell::number(failed).colour(bad),
            Cell::number(skipped),
            Cell::number(row.millis),
        ];
        table.row(words.into_iter().chain(sites).chain(checks));
    }
    table.print()?;
    writeln!(stdout(), "image SHA-256 {}", document.image_sha256)?;
    Ok(())
}
