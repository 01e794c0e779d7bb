//! What it costs from the start of a virtual machine monitor to the first line of the image: `vmi-run` and QEMU side by
//! side, counted in one start of the rig.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Deserialize;

use crate::image::{self, Profile, Target};
use crate::progress::Progress;
use crate::table::{Cell, Table};
use crate::{qemu, rig, vmi_run};

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

/// The starts that are compared: a name, and the command that boots `/job/image`.
const STARTS: [(&str, &str); 3] = [
    ("vmi-run", "/usr/bin/vmi-run /job/image"),
    ("QEMU, microvm", "$QEMU -M microvm"),
    ("QEMU, q35", "$QEMU -M q35"),
];

const QEMU: &str = "/usr/bin/qemu -L /usr/share/qemu -nodefaults -no-user-config -display none -no-reboot -accel kvm \
    -cpu host -m 128M -kernel /job/image -serial stdio -device isa-debug-exit,iobase=0xf4,iosize=4";

/// Measures, and prints a table.
pub(crate) fn run() -> Result<bool> {
    let costs = measure()?;
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
    Ok(true)
}

/// Measures every start once.
pub(crate) fn measure() -> Result<Vec<(&'static str, Cost)>> {
    let image = image::build(Target::choose(), Profile::Release)?;
    let startup = vmi_run::build_static(&["build", "--example", "startup"], "startup")?;
    let starts: String = STARTS.iter().map(|(_, command)| format!("/job/startup {command}\n")).collect();
    let script = format!(
        "/bin/busybox --install -s /bin\nmount -t debugfs none /sys/kernel/debug\nQEMU=\"{QEMU}\"\n\
         exec </dev/null >/job/0/console 2>&1\n{starts}"
    );
    let files: [(&str, &Path); 3] =
        [("/job/image", &image), ("/job/startup", &startup), (rig::VMI_RUN, &vmi_run::build()?)];
    let _progress = Progress::start("counting in the rig");
    let (console, status) = rig::errand(&files, &script, Duration::from_secs(180), &qemu::ICOUNT)?;
    let costs: Vec<Cost> = console.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    ensure!(
        costs.len() == STARTS.len(),
        "{} of {} starts, status {status}: {console}",
        costs.len(),
        STARTS.len()
    );
    for (cost, (name, _)) in costs.iter().zip(STARTS) {
        ensure!(cost.instructions > 0 && cost.exits > 0, "nothing was counted of {name}: {cost:?}");
    }
    Ok(STARTS.iter().map(|(name, _)| *name).zip(costs).collect())
}
