//! Measures what a command costs from its start to its first line of output, and to its end.
//!
//! Prints one line of JSON: nanoseconds of CPU time of all the process's threads (under QEMU's
//! `-icount shift=0` that is instructions, the kernel's on its behalf included and idle time not), exits as KVM counts
//! them, and the largest memory of the process, in KiB, at the first line.
//!
//! Usage: `startup COMMAND [ARGUMENTS...]`

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

fn main() {
    let mut words = std::env::args().skip(1);
    let program = words.next().expect("usage: startup COMMAND [ARGUMENTS...]");
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().expect("the command can be started");
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = Vec::new();
    output.read_until(b'\n', &mut line).expect("the output can be read");
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

/// Adds up what is resident of all mappings but those of 64 MiB and more, which are the guest's.
fn memory_beside_the_guest(smaps: &str) -> u64 {
    const GUEST_KIB: u64 = 64 << 10;
    let (mut size, mut sum) = (0, 0);
    for line in smaps.lines() {
        if let Some(kib) = line.strip_prefix("Size:") {
            size = first_number(kib);
        } else if let Some(kib) = line.strip_prefix("Rss:").filter(|_| size < GUEST_KIB) {
            sum += first_number(kib);
        }
    }
    sum
}

fn threads(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process still runs");
    tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok()).collect()
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
