//! What it costs from the start of a virtual machine monitor to the first line of the image: `vmi-run` and QEMU side by
//! side, counted in one start of the rig.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::image::{self, Profile, Target};
use crate::progress::Progress;
use crate::table::{Cell, Table};
use crate::{qemu, rig, vmi_run, workspace};

/// The command that writes the costs that the pages tell.
pub(crate) const RENEW: &str = "cargo xtask startup --renew";

/// What one start cost.
#[derive(Debug, Deserialize)]
pub(crate) struct Cost {
    /// Instructions of the process, and of the kernel on its behalf: under `-icount shift=0` one a nanosecond.
    #[serde(rename = "ns")]
    pub(crate) instructions: u64,
    /// Exits of the guest, as KVM counts them.
    pub(crate) exits: u64,
    /// Memory of the process beside the guest's, in KiB.
    pub(crate) beside_guest_kib: u64,
}

/// Monitors of others to count beside our own and QEMU.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Count this Firecracker too
    #[arg(long, value_name = "PROGRAM")]
    firecracker: Option<PathBuf>,
    /// Count this Cloud Hypervisor too
    #[arg(long, value_name = "PROGRAM")]
    cloud_hypervisor: Option<PathBuf>,
    /// Write `benches/startup.txt`, whose costs the pages tell
    #[arg(long, conflicts_with_all = ["firecracker", "cloud_hypervisor"])]
    renew: bool,
}

/// The starts that are always compared: a name, and the command that boots `/job/image`.
const STARTS: [(&str, &str); 3] = [
    ("vmi-run", "/usr/bin/vmi-run /job/image"),
    ("QEMU, microvm", "$QEMU -M microvm"),
    ("QEMU, q35", "$QEMU -M q35"),
];

/// Firecracker's machine is a file; "Getting Started with Firecracker" has its fields.
const FIRECRACKER: (&str, &str) =
    ("Firecracker", "/job/firecracker --no-api --config-file /job/firecracker.json");
const FIRECRACKER_MACHINE: &str = r#"{
    "boot-source": { "kernel_image_path": "/job/image", "boot_args": "" },
    "drives": [],
    "machine-config": { "vcpu_count": 1, "mem_size_mib": 128 }
}"#;

const CLOUD_HYPERVISOR: (&str, &str) = (
    "Cloud Hypervisor",
    "/job/cloud-hypervisor --kernel /job/image --cpus boot=1 --memory size=128M --serial tty --console off",
);

const QEMU: &str = "/usr/bin/qemu -L /usr/share/qemu -nodefaults -no-user-config -display none -no-reboot -accel kvm \
    -cpu host -m 128M -kernel /job/image -serial stdio -device isa-debug-exit,iobase=0xf4,iosize=4";

/// What the image says first.
const FIRST_LINE: &str = "vmi sample kernel";

/// Measures, and prints a table.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let costs = measure(options)?;
    let mut table = Table::default();
    table.row(["start", "instructions", "exits", "KiB beside the guest's"].map(Cell::title));
    for (name, cost) in &costs {
        table.row([
            Cell::word(*name),
            Cell::number(cost.instructions),
            Cell::number(cost.exits),
            Cell::number(cost.beside_guest_kib),
        ]);
    }
    table.print()?;
    if options.renew {
        let path = path();
        fs::write(&path, table.plain()).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(true)
}

/// Returns where the costs are that the pages tell.
pub(crate) fn path() -> PathBuf {
    workspace::root().join("benches/startup.txt")
}

/// Reads the costs that the pages tell.
pub(crate) fn told() -> Result<Vec<(String, Cost)>> {
    let path = path();
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let row = |line: &str| {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        let mut number = || words.pop()?.parse().ok();
        let (beside_guest_kib, exits, instructions) = (number()?, number()?, number()?);
        Some((words.join(" "), Cost { instructions, exits, beside_guest_kib }))
    };
    let rows: Option<Vec<_>> = text.lines().skip(1).map(row).collect();
    rows.with_context(|| format!("`{}` is damaged; `{RENEW}` makes it anew", path.display()))
}

/// Measures every start once.
pub(crate) fn measure(options: &Options) -> Result<Vec<(&'static str, Cost)>> {
    let mut starts = STARTS.to_vec();
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    let others = [(&options.firecracker, FIRECRACKER), (&options.cloud_hypervisor, CLOUD_HYPERVISOR)];
    for (program, start) in others {
        if let Some(program) = program {
            ensure!(program.is_file(), "there is no program `{}`", program.display());
            let place = start.1.split(' ').next().unwrap_or_default().to_owned();
            files.extend(rig::libraries(program)?.into_iter().map(|file| (file.display().to_string(), file)));
            files.push((place, program.clone()));
            starts.push(start);
        }
    }
    files.push(("/job/image".to_owned(), image::build(Target::choose(), Profile::Release)?));
    let startup = vmi_run::build_static(&["build", "--example", "startup"], "startup")?;
    files.push(("/job/startup".to_owned(), startup));
    files.push((rig::VMI_RUN.to_owned(), vmi_run::build()?));
    let commands: String =
        starts.iter().map(|(_, command)| format!("/job/startup '{FIRST_LINE}' {command}\n")).collect();
    // What the first virtual machine of all costs the kernel is nobody's.
    let first = format!("/job/startup '{FIRST_LINE}' {} >/dev/null\n", STARTS[0].1);
    let script = format!(
        "/bin/busybox --install -s /bin\nmount -t debugfs none /sys/kernel/debug\nQEMU=\"{QEMU}\"\n\
         cat >/job/firecracker.json <<'END'\n{FIRECRACKER_MACHINE}\nEND\n\
         /job/startup --hold-a-filter &\nsleep 1\n{first}exec </dev/null >/job/0/console 2>&1\n{commands}kill $!\n"
    );
    let files: Vec<(&str, &Path)> =
        files.iter().map(|(place, file)| (place.as_str(), file.as_path())).collect();
    let _progress = Progress::start("counting in the rig");
    let (console, status) = rig::errand(&files, &script, Duration::from_secs(180), &qemu::ICOUNT)?;
    let costs: Vec<Cost> = console.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    ensure!(
        costs.len() == starts.len(),
        "{} of {} starts, status {status}: {console}",
        costs.len(),
        starts.len()
    );
    for (cost, (name, _)) in costs.iter().zip(&starts) {
        ensure!(cost.instructions > 0 && cost.exits > 0, "nothing was counted of {name}: {cost:?}");
    }
    Ok(starts.iter().map(|(name, _)| *name).zip(costs).collect())
}
