//! Measures what a command costs from its start to the line of its output that holds a text, and to its end.
//!
//! Prints one line of JSON: nanoseconds of CPU time of all the process's threads (under QEMU's
//! `-icount shift=0` that is instructions, the kernel's on its behalf included and idle time not), exits as KVM counts
//! them, and the largest memory of the process, in KiB, at that line.
//!
//! Usage: `startup TEXT COMMAND [ARGUMENTS...]`, and beside it, for as long as it takes, `startup --hold-a-filter`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

fn main() {
    let mut words = std::env::args().skip(1);
    let text = words.next().unwrap_or_default();
    if text == "--hold-a-filter" {
        hold_a_filter();
    }
    let program = words.next().expect("usage: startup TEXT COMMAND [ARGUMENTS...]");
    run_first();
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().expect("the command can be started");
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut lines = output.split(b'\n').map(|line| line.expect("the output can be read"));
    let line = lines.by_ref().find(|line| String::from_utf8_lossy(line).contains(&text));
    let line = line.unwrap_or_else(|| panic!("the output holds no `{text}`"));
    let pid = child.id();
    let nanoseconds: u64 = threads(pid).iter().map(|thread| first_number(thread)).sum();
    let exits = fs::read_to_string("/sys/kernel/debug/kvm/exits").map_or(0, |text| first_number(&text));
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).map_or(0, first_number);
    let smaps = fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap_or_default();
    let beside = memory_beside_the_guest(&smaps);
    println!(
        "{{\"ns\":{nanoseconds},\"exits\":{exits},\"rss_kib\":{},\"beside_guest_kib\":{beside},\"line\":{:?}}}",
        field("VmRSS:"),
        String::from_utf8_lossy(&line).trim()
    );
    let _ = child.kill();
    let _ = child.wait();
}

/// Has this thread run before all others: what the command does behind its line is not counted.
// UNSAFETY: a system call that no library here has.
#[expect(unsafe_code)]
fn run_first() {
    // The kernel's `sched_param`; the function of that name does nothing in musl.
    let priority: libc::c_int = 50;
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: reads one integer, and changes how this thread is scheduled; its children are as they always are.
    let status = unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, &raw const priority) };
    assert!(status == 0, "no leave to run in real time: {}", std::io::Error::last_os_error());
}

/// Has a filter for system calls be there before that of a command: with the first one the kernel prepares memory for all of
/// them, and on a machine that runs services there is one.
fn hold_a_filter() -> ! {
    let nothing = BTreeMap::new();
    let filter = SeccompFilter::new(nothing, SeccompAction::Allow, SeccompAction::Trap, TargetArch::x86_64);
    let program: BpfProgram = filter.and_then(TryInto::try_into).expect("the filter is well formed");
    seccompiler::apply_filter(&program).expect("there are filters");
    loop {
        thread::park();
    }
}

/// Adds up what is resident of all mappings but the guest's: those of 64 MiB and more, and what lies right beside one.
fn memory_beside_the_guest(smaps: &str) -> u64 {
    const GUEST: u64 = 64 << 20;
    let mut mappings: Vec<(u64, u64, u64)> = Vec::new();
    for line in smaps.lines() {
        let place = line.split(' ').next().and_then(|place| place.split_once('-'));
        let place = place.and_then(|(start, end)| {
            Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
        });
        if let Some((start, end)) = place {
            mappings.push((start, end, 0));
        } else if let (Some(kib), Some(mapping)) = (line.strip_prefix("Rss:"), mappings.last_mut()) {
            mapping.2 = first_number(kib);
        }
    }
    let guest: Vec<_> = mappings.iter().filter(|(start, end, _)| end - start >= GUEST).collect();
    let is_guest =
        |start, end| guest.iter().any(|(s, e, _)| (*s, *e) == (start, end) || *s == end || *e == start);
    mappings.iter().filter(|(start, end, _)| !is_guest(*start, *end)).map(|(_, _, resident)| resident).sum()
}

fn threads(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process still runs");
    tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok()).collect()
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
