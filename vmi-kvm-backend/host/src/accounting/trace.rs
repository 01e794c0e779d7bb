//! All exits of the guest's CPUs, by address and reason, as Linux's tracing counts them: a histogram over the event
//! `kvm:kvm_exit`, in an instance of tracefs that is this run's own.
//!
//! Source: Linux, `Documentation/trace/histogram.rst`. The kernel sums up itself, so nothing is lost on the way and the
//! guest is not slowed by a reader.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Where tracefs is mounted.
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
/// The name of an instance, before the number of its process.
const INSTANCE: &str = "vmi-run-";
const EVENT: &str = "events/kvm/kvm_exit";
/// What is counted, and how many different addresses and reasons there may be.
const TRIGGER: &str = "hist:keys=common_pid,guest_rip.hex,exit_reason:size=16384";

/// The counting in the kernel; ended when dropped.
#[derive(Debug)]
pub(super) struct Trace {
    instance: PathBuf,
    /// Which CPU each thread runs.
    threads: HashMap<i32, usize>,
}

/// What the kernel has counted.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Exits {
    counts: HashMap<(i32, u32, u64), (usize, u64)>,
    /// Exits that found no room.
    pub(super) lost: u64,
}

impl Trace {
    /// Starts counting.
    ///
    /// # Errors
    ///
    /// Says in a sentence why the kernel cannot count.
    pub(super) fn start() -> Result<Self, String> {
        let root = PLACES.iter().map(Path::new).find(|place| place.join("instances").is_dir());
        let root = root.ok_or("tracefs is not mounted, or may not be read")?;
        let namespace = fs::read_link("/proc/self/ns/pid");
        if namespace.is_ok_and(|namespace| !is_initial(&namespace)) {
            return Err("this is a PID namespace, where threads do not have the kernel's numbers".to_owned());
        }
        let instances = root.join("instances");
        sweep(&instances, is_alive);
        let instance = instances.join(format!("{INSTANCE}{}", std::process::id()));
        fs::create_dir(&instance)
            .map_err(|error| format!("`{}` cannot be made: {error}", instance.display()))?;
        let trace = Self { instance, threads: HashMap::new() };
        let trigger = trace.instance.join(EVENT).join("trigger");
        fs::write(&trigger, TRIGGER)
            .map_err(|error| format!("`{}` takes no histogram: {error}", trigger.display()))?;
        Ok(trace)
    }

    /// Notes that this thread runs that CPU.
    pub(super) fn attach(&mut self, cpu: usize) {
        self.threads.insert(rustix::thread::gettid().as_raw_nonzero().get(), cpu);
    }

    /// Returns what was counted so far.
    pub(super) fn read(&self) -> Option<Exits> {
        let text = fs::read_to_string(self.instance.join(EVENT).join("hist")).ok()?;
        Some(parse(&text, &self.threads))
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        remove(&self.instance);
    }
}

/// Ends the counting in an instance.
fn remove(instance: &Path) {
    // Triggers go with their instance, but only where none holds the event.
    let _ = fs::write(instance.join(EVENT).join("trigger"), format!("!{TRIGGER}"));
    let _ = fs::remove_dir(instance);
}

/// Ends the counting of runs that were killed: it goes on, and costs every other run, until somebody does.
fn sweep(instances: &Path, is_alive: impl Fn(i32) -> bool) {
    for instance in fs::read_dir(instances).into_iter().flatten().flatten() {
        let name = instance.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(INSTANCE)?.parse().ok());
        if process.is_some_and(|process| !is_alive(process)) {
            remove(&instance.path());
        }
    }
}

/// Tells whether there is another process of that number. By its files: a confined process may send no signal, not even
/// none. Without such files all are alive.
fn is_alive(process: i32) -> bool {
    let has_files = |process: &str| Path::new("/proc").join(process).exists();
    process as u32 != std::process::id() && (has_files(&process.to_string()) || !has_files("self"))
}

impl Exits {
    /// Returns what was added since: CPU, reason, address, count.
    pub(super) fn since(&self, before: &Self) -> impl Iterator<Item = (usize, u32, u64, u64)> {
        self.counts.iter().filter_map(|(key @ (_, reason, address), (cpu, count))| {
            let count = count - before.counts.get(key).map_or(0, |(_, count)| *count);
            (count != 0).then_some((*cpu, *reason, *address, count))
        })
    }
}

