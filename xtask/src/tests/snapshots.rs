//! Guests that go on from a snapshot in another process: the image, and a Linux that tells the time.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::run::{Context, Outcome, Test};
use crate::console::Report;
use crate::{rig, vmi_run};

pub(super) const TESTS: &[Test] = &[
    Test { name: "snapshots::the_image_passes_over_a_snapshot_in_any_phase", run: image },
    Test { name: "snapshots::linux_goes_on_with_the_right_time_and_hears_the_power_button", run: linux },
];

/// How long a guest is away, in seconds.
const AWAY: u64 = 5;

/// Runs a script in the rig that has the program, the other end of its control socket as `/job/control`, and these files.
fn errand(files: &[(&str, &Path)], script: &str, limit: u64) -> Result<String> {
    let control = vmi_run::build_static(&["build", "--example", "control"], "control")?;
    let program = vmi_run::build()?;
    let own: [(&str, &Path); 2] = [("/job/control", &control), (rig::VMI_RUN, &program)];
    let script = format!(
        "/bin/busybox --install -s /bin\nexport PATH=/bin:/usr/bin\nexec >/job/0/console 2>&1 </dev/null\n\
         until_said() {{ until grep -q \"$1\" $2 2>/dev/null; do sleep 0.1; done; }}\n{script}"
    );
    let (console, status) = rig::errand(&[files, &own].concat(), &script, Duration::from_secs(limit), &[])?;
    ensure!(status == 0, "status {status}: {console}");
    Ok(console)
}

/// The clock steps back nowhere and the calendar is right in each phase: that is among the image's own checks, in whose
/// midst it is saved.
fn image(context: &mut Context) -> Result<Outcome> {
    const PHASES: [&str; 2] = ["before", "after"];
    let image = context.image()?;
    let mut script = String::new();
    for phase in PHASES {
        script += &format!(
            "rm -f /out\nvmi-run --limit 60 --control /c /job/image -- epoch=$(date +%s) >/out &\n\
             until_said 'PASS {phase}/irq' /out\n\
             /job/control /c pause '{{\"command\":\"snapshot\",\"file\":\"/snapshot\"}}' quit\n\
             wait $!\necho \"saved {phase}: $?\"\nsleep {AWAY}\ncat /out\n\
             vmi-run --limit 60 --restore /snapshot\necho \"restored {phase}: $?\"\n"
        );
    }
    let console = errand(&[("/job/image", &image)], &script, 240)?;
    for phase in PHASES {
        let said = console.split_once(&format!("saved {phase}: 123\n")).map(|(_, behind)| behind);
        let said = said.and_then(|said| said.split_once(&format!("restored {phase}: 16\n")));
        let (said, _) = said.with_context(|| format!("{phase}: {console}"))?;
        let report = Report::read(said);
        ensure!(report.failed.is_empty() && report.summary.is_some(), "{phase}: {:?}: {said}", report.failed);
        for check in ["after/time never steps back", "teardown/time::wall_clock", "teardown/text"] {
            ensure!(report.passed.iter().any(|passed| passed == check), "{phase}: `{check}` did not pass");
        }
    }
    Ok(Outcome::Passed)
}

/// Linux asks for the time of day once, when it starts, and goes on by its clock. It switches off by itself when the
/// power button's interrupt has come.
fn linux(context: &mut Context) -> Result<Outcome> {
    const INIT: &str = "#!/bin/busybox sh\n/bin/busybox --install -s /bin\nexport PATH=/bin\nmount -t proc none /proc\n\
        while :; do\n\
        grep ACPI:Ged /proc/interrupts | grep -q ' [1-9][0-9]* .*IO-APIC' && poweroff -f\n\
        echo \"time $(date +%s)\"\nsleep 0.5\ndone\n";
    let initrd = context.directory().join("initrd");
    rig::initramfs(&initrd, INIT, &[])?;
    let kernel = rig::kernel()?;
    let script = format!(
        "vmi-run --control /c --cpus 2 --memory 256M --initrd /job/initrd /job/kernel -- console=ttyS0 quiet >/first &\n\
         until_said 'time ' /first\nsleep 2\n\
         /job/control /c '{{\"command\":\"snapshot\",\"file\":\"/snapshot\"}}' quit\nwait $!\necho \"saved: $?\"\n\
         sleep {AWAY}\n\
         vmi-run --verbose --limit 60 --control /c --restore /snapshot >/second &\n\
         until_said 'time ' /second\nsleep 2\n\
         echo \"now $(date +%s)\"\necho \"there $(tail -n 1 /second)\"\n\
         /job/control /c powerdown status\nwait $!\necho \"restored: $?\"\ncat /first /second\n"
    );
    let console = errand(&[("/job/initrd", &initrd), ("/job/kernel", &kernel)], &script, 240)?;
    ensure!(console.contains("saved: 123") && console.contains("restored: 0"), "{console}");
    ensure!(console.contains("vmi-run: the guest switched the machine off"), "{console}");
    let after = |word: &str| -> Vec<i64> {
        let words = console.lines().filter_map(|line| line.trim().strip_prefix(word));
        words.filter_map(|number| number.trim().parse().ok()).collect()
    };
    let (now, there) = (after("now "), after("there time "));
    let (now, there) =
        (now.first().context("no time of the rig")?, there.first().context("no time of the guest")?);
    // It tells the time twice a second, and what is emulated twice is slow.
    ensure!((now - 3..=now + 1).contains(there), "it is {now}, and the guest says {there}: {console}");
    let times = after("time ");
    ensure!(times.is_sorted(), "time went back: {console}");
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max();
    ensure!(longest >= Some(AWAY as i64), "the guest did not see that it was away: {console}");
    Ok(Outcome::Passed)
}
