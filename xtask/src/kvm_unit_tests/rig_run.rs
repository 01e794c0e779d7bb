//! Runs tests in the rig, each under QEMU and then under `vmi-run`, several in one start of the rig.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::machine::{Machine, NOW};
use super::seen::Seen;
use super::unittests::Entry;
use crate::boot::Ending;
use crate::interrupt::Interrupted;
use crate::progress::{Progress, say};
use crate::qemu::Finish;
use crate::rig::{self, Errand};
use crate::{install, qemu, qmp, vmi_run};

/// So many tests share a start of the rig, and their images so many bytes: all that a job brings lies in memory there.
const TESTS: usize = 8;
const BYTES: u64 = 64 << 20;

/// The rig as it is, and with more memory: `vmi-run` refuses a guest that its machine has no room for.
static RIG: Rig = Rig { machine: &[], guest_mib: 512 };
static LARGE_RIG: Rig = Rig { machine: &["-m", "6G"], guest_mib: MEMORY_MAX_MIB };

/// As much as a test may have, in MiB.
pub(super) const MEMORY_MAX_MIB: u64 = 5 << 10;

/// A machine of the rig's.
#[derive(Debug)]
struct Rig {
    /// What the rig's own QEMU is told.
    machine: &'static [&'static str],
    /// How much memory a guest may have there, in MiB.
    guest_mib: u64,
}

/// How much later than QEMU or `vmi-run` by themselves the rig ends a test.
const SLACK: Duration = Duration::from_secs(10);

/// What is killed so long before its time was up was not killed because of that.
const EARLY: Duration = Duration::from_secs(2);

/// What the rig's QEMU starts multiboot images by, of which a version looks for one.
const OPTION_ROMS: [&str; 2] = ["multiboot.bin", "multiboot_dma.bin"];

/// What a script says on its standard error whose test makes no sense on the rig, before the reason.
const UNMET: &str = "unmet: ";

/// A test that can be run.
#[derive(Debug)]
pub(super) struct Ready<'a> {
    pub(super) entry: &'a Entry,
    pub(super) machine: &'a Machine,
    pub(super) image: PathBuf,
    /// How long it may take on either side.
    pub(super) limit: Duration,
}

impl Ready<'_> {
    /// Returns the rig whose memory suffices.
    fn rig(&self) -> &'static Rig {
        if self.machine.memory_mib <= RIG.guest_mib { &RIG } else { &LARGE_RIG }
    }
}

/// What came of a test.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It ran on both sides.
    Ran { qemu: Side, vmi_run: Side },
    /// It makes no sense on the rig, for this reason.
    Unmet(String),
}

/// What came of a test on one side.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) seen: Seen,
    pub(super) console: String,
}

/// Which virtual machine monitor a script starts.
#[derive(Clone, Copy, Debug)]
enum Monitor {
    Qemu,
    VmiRun,
}

/// Runs all of them; returns what came of each, in their order.
///
/// # Errors
///
/// Fails where the rig cannot be had, and on Ctrl-C. A rig that breaks breaks the test that it had, not the others.
pub(super) fn run(tests: &[Ready<'_>]) -> Result<Vec<Outcome>> {
    let mut files = vec![(rig::VMI_RUN.to_owned(), vmi_run::build()?)];
    let option_roms = install::firmware(&OPTION_ROMS)?;
    let place = |name: &str| format!("{}/{name}", rig::FIRMWARE);
    files.extend(option_roms.into_iter().filter_map(|(name, file)| Some((place(name), file?))));
    let progress = Progress::bar("running tests in the rig");
    progress.expect(tests.len() as u64);
    let mut outcomes = BTreeMap::new();
    for rig in [&RIG, &LARGE_RIG] {
        let all: Vec<_> =
            tests.iter().enumerate().filter(|(_, test)| std::ptr::eq(test.rig(), rig)).collect();
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            let (some, others) = rest.split_at(batch(rest.iter().map(|(_, test)| *test))?);
            let batch: Vec<&Ready<'_>> = some.iter().map(|(_, test)| *test).collect();
            let came = start_or_alone(&files, &batch, rig)?;
            outcomes.extend(some.iter().map(|(number, _)| *number).zip(came));
            progress.advance(batch.len() as u64);
            rest = others;
        }
    }
    Ok(outcomes.into_values().collect())
}

