//! A real browser without a window, a profile of its own, and no way to the network.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::run::Context;
use crate::process::Group;
use crate::{install, interrupt};

/// How long a page may take.
const LIMIT: Duration = Duration::from_secs(60);

/// What does without a window, and keeps the browser from all that it does by itself.
const FLAGS: [&str; 10] = [
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--enable-logging=stderr",
    "--dump-dom",
];

/// What says in the log of the network who made a request, and what it says of the browser's own.
const INITIATOR: &str = "\"initiator\":";
const NO_ORIGIN: &str = "\"initiator\":\"not an origin\"";

/// The colours that a reader prefers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Scheme {
    Dark,
    Light,
}

/// What came of opening a page.
#[derive(Debug)]
pub(super) struct Visit {
    /// The page as it stood when it was loaded.
    pub(super) page: String,
    /// What the page said on the browser's console: errors, and what its policy forbade.
    pub(super) console: Vec<String>,
    /// What the page asked of the network, by address.
    pub(super) requests: Vec<String>,
}

/// Opens a page in the browser, which was found or installed before.
pub(super) fn visit(context: &Context, page: &Path, scheme: Scheme) -> Result<Visit> {
    let directory = tempfile::tempdir_in(context.directory()).context("cannot make a directory")?;
    let file = |name: &str| directory.path().join(name);
    let create = |name: &str| File::create(file(name)).context("cannot make a file");
    let mut command = Command::new(install::browser()?);
    // The browser shields itself by what only a user other than root may set up.
    command.args(rustix::process::geteuid().is_root().then_some("--no-sandbox"));
    command.args(FLAGS).arg(format!("--blink-settings=preferredColorScheme={}", scheme as u8));
    command.arg(format!("--log-net-log={}", file("network").display()));
    command.arg(format!("--user-data-dir={}", file("profile").display()));
    command.arg(format!("file://{}", page.display()));
    command.stdin(Stdio::null()).stdout(create("page")?).stderr(create("said")?);

    let mut group = Group::spawn(&mut command)?;
    let limit = Instant::now() + LIMIT;
    while group.ended()?.is_none() {
        interrupt::check()?;
        ensure!(Instant::now() < limit, "the browser did not end within {} s", LIMIT.as_secs());
        thread::sleep(Duration::from_millis(10));
    }
    let read = |name: &str| -> Result<String> {
        let bytes = fs::read(file(name)).with_context(|| format!("the browser left no `{name}`"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let (page, said, network) = (read("page")?, read("said")?, read("network")?);
    ensure!(
        page.contains("</html>"),
        "the browser showed nothing: {}",
        said.lines().last().unwrap_or_default()
    );
    ensure!(network.contains("\"events\""), "the browser kept no log of the network");
    let console = said.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned).collect();
    Ok(Visit { page, console, requests: requests(&network) })
}

/// Finds the addresses that a page asked for in a log of the network, which has an event a line.
fn requests(log: &str) -> Vec<String> {
    // What the browser does for itself has no origin.
    let by_page = |line: &&str| line.contains(INITIATOR) && !line.contains(NO_ORIGIN);
    let address = |line: &str| line.split("\"url\":\"").nth(1)?.split('"').next().map(str::to_owned);
    log.lines().filter(by_page).filter_map(address).collect()
}
