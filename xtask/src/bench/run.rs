//! Boots the image for its benchmarks, on several hosts side by side, and keeps what came even where one breaks.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Error, Result};

use super::document::{Code, Document, FORMAT, Figure, HostFigures, Skipped};
use super::exits;
use super::figures::{self, Exactness};
use super::init;
use super::lines::Lines;
use super::versions;
use crate::boot::{Boot, run_all};
use crate::full_run::judge;
use crate::host::{Host, Place, Vmm};
use crate::progress::Progress;
use crate::{image, vmi_run};

/// How many hosts are measured at a time: what counts instructions is not disturbed by what runs beside it.
const SIDE_BY_SIDE: usize = 2;

/// How long the benchmarks of a host may take.
const LIMIT: Duration = Duration::from_secs(150);

/// What to measure.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The sample kernel.
    pub(crate) image: PathBuf,
    /// Where.
    pub(crate) hosts: Vec<&'static Host>,
    /// What the sample kernel shall measure, if anything: names and beginnings of names, all where there are none.
    pub(crate) names: Option<Vec<String>>,
    /// The images that show what `vmi::init` costs, if that is asked for.
    pub(crate) sites: Vec<PathBuf>,
}

/// The boots of one host.
struct Job {
    host: &'static Host,
    boots: Vec<Boot>,
    /// What the consoles have shown so far.
    shown: Mutex<Vec<u8>>,
    /// The whole consoles, once they are there.
    consoles: Mutex<Vec<String>>,
    /// The boot that counts exits, on the host that can.
    exits_boot: Option<Boot>,
    /// What it counted.
    exits: Mutex<Vec<(String, String, f64)>>,
}

/// Measures everything that is planned. Where something breaks, the document holds what was measured until then.
///
/// # Errors
///
/// Fails where there can be no document at all.
pub(crate) fn measure(plan: &Plan, code: Vec<Code>) -> Result<(Document, Option<Error>)> {
    let jobs: Vec<Job> = by_length(&plan.hosts).map(|host| Job::new(host, plan)).collect();
    // After an interruption nothing can be asked any more.
    let mut versions = versions::find()?;
    let mut error = prepare(plan).and_then(|()| run_jobs(&jobs)).err();
    let mut hosts = Vec::new();
    for host in &plan.hosts {
        let Some(job) = jobs.iter().find(|job| job.host.name == host.name) else { continue };
        match job.figures() {
            Ok(figures) => hosts.push(figures),
            Err(reason) => error = error.or(Some(reason)),
        }
    }
    versions.extend(versions::linux());
    let document = Document {
        format: FORMAT.to_owned(),
        complete: error.is_none(),
        image_sha256: image::sha256(&plan.image)?,
        versions,
        hosts,
        code,
        timed: Vec::new(),
    };
    Ok((document, error))
}

/// Builds what is built once, so that it is not built while the bar runs.
fn prepare(plan: &Plan) -> Result<()> {
    if plan.hosts.iter().any(|host| host.vmm == Vmm::VmiRun) {
        vmi_run::build()?;
    }
    Ok(())
}

/// Orders hosts so that those in the rig, which take longest, start first.
fn by_length<'a>(hosts: &'a [&'static Host]) -> impl Iterator<Item = &'static Host> + 'a {
    let in_place = move |place| hosts.iter().copied().filter(move |host| host.place == place);
    in_place(Place::Rig).chain(in_place(Place::Here))
}