/// Runs tests in one start of the rig, or where that breaks, each in one of its own.
fn start_or_alone(files: &[(String, PathBuf)], tests: &[&Ready<'_>], rig: &Rig) -> Result<Vec<Outcome>> {
    let error = match start(files, tests, rig) {
        Ok(outcomes) => return Ok(outcomes),
        Err(error) if error.is::<Interrupted>() => return Err(error),
        Err(error) => error,
    };
    if let [_] = tests {
        let side = || Side { seen: Seen::broken(format!("{error:#}")), console: String::new() };
        return Ok(vec![Outcome::Ran { qemu: side(), vmi_run: side() }]);
    }
    say(&format!("{error:#}; trying its tests one by one"));
    let alone = tests.iter().map(|test| start_or_alone(files, &[test], rig));
    Ok(alone.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Returns how many of the tests the next start of the rig takes.
fn batch<'a>(tests: impl ExactSizeIterator<Item = &'a Ready<'a>>) -> Result<usize> {
    let all = tests.len();
    let mut images = BTreeMap::new();
    for (count, Ready { image, .. }) in tests.enumerate() {
        let cannot = || format!("cannot look at `{}`", image.display());
        images.insert(image.as_path(), fs::metadata(image).with_context(cannot)?.len());
        let is_full = count == TESTS || images.values().sum::<u64>() > BYTES;
        if is_full && count > 0 {
            return Ok(count);
        }
    }
    Ok(all)
}

/// Runs tests in one start of the rig.
fn start(files: &[(String, PathBuf)], tests: &[&Ready<'_>], rig: &Rig) -> Result<Vec<Outcome>> {
    let mut files = files.to_vec();
    let mut scripts = Vec::new();
    for test in tests {
        let place = place(&test.image, &test.entry.file, &mut files);
        scripts.push(script(test, &place, scripts.len(), Monitor::Qemu));
        scripts.push(script(test, &place, scripts.len(), Monitor::VmiRun));
    }
    let limit = tests.iter().map(|test| test.limit).max().unwrap_or_default() + SLACK;
    let ends = rig::errands(files, scripts, limit, rig.machine)?;
    let (sides, _) = ends.as_chunks::<2>();
    let tests = tests.iter().zip(sides);
    Ok(tests.map(|(test, [qemu, vmi_run])| outcome(test, qemu, vmi_run)).collect())
}

/// Returns where the image lies in the rig: what several tests run lies there once.
fn place(image: &Path, name: &str, files: &mut Vec<(String, PathBuf)>) -> String {
    let known = files.iter().find(|(_, file)| file == image).map(|(place, _)| place.clone());
    known.unwrap_or_else(|| {
        // Its name is the test's first argument; a place of its own keeps it apart from the other files.
        let place = format!("/job/images/{}/{name}", files.len());
        files.push((place.clone(), image.to_owned()));
        place
    })
}

/// Writes the script that becomes the virtual machine monitor of a test; `number` is its own in the job.
fn script(test: &Ready<'_>, image: &str, number: usize, monitor: Monitor) -> String {
    let Ready { entry, machine, limit, .. } = test;
    let seconds = limit.as_secs().max(1).to_string();
    let console = format!("/job/{number}/console");
    // Tests have more memory than the rig, and touch little of it.
    let mut script = String::from("echo 1 >/proc/sys/vm/overcommit_memory\n");
    for (path, value) in &entry.checks {
        let reason = quoted(&format!("{UNMET}{path} is not {value}"));
        let (path, value) = (quoted(path), quoted(value));
        script += &format!(
            "[ \"$(/bin/busybox cat {path} 2>/dev/null)\" = {value} ] || {{ echo {reason} >&2; exit 1; }}\n"
        );
    }
    let mut words: Vec<String> = Vec::new();
    let mut add = |some: &[&str]| words.extend(some.iter().map(|word| (*word).to_owned()));
    let mut redirection = String::new();
    match monitor {
        Monitor::Qemu => {
            add(&["/bin/busybox", "timeout", "-s", "KILL", &seconds, rig::QEMU, "-L", rig::FIRMWARE]);
            add(&qemu::BASICS);
            add(&qmp::OPTIONS);
            add(&["-chardev", &format!("file,id=console,path={console}"), "-serial", "chardev:console"]);
            // As kvm-unit-tests' own runner, `x86/run`, has it.
            add(&["-device", "pc-testdev", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x4"]);
            add(&["-device", "pci-testdev", "-machine", "accel=kvm", "-kernel", image]);
            words.extend_from_slice(&machine.qemu);
        }
        Monitor::VmiRun => {
            let Machine { cpus, memory_mib, command_line, cpuid, .. } = machine;
            let environment = format!("/job/{number}/environment");
            // What tests ask QEMU's firmware configuration device for, unless they are told (`lib/x86/fwcfg.c`).
            script += &format!("echo 'NR_CPUS={cpus}\nMEMSIZE={memory_mib}\nTEST_DEVICE=0' >{environment}\n");
            add(&[rig::VMI_RUN, "--verbose", "--limit", &seconds, "--cpus", &cpus.to_string()]);
            add(&["--memory", &format!("{memory_mib}M"), "--initrd", &environment]);
            cpuid.iter().for_each(|rule| add(&["--cpuid", rule]));
            add(&[image]);
            if !command_line.is_empty() {
                add(&["--", command_line]);
            }
            redirection = format!(" </dev/null >{console}");
        }
    }
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    script + &format!("exec {}{redirection}\n", words.join(" "))
}

/// Quotes a word for the rig's shell, which fills in the time of day.
fn quoted(word: &str) -> String {
    let plain = word.replace('\'', r"'\''");
    format!("'{}'", plain.replace(NOW, r#"'"$(/bin/busybox date +%s)"'"#))
}

/// Tells what came of a test from the ends of both scripts.
fn outcome(test: &Ready<'_>, qemu: &Errand, vmi_run: &Errand) -> Outcome {
    if let Some(reason) = qemu.finish.as_ref().and_then(|finish| finish.stderr.strip_prefix(UNMET)) {
        return Outcome::Unmet(reason.to_owned());
    }
    let side = |errand: &Errand, ending: fn(Finish) -> Ending| {
        let ending = match &errand.finish {
            Some(finish) => ending(finish.clone()),
            // The rig's kernel kills what finds no memory any more by the same signal.
            None if Duration::from_millis(errand.millis) + EARLY < test.limit => {
                Ending::Died { status: "signal 9 before its time was up".to_owned(), stderr: String::new() }
            }
            None => Ending::TimedOut,
        };
        Side { seen: Seen::of(&ending, &errand.console), console: errand.console.clone() }
    };
    let vmi_run_ending = |finish: Finish| vmi_run::ending(finish.code.unwrap_or(-1), &finish.stderr);
    Outcome::Ran { qemu: side(qemu, Ending::of), vmi_run: side(vmi_run, vmi_run_ending) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qmp::Events;

    fn with_test<T>(more: &str, look: impl FnOnce(&Ready<'_>) -> T) -> T {
        let entries = super::super::unittests::read(&format!("[a]\nfile = a.flat\n{more}")).unwrap();
        let machine = Machine::of(&entries[0]).unwrap();
        let (entry, image) = (&entries[0], PathBuf::from("x86/a.flat"));
        look(&Ready { entry, machine: &machine, image, limit: Duration::from_secs(30) })
    }

    #[test]
    fn qemu_is_started_as_by_its_own_runner() {
        let script = with_test("smp = 2\nextra_params = -m 64 -append \"it's `date +%s`\"\n", |test| {
            script(test, "/job/images/0/a.flat", 6, Monitor::Qemu)
        });
        let (_, command) = script.trim_end().rsplit_once('\n').unwrap();
        let own = "'-device' 'pc-testdev' '-device' 'isa-debug-exit,iobase=0xf4,iosize=0x4' '-device' 'pci-testdev' \
             '-machine' 'accel=kvm' '-kernel' '/job/images/0/a.flat' '-smp' '2' '-m' '64' \
             '-append' 'it'\\''s '\"$(/bin/busybox date +%s)\"''";
        assert!(command.ends_with(own), "{command}");
        assert!(
            command.starts_with("exec '/bin/busybox' 'timeout' '-s' 'KILL' '30' '/usr/bin/qemu' "),
            "{command}"
        );
        assert!(
            command.contains("'file,id=console,path=/job/6/console' '-serial' 'chardev:console'"),
            "{command}"
        );
    }

    #[test]
    fn vmi_run_is_told_what_qemu_would_have_said() {
        let script = with_test("smp = 2\nextra_params = -m 1g -cpu max,-pcid -append '-a b'\n", |test| {
            script(test, "/job/images/0/a.flat", 7, Monitor::VmiRun)
        });
        let expected = "echo 'NR_CPUS=2\nMEMSIZE=1024\nTEST_DEVICE=0' >/job/7/environment\n\
             exec '/usr/bin/vmi-run' '--verbose' '--limit' '30' '--cpus' '2' '--memory' '1024M' \
             '--initrd' '/job/7/environment' '--cpuid' '1:ecx=0/0x20000' '/job/images/0/a.flat' '--' '-a b' \
             </dev/null >/job/7/console\n";
        assert!(script.ends_with(expected), "{script}");
    }

    #[test]
    fn a_check_is_made_before_anything_is_started() {
        let script = with_test("check = /proc/a=N\n", |test| script(test, "a", 0, Monitor::Qemu));
        let check = "[ \"$(/bin/busybox cat '/proc/a' 2>/dev/null)\" = 'N' ] || { echo 'unmet: /proc/a is not N' >&2; exit 1; }";
        assert_eq!(script.lines().nth(1), Some(check));
    }

    fn errand(finish: Option<(i32, &str)>, millis: u64) -> Errand {
        let finish = finish.map(|(code, stderr)| Finish {
            code: Some(code),
            status: format!("status {code}"),
            events: Events { resumed: true, ..Events::default() },
            stderr: stderr.to_owned(),
        });
        Errand { console: "going on\n".to_owned(), finish, millis }
    }

    #[test]
    fn ends_are_told_apart() {
        let exit = |code| errand(Some((code, "vmi-run: the guest ended with status 0")), 9);
        let both = |qemu: Errand, vmi_run: Errand| match with_test("", |test| outcome(test, &qemu, &vmi_run))
        {
            Outcome::Ran { qemu, vmi_run } => format!("{} / {}", qemu.seen, vmi_run.seen),
            Outcome::Unmet(reason) => reason,
        };
        assert_eq!(both(exit(1), exit(0)), "pass / pass");
        assert_eq!(both(exit(77), exit(38)), "skip / skip");
        assert_eq!(both(exit(3), exit(1)), "fail, bad status / fail, bad status");
        assert_eq!(both(errand(None, 30_010), exit(0)), "fail, time up / pass");
        let told = errand(Some((124, "vmi-run: the guest's time was up")), 30_000);
        assert_eq!(both(exit(1), told), "pass / fail, time up");
        // As by the rig's kernel, which has no memory left.
        assert_eq!(both(errand(None, 500), errand(None, 500)), "fail, died / fail, died");
        assert_eq!(both(errand(Some((1, "unmet: /proc/a is not N")), 9), exit(1)), "/proc/a is not N");
    }

    #[test]
    fn a_start_of_the_rig_takes_what_its_memory_holds() {
        let directory = tempfile::tempdir().unwrap();
        let image = |name: &str, bytes: u64| {
            let path = directory.path().join(name);
            fs::File::create(&path).unwrap().set_len(bytes).unwrap();
            path
        };
        let images = [image("a", BYTES / 2), image("b", BYTES / 2), image("c", 1), image("d", BYTES + 1)];
        let taken = |which: &[usize]| {
            with_test("", |test| {
                let ready = |number: &usize| Ready { image: images[*number].clone(), ..*test };
                batch(which.iter().map(ready).collect::<Vec<_>>().iter()).unwrap()
            })
        };
        assert_eq!(taken(&[0, 0, 1, 0, 2]), 4);
        assert_eq!(taken(&[3, 2]), 1);
        assert_eq!(taken(&[2; TESTS + 1]), TESTS);
        assert_eq!(taken(&[2; TESTS]), TESTS);
    }
}
