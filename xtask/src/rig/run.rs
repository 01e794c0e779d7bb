//! One job of the rig, with one guest behind the other.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};

use super::archive::Archive;
use super::cache::digest;
use super::control::{Consoles, Line};
use super::guest::Guest;
use super::machine::{Machine, PATIENCE, Said, arguments, pad};
use super::{cache, started};
use crate::boot::{Boot, Ending, Run, Sink};
use crate::host::Vmm;
use crate::qemu::Finish;
use crate::{qemu, qmp, vmi_run};

/// How much later than the rig itself we give up on a guest.
const SLACK: Duration = Duration::from_secs(15);

/// Where `vmi-run` lies in the rig.
pub(crate) const VMI_RUN: &str = "/usr/bin/vmi-run";

/// What one start of the rig is for.
struct Job {
    /// Files, and where they lie in the rig.
    files: Vec<(String, PathBuf)>,
    /// A shell script a guest, which becomes its virtual machine monitor.
    scripts: Vec<String>,
    /// How long each may take.
    limit: Duration,
    /// Whether exits are counted.
    trace_exits: bool,
}

/// Boots in one start of the rig, each guest behind the other.
pub(crate) fn run(boots: &[Boot], sink: &mut Sink<'_>) -> Result<Vec<Run>> {
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    let mut scripts = Vec::new();
    for (guest, boot) in boots.iter().enumerate() {
        // What several guests boot lies there once.
        let known = files.iter().find(|(_, file)| *file == boot.image).map(|(place, _)| place.clone());
        let image = known.unwrap_or_else(|| {
            let place = format!("/job/{guest}/image");
            files.push((place.clone(), boot.image.clone()));
            place
        });
        scripts.push(script(boot, guest, &image));
        files.extend(boot.files.iter().map(|file| (file.display().to_string(), file.clone())));
    }
    if boots.iter().any(|boot| boot.host.vmm == Vmm::VmiRun) {
        files.push((VMI_RUN.to_owned(), vmi_run::build()?));
    }
    let job = Job {
        files,
        scripts,
        limit: boots.iter().map(|boot| boot.limit).max().unwrap_or_default(),
        trace_exits: boots.iter().any(|boot| boot.trace_exits),
    };
    let machine: Vec<&str> = boots.first().into_iter().flat_map(Boot::counting).collect();
    let Done { guests, consoles, .. } = start(&job, &machine, sink)?;
    let finished = guests.into_iter().zip(boots).enumerate();
    finished.map(|(number, (guest, boot))| finish(boot, guest, consoles.text(number))).collect()
}

/// Runs a shell script in the rig, with files where it looks for them; more arguments for the rig's own QEMU may change
/// the machine it runs on. Returns what the script wrote to `/job/0/console`, and its status.
///
/// # Errors
///
/// Fails where the rig does, and when the time is up.
pub(crate) fn errand(
    files: &[(&str, &Path)],
    script: &str,
    limit: Duration,
    machine: &[&str],
) -> Result<(String, i32)> {
    let files = files.iter().map(|(place, file)| ((*place).to_owned(), (*file).to_owned())).collect();
    let job = Job { files, scripts: vec![script.to_owned()], limit, trace_exits: false };
    let Done { guests, consoles, .. } = start(&job, machine, &mut |_| Ok(()))?;
    let console = consoles.text(0);
    match guests.into_iter().next().and_then(|guest| guest.ended) {
        Some((Some(finish), _)) => Ok((console, finish.code.unwrap_or(-1))),
        _ => bail!("the time was up after {} s: {console}", limit.as_secs()),
    }
}

/// What came of a script in the rig.
#[derive(Debug)]
pub(crate) struct Errand {
    /// What it wrote to its console.
    pub(crate) console: String,
    /// How it ended; `None` where it was killed.
    pub(crate) finish: Option<Finish>,
    /// After how many milliseconds it ended.
    pub(crate) millis: u64,
}

/// Runs shell scripts in one start of the rig, each behind the other and each for so long at most, with files where they
/// look for them; more arguments for the rig's own QEMU may change the machine they run on. Script `n` writes to
/// `/job/n/console`; its input begins with the commands that start a QEMU with [`qmp::OPTIONS`].
///
/// # Errors
///
/// Fails where the rig does, also when it is stuck so that not all scripts ran.
pub(crate) fn errands(
    files: Vec<(String, PathBuf)>,
    scripts: Vec<String>,
    limit: Duration,
    machine: &[&str],
) -> Result<Vec<Errand>> {
    let job = Job { files, scripts, limit, trace_exits: false };
    let Done { guests, consoles, all_ran } = start(&job, machine, &mut |_| Ok(()))?;
    if !all_ran {
        bail!("the rig is stuck");
    }
    let ended = guests.into_iter().enumerate().filter_map(|(number, guest)| {
        let (finish, millis) = guest.ended?;
        Some(Errand { console: consoles.text(number), finish, millis })
    });
    Ok(ended.collect())
}

/// What came of a job.
struct Done {
    /// As many as it has scripts.
    guests: Vec<Guest>,
    consoles: Consoles,
    /// Whether the rig came to its end; guests that it did not come to look as if their time had been up.
    all_ran: bool,
}