/// Runs the jobs until all are done or one fails.
fn run_jobs(jobs: &[Job]) -> Result<()> {
    let progress = Progress::bar("counting instructions");
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let error = Mutex::new(None);
    let work = || {
        while !is_over.load(Ordering::Relaxed) {
            let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            match job.run(&progress) {
                // The hosts measure about the same.
                Ok(figures) => progress.expect(figures * jobs.len() as u64),
                Err(reason) => {
                    is_over.store(true, Ordering::Relaxed);
                    locked(&error).get_or_insert(reason);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE.min(jobs.len()) {
            scope.spawn(work);
        }
    });
    locked(&error).take().map_or(Ok(()), Err)
}

impl Job {
    fn new(host: &'static Host, plan: &Plan) -> Self {
        let boot =
            |image: &PathBuf| Boot { counts_instructions: true, limit: LIMIT, ..Boot::new(host, image) };
        let words = plan.names.as_deref().map(words);
        let kernel = words.as_deref().map(|words| boot(&plan.image).arguments(words));
        let exits_boot = words.as_deref().and_then(|words| exits::boot(&plan.image, words).ok());
        let boots = kernel.into_iter().chain(plan.sites.iter().map(boot)).collect();
        Self {
            host,
            boots,
            shown: Mutex::default(),
            consoles: Mutex::default(),
            exits_boot: exits_boot.filter(|boot| boot.host.name == host.name),
            exits: Mutex::default(),
        }
    }

    /// Boots, and returns how many figures came.
    fn run(&self, progress: &Progress) -> Result<u64> {
        let mut count = 0;
        let runs = run_all(&self.boots, &mut |bytes| {
            let mut shown = locked(&self.shown);
            shown.extend_from_slice(bytes);
            // Only what is new is searched, with as much before it as a line may begin with.
            let from = shown.len() - (bytes.len() + BEGINNING.len() - 1).min(shown.len());
            let new =
                shown[from..].windows(BEGINNING.len()).filter(|window| *window == BEGINNING).count() as u64;
            progress.advance(new);
            count += new;
            Ok(())
        })?;
        for run in &runs {
            judge(run)?;
        }
        let consoles = runs.into_iter().map(|run| run.console).collect();
        *locked(&self.consoles) = consoles;
        if let Some(boot) = &self.exits_boot {
            let run = boot.run()?;
            judge(&run)?;
            *locked(&self.exits) = exits::of(&run).context("exits of a turn")?;
        }
        Ok(count)
    }

    /// Makes figures of what came: of everything, or of what was shown before the job broke.
    fn figures(&self) -> Result<HostFigures> {
        let consoles = locked(&self.consoles);
        if !consoles.is_empty() {
            let mut found = figures_of(self.host, &consoles)?;
            exits::tell(&locked(&self.exits), &mut found.figures);
            return Ok(found);
        }
        let mut lines = Lines::read(&String::from_utf8_lossy(&locked(&self.shown)))?;
        figures::drop_incomplete(&mut lines);
        host_figures(self.host, vec![lines])
    }
}

/// Locks, also after a thread that held the lock broke: what it had put there until then is whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How the line of a figure begins.
const BEGINNING: &[u8] = b"\nbench ";

/// Writes what the kernel is asked for.
fn words(names: &[String]) -> String {
    if names.is_empty() { "bench".to_owned() } else { format!("bench={}", names.join(",")) }
}

/// Makes figures of the whole consoles of a host.
pub(crate) fn figures_of(host: &Host, consoles: &[String]) -> Result<HostFigures> {
    let lines: Result<Vec<Lines>> = consoles.iter().map(|console| Lines::read(console)).collect();
    host_figures(host, lines.context(host.name)?)
}

/// Makes figures of the lines of a host, a console's at a time.
fn host_figures(host: &Host, consoles: Vec<Lines>) -> Result<HostFigures> {
    let includes_host = host.place == Place::Rig;
    let exactness = if includes_host { Exactness::Near } else { Exactness::Whole };
    let mut figures: Vec<Figure> = Vec::new();
    let mut skipped: Vec<Skipped> = Vec::new();
    for lines in consoles {
        figures.extend(figures::figures(&lines, exactness).with_context(|| host.name)?);
        skipped.extend(lines.skipped);
    }
    if includes_host {
        init::by_site(&mut figures);
    }
    Ok(HostFigures {
        host: host.name.to_owned(),
        about: host.about.to_owned(),
        includes_host,
        depends_on: versions::of_host(host),
        figures,
        skipped,
    })
}
