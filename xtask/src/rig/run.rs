//! One start of the rig, with one guest behind the other.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::archive::Archive;
use super::control::{Consoles, Line, Lines};
use super::guest::Guest;
use super::{cache, cache::Base};
use crate::boot::{Boot, Ending, Run, Sink};
use crate::host::Vmm;
use crate::qemu::{self, Qemu, Step};
use crate::{qmp, vmi_run};

/// How long the rig may be silent on its control channel while it runs no guest.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much later than the rig itself we give up on a guest.
const SLACK: Duration = Duration::from_secs(15);

/// Where `vmi-run` lies in the rig.
pub(crate) const VMI_RUN: &str = "/usr/bin/vmi-run";

const KERNEL_LOG: usize = 0;
const CONTROL: usize = 1;
const CONSOLE: usize = 2;

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
    let (guests, consoles) = start(&job, &machine, sink)?;
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
    let (guests, consoles) = start(&job, machine, &mut |_| Ok(()))?;
    let console = consoles.text(0);
    match guests.into_iter().next().and_then(|guest| guest.ended) {
        Some((Some(finish), _)) => Ok((console, finish.code.unwrap_or(-1))),
        _ => bail!("the time was up after {} s: {console}", limit.as_secs()),
    }
}

/// Starts the rig and listens until it is done.
fn start(job: &Job, machine: &[&str], sink: &mut Sink<'_>) -> Result<(Vec<Guest>, Consoles)> {
    let base = cache::ensure()?;
    let mark = mark();
    let directory =
        tempfile::Builder::new().prefix("vmi-rig-").tempdir().context("cannot make a directory")?;
    let archive = directory.path().join("rig.cpio");
    fs::copy(&base.archive, &archive).context("cannot copy the rig's archive")?;
    append_job(&archive, job, &mark)?;

    let mut arguments = arguments(&base, &archive);
    arguments.extend(machine.iter().map(|word| (*word).to_owned()));
    let mut rig = Rig {
        qemu: Qemu::start(&arguments, 3)?,
        log: Lines::default(),
        last_log: String::new(),
        control: Lines::default(),
        consoles: Consoles::new(&mark),
        guests: Vec::new(),
        limit: job.limit,
    };
    let all_ran = rig.watch(job.scripts.len(), sink)?;
    if !all_ran && rig.guests.is_empty() {
        bail!("the rig started no guest within {} s{}", PATIENCE.as_secs(), rig.last_words());
    }
    rig.guests.iter_mut().for_each(Guest::time_out);
    rig.guests.resize_with(job.scripts.len(), || {
        let mut guest = Guest::start();
        guest.time_out();
        guest
    });
    Ok((rig.guests, rig.consoles))
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

/// The rig while it runs.
struct Rig {
    qemu: Qemu,
    log: Lines,
    last_log: String,
    control: Lines,
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
            match self.qemu.next(deadline)? {
                Step::Bytes { channel: CONSOLE, bytes } => sink(&self.consoles.take(&bytes))?,
                Step::Bytes { channel: CONTROL, bytes } => {
                    for line in self.control.take(&bytes).iter().filter_map(|line| Line::read(line)) {
                        deadline = Instant::now() + PATIENCE;
                        match line {
                            Line::Start(_) => {
                                self.guests.push(Guest::start());
                                deadline = Instant::now() + self.limit + SLACK;
                            }
                            Line::Done => done = true,
                            Line::Broken(reason) => bail!("the rig is broken: {reason}{}", self.last_words()),
                            about_guest => {
                                if let Some(guest) = self.guests.last_mut() {
                                    guest.take(about_guest);
                                }
                            }
                        }
                    }
                }
                Step::Bytes { bytes, .. } => {
                    let lines = self.log.take(&bytes);
                    if let Some(line) = lines.into_iter().rev().find(|line| !line.trim().is_empty()) {
                        self.last_log = line;
                    }
                }
                Step::Ended(_) if done && self.guests.len() == guests => return Ok(true),
                Step::Ended(finish) => {
                    let complaint =
                        if finish.stderr.is_empty() { String::new() } else { format!(": {}", finish.stderr) };
                    bail!("the rig ended early with {}{complaint}{}", finish.status, self.last_words());
                }
                Step::TimedOut => {
                    self.qemu.kill();
                    return Ok(false);
                }
            }
        }
    }

    fn last_words(&self) -> String {
        match self.last_log.as_str() {
            "" => String::new(),
            line => format!("; the last line of its kernel: `{line}`"),
        }
    }
}

/// Writes the arguments that start the rig.
fn arguments(base: &Base, archive: &Path) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut option = |option: &str, value: &str| arguments.extend([option.to_owned(), value.to_owned()]);
    option("-accel", "tcg");
    option("-cpu", "max,+svm");
    option("-machine", "q35");
    option("-smp", "1");
    option("-m", "1G");
    option("-kernel", &base.kernel.display().to_string());
    option("-initrd", &archive.display().to_string());
    option("-append", "console=ttyS0 quiet panic=-1 tsc=reliable");
    // The third port has an interrupt of its own: at its usual place it would share that of the first.
    option("-device", &format!("isa-serial,chardev=channel-{KERNEL_LOG}"));
    option("-device", &format!("isa-serial,chardev=channel-{CONTROL}"));
    option("-device", &format!("isa-serial,chardev=channel-{CONSOLE},iobase=0x3e8,irq=5"));
    arguments
}

/// Appends what this start is for: `init`, the files, and a script for each guest.
fn append_job(archive: &Path, job: &Job, mark: &str) -> Result<()> {
    let file = OpenOptions::new().append(true).open(archive).context("cannot append to the rig's archive")?;
    let mut archive = Archive::new(file);
    archive.program("init", include_bytes!("init.sh"))?;
    archive.file("job/mark", format!("{mark}\n").as_bytes())?;
    archive.file("job/limit", format!("{}\n", job.limit.as_secs().max(1)).as_bytes())?;
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
    archive.finish()?;
    Ok(())
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
    let hash = Sha256::digest(format!("{now} {}", std::process::id()));
    let digits: String = hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("[end of console {digits}]")
}