/// Has the rig do a job and listens until it is done.
fn start(job: &Job, machine: &[&str], sink: &mut Sink<'_>) -> Result<Done> {
    let base = cache::ensure()?;
    let state = started::ensure(&base, machine)?;
    let mark = mark();
    let disk = tempfile::NamedTempFile::new().context("cannot make the disk of a job")?;
    write_job(disk.as_file(), job, &mark)?;
    pad(disk.as_file())?;

    let mut arguments = arguments(&base, disk.path(), machine);
    arguments.extend(qmp::go_on(&state));
    let mut rig = Rig {
        machine: Machine::start(&arguments)?,
        consoles: Consoles::new(&mark),
        guests: Vec::new(),
        limit: job.limit,
    };
    let all_ran = rig.watch(job.scripts.len(), sink)?;
    if !all_ran && rig.guests.is_empty() {
        bail!("the rig started no guest within {} s{}", PATIENCE.as_secs(), rig.machine.last_words());
    }
    rig.guests.iter_mut().for_each(Guest::time_out);
    rig.guests.resize_with(job.scripts.len(), || {
        let mut guest = Guest::start();
        guest.time_out();
        guest
    });
    Ok(Done { guests: rig.guests, consoles: rig.consoles, all_ran })
}

fn finish(boot: &Boot, guest: Guest, console: String) -> Result<Run> {
    if guest.lost > 0 {
        bail!("the rig's histogram had no room for {} exits", guest.lost);
    }
    let (finish, millis) = guest.ended.context("a guest of the rig came to no end")?;
    let said = finish.as_ref().map(|finish| finish.stderr.clone()).unwrap_or_default();
    let ending = match (finish, boot.host.vmm) {
        (None, _) => Ending::TimedOut,
        (Some(finish), Vmm::Qemu) => Ending::of(finish),
        (Some(finish), Vmm::VmiRun) => vmi_run::ending(finish.code.unwrap_or(-1), &finish.stderr),
    };
    Ok(Run { host: boot.host, console, ending, millis, exits: guest.exits, said })
}

/// A job of the rig while it is done.
struct Rig {
    machine: Machine,
    consoles: Consoles,
    guests: Vec<Guest>,
    limit: Duration,
}

impl Rig {
    /// Listens until the rig has switched itself off; returns whether all guests ran.
    ///
    /// # Errors
    ///
    /// Fails where the rig itself breaks, where the sink fails, and on Ctrl-C.
    fn watch(&mut self, guests: usize, sink: &mut Sink<'_>) -> Result<bool> {
        let mut deadline = Instant::now() + PATIENCE;
        let mut done = false;
        loop {
            match self.machine.next(deadline)? {
                Said::Console(bytes) => sink(&self.consoles.take(&bytes))?,
                Said::Lines(lines) => {
                    for line in lines {
                        deadline = Instant::now() + PATIENCE;
                        match line {
                            Line::Start(_) => {
                                self.guests.push(Guest::start());
                                deadline = Instant::now() + self.limit + SLACK;
                            }
                            Line::Done => done = true,
                            Line::Broken(reason) => {
                                bail!("the rig is broken: {reason}{}", self.machine.last_words())
                            }
                            about_guest => {
                                if let Some(guest) = self.guests.last_mut() {
                                    guest.take(about_guest);
                                }
                            }
                        }
                    }
                }
                Said::Ended(_) if done && self.guests.len() == guests => return Ok(true),
                Said::Ended(finish) => {
                    let complaint =
                        if finish.stderr.is_empty() { String::new() } else { format!(": {}", finish.stderr) };
                    let last_words = self.machine.last_words();
                    bail!("the rig ended early with {}{complaint}{last_words}", finish.status);
                }
                Said::TimedOut => return Ok(false),
            }
        }
    }
}

/// Writes the archive that is a job: the files, and a script for each guest.
fn write_job(disk: &File, job: &Job, mark: &str) -> Result<()> {
    let mut archive = Archive::new(BufWriter::new(disk));
    archive.file("job/mark", format!("{mark}\n").as_bytes())?;
    archive.file("job/limit", format!("{}\n", job.limit.as_secs().max(1)).as_bytes())?;
    let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    archive.file("job/epoch", format!("{}\n", epoch.as_secs()).as_bytes())?;
    archive.file("job/start", qmp::START.as_bytes())?;
    if job.trace_exits {
        archive.file("job/trace", b"")?;
    }
    for (place, file) in &job.files {
        archive.copy(place, file)?;
    }
    for (guest, script) in job.scripts.iter().enumerate() {
        archive.file(&format!("job/{guest}/run"), script.as_bytes())?;
    }
    archive.finish()?.flush().context("cannot write the disk of a job")
}

/// Writes the script that becomes the guest's virtual machine monitor.
fn script(boot: &Boot, guest: usize, image: &str) -> String {
    let mut words: Vec<String>;
    let console = format!("/job/{guest}/console");
    let redirection = match boot.host.vmm {
        Vmm::Qemu => {
            words = [cache::QEMU, "-L", cache::FIRMWARE].map(str::to_owned).to_vec();
            words.extend(qemu::BASICS.map(str::to_owned));
            words.extend(qmp::OPTIONS.map(str::to_owned));
            words.extend(["-chardev".to_owned(), format!("file,id=console,path={console}")]);
            words.extend(boot.qemu_arguments(image, "console"));
            String::new()
        }
        Vmm::VmiRun => {
            words = vec![VMI_RUN.to_owned()];
            words.extend(vmi_run::arguments(boot, image));
            format!(" </dev/null >{console}")
        }
    };
    let quoted: Vec<String> = words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
    format!("exec {}{redirection}\n", quoted.join(" "))
}

/// Makes a mark for the ends of the consoles that no guest can print by chance.
fn mark() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    let hash = digest(format!("{now} {}", std::process::id()).as_bytes());
    format!("[end of console {hash}]")
}