/// Tells whether that is the first PID namespace, whose numbers are the kernel's own. Source: Linux,
/// `include/linux/proc_ns.h`, `PROC_PID_INIT_INO`.
fn is_initial(namespace: &Path) -> bool {
    namespace == Path::new("pid:[4026531836]")
}

/// Reads a histogram: a line for each key, and the number of hits that found no room.
pub(super) fn parse(text: &str, threads: &HashMap<i32, usize>) -> Exits {
    let mut exits = Exits::default();
    for line in text.lines() {
        if let Some(lost) = line.trim().strip_prefix("Dropped:") {
            exits.lost = lost.trim().parse().unwrap_or(0);
        }
        let Some((keys, rest)) = line.strip_prefix('{').and_then(|line| line.split_once('}')) else {
            continue;
        };
        let Some(count) =
            rest.split_once("hitcount:").and_then(|(_, count)| count.split_whitespace().next()?.parse().ok())
        else {
            continue;
        };
        let value = |name: &str| {
            let field = keys.split(',').find_map(|field| field.trim().strip_prefix(name))?;
            field.strip_prefix(':').map(str::trim)
        };
        let thread = value("common_pid").and_then(|value| value.parse().ok());
        let address = value("guest_rip").and_then(|value| u64::from_str_radix(value, 16).ok());
        let reason = value("exit_reason").and_then(|value| value.parse().ok());
        if let (Some(thread), Some(address), Some(reason)) = (thread, address, reason)
            && let Some(cpu) = threads.get(&thread)
        {
            exits.counts.insert((thread, reason, address), (*cpu, count));
        }
    }
    exits
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# event histogram
#
# trigger info: hist:keys=common_pid,guest_rip.hex,exit_reason:vals=hitcount:sort=hitcount:size=16384 [active]
#

{ common_pid:        102, guest_rip:           200000, exit_reason:        123 } hitcount:          1
{ common_pid:        103, guest_rip: ffffffff81000010, exit_reason:        114 } hitcount:      10000
{ common_pid:          7, guest_rip:           200000, exit_reason:        114 } hitcount:          5

Totals:
    Hits: 10006
    Entries: 3
    Dropped: 2
";

    #[test]
    fn a_histogram_is_read_for_the_threads_of_this_run_alone() {
        let threads = HashMap::from([(102, 0), (103, 1)]);
        let exits = parse(TEXT, &threads);
        assert_eq!(exits.lost, 2);
        let mut counts: Vec<_> = exits.since(&Exits::default()).collect();
        counts.sort_unstable();
        assert_eq!(counts, [(0, 123, 0x20_0000, 1), (1, 114, 0xffff_ffff_8100_0010, 10_000)]);
        assert_eq!(exits.since(&parse(TEXT, &threads)).count(), 0);
        let earlier = parse(&TEXT.replace(" 10000", " 9000"), &threads);
        assert_eq!(exits.since(&earlier).collect::<Vec<_>>(), [(1, 114, 0xffff_ffff_8100_0010, 1000)]);
    }

    #[test]
    fn what_killed_runs_left_behind_is_swept_and_nothing_else() {
        let instances = tempfile::tempdir().unwrap();
        let names = ["vmi-run-17", "vmi-run-18", "vmi-run-", "vmi-run-x", "others-17"];
        names.iter().for_each(|name| fs::create_dir(instances.path().join(name)).unwrap());
        sweep(instances.path(), |process| process == 18);
        let is_left = |name: &&&str| instances.path().join(name).exists();
        assert_eq!(names.iter().filter(is_left).collect::<Vec<_>>(), names[1..].iter().collect::<Vec<_>>());
    }

    #[test]
    fn the_dead_are_told_from_the_living() {
        assert!(is_alive(1));
        assert!(!is_alive(std::process::id() as i32), "who has our number now was not us");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(!is_alive(child.id() as i32));
    }

    #[test]
    fn the_first_pid_namespace_is_known() {
        assert!(is_initial(Path::new("pid:[4026531836]")));
        assert!(!is_initial(Path::new("pid:[4026532201]")));
    }

    #[test]
    fn garbage_is_no_histogram() {
        for text in ["", "{", "{ } hitcount:", "{ common_pid: x, guest_rip: 1, exit_reason: 2 } hitcount: 3"]
        {
            assert_eq!(parse(text, &HashMap::from([(1, 0)])), Exits::default());
        }
    }
}
