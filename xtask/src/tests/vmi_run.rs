//! Our own virtual machine monitor, on the KVM of the rig.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::run::{Context, Outcome, Test};
use crate::boot::{Boot, Ending, Run, run_all};
use crate::console::Report;
use crate::full_run::{epoch, judge};
use crate::host::Host;
use crate::{qemu, rig, startup, vmi_run};

pub(super) const TESTS: &[Test] = &[
    Test { name: "vmi_run::tiny_guests_pass_in_the_rig", run: tiny_guests },
    Test { name: "vmi_run::every_signal_ends_it_within_a_second_wherever_it_finds_it", run: signals },
    Test { name: "vmi_run::vmi_calls_have_effect_and_cost_what_they_may", run: port_calls },
    Test { name: "vmi_run::the_exit_status_is_the_guests", run: exit_status },
    Test { name: "vmi_run::debian_with_two_cpus_unplugs_one_and_powers_off", run: debian },
    Test { name: "vmi_run::debian_reboots_by_every_method", run: debian_reboots },
    Test { name: "vmi_run::a_guest_finds_the_hypervisor_of_its_profile", run: profiles },
    Test { name: "vmi_run::the_image_survives_a_bad_host", run: bad_host },
    Test { name: "vmi_run::row_13_a_clock_that_starts_anew_lower_goes_on", run: clock_anew },
    Test { name: "vmi_run::row_11_hypercalls_under_a_foreign_vendor_are_answered", run: foreign_vendor },
    Test { name: "vmi_run::it_starts_in_a_tenth_of_what_microvm_takes", run: starts_lightly },
];

fn vmi(context: &mut Context, arguments: &str) -> Result<Boot> {
    Ok(Boot::new(Host::named("vmi")?, &context.image()?).arguments(arguments))
}

/// What is counted in instructions, and so on any machine the same.
const SIGNALS: &str = "signals::every_one";

/// The tests of the package that need a KVM: ignored where there is none, so they run here, and must run.
fn tiny_guests(_: &mut Context) -> Result<Outcome> {
    guests(&format!("--skip {SIGNALS}"), Duration::from_secs(480), &[])
}

fn signals(_: &mut Context) -> Result<Outcome> {
    guests(SIGNALS, Duration::from_secs(480), &qemu::ICOUNT)
}

/// Runs those of the tests that the arguments choose.
fn guests(chosen: &str, limit: Duration, machine: &[&str]) -> Result<Outcome> {
    let guests = vmi_run::build_guests()?;
    let libraries = rig::libraries(&guests)?;
    let script = format!(
        "/bin/busybox --install -s /bin\nmkdir -p /dev/pts\n\
         mount -t devpts none /dev/pts\nexport PATH=/bin VMI_RUN={}\n\
         exec /job/guests --ignored --test-threads 1 {chosen} </dev/null >/job/0/console 2>&1\n",
        rig::VMI_RUN
    );
    let vmi_run = vmi_run::build()?;
    let mut files: Vec<(&str, &Path)> = vec![("/job/guests", &guests), (rig::VMI_RUN, &vmi_run)];
    files.extend(libraries.iter().filter_map(|library| Some((library.to_str()?, library.as_path()))));
    let (console, status) = rig::errand(&files, &script, limit, machine)?;
    let result = console.lines().rev().find(|line| line.starts_with("test result: "));
    let result = result.with_context(|| format!("no result: {console}"))?;
    ensure!(status == 0 && result.starts_with("test result: ok. "), "status {status}: {console}");
    ensure!(!result.contains("ok. 0 passed") && result.contains("0 ignored"), "{result}");
    Ok(Outcome::Passed)
}

fn port_calls(context: &mut Context) -> Result<Outcome> {
    let report = judge(&vmi(context, "vmi-calls")?.run()?)?;
    for check in ["512 calls in a batch cost 1 exit", "a line of 80 characters costs 1 exit"] {
        ensure!(report.passed.iter().any(|name| name.ends_with(check)), "`{check}` did not pass");
    }
    Ok(Outcome::Passed)
}

fn exit_status(context: &mut Context) -> Result<Outcome> {
    let runs = vmi(context, "")?.run_many(&["vmi-shutdown=42", "vmi-shutdown=0", "power=reboot"])?;
    let endings: Vec<&Ending> = runs.iter().map(|run| &run.ending).collect();
    ensure!(endings == [&Ending::Exit(42), &Ending::Exit(0), &Ending::Reset], "{endings:?}");
    Ok(Outcome::Passed)
}

/// The rig's own kernel, with an initramfs of one program.
fn debian(context: &mut Context) -> Result<Outcome> {
    const INIT: &str = r#"#!/bin/busybox sh
        /bin/busybox --install -s /bin
        export PATH=/bin
        mkdir /sys
        mount -t proc none /proc
        mount -t sysfs none /sys
        cd /sys/devices/system/cpu
        echo "user space with $(nproc) CPUs"
        for cpu in cpu0 cpu1; do
            echo "$cpu is core $(cat $cpu/topology/core_id) and shares it with $(cat $cpu/topology/thread_siblings_list)"
        done
        echo 0 >cpu1/online
        echo "then with $(nproc)"
        echo 1 >cpu1/online
        echo "and again with $(nproc)"
        poweroff -f
        "#;
    const SAID: [&str; 5] = [
        "user space with 2 CPUs",
        "cpu0 is core 0 and shares it with 0",
        "cpu1 is core 1 and shares it with 1",
        "then with 1",
        "and again with 2",
    ];
    let initrd = context.directory().join("initrd");
    rig::initramfs(&initrd, INIT, &[])?;
    let kernel = rig::kernel()?;
    let script = format!(
        "exec {} --verbose --cpus 2 --memory 256M --initrd /job/initrd /job/kernel -- console=ttyS0 quiet panic=-1 \
         </dev/null >/job/0/console\n",
        rig::VMI_RUN
    );
    let files: [(&str, &Path); 3] =
        [("/job/initrd", &initrd), ("/job/kernel", &kernel), (rig::VMI_RUN, &vmi_run::build()?)];
    let (console, status) = rig::errand(&files, &script, Duration::from_secs(120), &[])?;
    for said in SAID {
        ensure!(console.lines().any(|line| line.trim() == said), "`{said}` was not said: {console}");
    }
    ensure!(status == 0, "it ended with status {status}: {console}");
    Ok(Outcome::Passed)
}

/// By every method of its own, where there is nothing but what that needs: what is left out cannot help out.
fn debian_reboots(context: &mut Context) -> Result<Outcome> {
    const INIT: &str = "#!/bin/busybox sh\n/bin/busybox mount -t proc none /proc\n\
        /bin/busybox grep -q vmi-panics /proc/cmdline && exit\n/bin/busybox reboot -f\n";
    const METHODS: [(&str, &str); 8] = [
        ("reboot", ""),
        ("panic=-1 vmi-panics", ""),
        ("reboot=f", "reset"),
        ("reboot=a", "keyboard port92 bios"),
        ("reboot=b", "keyboard port92"),
        ("reboot=k", "reset port92 bios"),
        ("reboot=t", "reset keyboard port92"),
        ("reboot=p", "keyboard port92 bios"),
    ];
    let initrd = context.directory().join("initrd");
    rig::initramfs(&initrd, INIT, &[])?;
    let kernel = rig::kernel()?;
    let mut script = String::from("exec >/job/0/console 2>&1 </dev/null\n");
    for (method, without) in METHODS {
        let without: Vec<String> =
            without.split_whitespace().map(|name| format!("--without {name}")).collect();
        script += &format!(
            "{} --verbose --limit 60 --memory 192M --initrd /job/initrd {} /job/kernel -- console=ttyS0 quiet {method}\n\
             echo \"{method}: $?\"\n",
            rig::VMI_RUN,
            without.join(" "),
        );
    }
    let files: [(&str, &Path); 3] =
        [("/job/initrd", &initrd), ("/job/kernel", &kernel), (rig::VMI_RUN, &vmi_run::build()?)];
    let (console, _) = rig::errand(&files, &script, Duration::from_secs(500), &[])?;
    for (method, _) in METHODS {
        ensure!(console.lines().any(|line| line.trim() == format!("{method}: 0")), "{method}: {console}");
    }
    let resets = console.matches("the guest reset the machine").count();
    ensure!(resets == METHODS.len(), "{resets} resets: {console}");
    Ok(Outcome::Passed)
}

fn profiles(context: &mut Context) -> Result<Outcome> {
    const PROFILES: [(&str, &[&str]); 3] = [("vmi", &["kvm", "vmi"]), ("kvm", &["kvm"]), ("bare", &[])];
    let mut boots = vec![vmi(context, &epoch())?; PROFILES.len()];
    for (boot, (profile, _)) in boots.iter_mut().zip(PROFILES) {
        boot.vmm_arguments = ["--profile", profile].map(str::to_owned).to_vec();
    }
    for (run, (profile, layers)) in run_all(&boots, &mut |_| Ok(()))?.iter().zip(PROFILES) {
        let report = judge(run).with_context(|| profile)?;
        let found = report.layers.with_context(|| format!("{profile}: no layers were told of"))?;
        ensure!(found == layers, "{profile}: {found:?}");
    }
    Ok(Outcome::Passed)
}

/// What Firecracker takes is 69.
const EXITS_MAX: u64 = 68;

/// And in at most 5 MiB beside the guest's memory.
fn starts_lightly(_: &mut Context) -> Result<Outcome> {
    let costs = startup::measure(&startup::Options::default())?;
    let [(_, own), (_, microvm), (_, q35)] = &costs[..] else { bail!("{costs:?}") };
    ensure!(own.instructions * 10 <= microvm.instructions, "{costs:?}");
    ensure!(own.exits <= EXITS_MAX && own.exits < microvm.exits && own.exits < q35.exits, "{costs:?}");
    ensure!(own.beside_guest_kib <= 5 << 10, "{costs:?}");
    // What the pages tell is near that: it depends a little on the rig's kernel and on the compiler.
    for ((name, cost), (told_name, told)) in costs.iter().zip(startup::told()?) {
        let is_near = cost.instructions.abs_diff(told.instructions) * 10 <= told.instructions;
        ensure!(
            *name == told_name && is_near,
            "{name}: {cost:?}, and told is {told:?} of {told_name}; if that is meant, `{}`",
            startup::RENEW
        );
    }
    Ok(Outcome::Passed)
}

/// Hyper-V's signature where KVM's was, and KVM's leaves with its clock farther up.
const KVM_BEHIND_HYPER_V: [&str; 16] = [
    "--cpuid",
    "0x40000000:ebx=0x7263694d",
    "--cpuid",
    "0x40000000:ecx=0x666f736f",
    "--cpuid",
    "0x40000000:edx=0x76482074",
    "--cpuid",
    "0x40000700:eax=0x40000701",
    "--cpuid",
    "0x40000700:ebx=0x4b4d564b",
    "--cpuid",
    "0x40000700:ecx=0x564b4d56",
    "--cpuid",
    "0x40000700:edx=0x4d",
    "--cpuid",
    "0x40000701:eax=0x01000009",
];

/// The CPU of the rig has SVM: Intel's name makes the kernel begin with an instruction that KVM would have to rewrite in
/// read-only text.
fn foreign_vendor(context: &mut Context) -> Result<Outcome> {
    let mut boot = vmi(context, &epoch())?;
    let words = ["0:ebx=0x756e6547", "0:edx=0x49656e69", "0:ecx=0x6c65746e"];
    boot.vmm_arguments = words.iter().flat_map(|word| ["--cpuid", word]).map(str::to_owned).collect();
    let report = judge(&boot.run()?)?;
    for check in
        ["text is write-protected", "kvm/a hypercall is served", "kvm/an unknown hypercall is refused"]
    {
        ensure!(report.passed.contains(&format!("after/{check}")), "`{check}` did not pass");
    }
    Ok(Outcome::Passed)
}

/// The host's clock starts anew a minute lower while the image watches its own.
fn clock_anew(context: &mut Context) -> Result<Outcome> {
    let mut boot = vmi(context, "clock-anew")?;
    boot.vmm_arguments = ["--clock", "anew"].map(str::to_owned).to_vec();
    let report = judge(&boot.run()?)?;
    let check = "anew/the clock goes on at its rate";
    ensure!(report.passed.iter().any(|name| name == check), "`{check}` did not pass");
    Ok(Outcome::Passed)
}

/// What may be wrong with the image's checks on a bad host: nothing else may.
#[derive(Clone, Copy, Debug)]
enum Harm {
    /// Nothing.
    None,
    /// `init` refuses, by name, and leaves a native kernel that passes.
    Refused,
    /// The clock is not what an honest page would say; it still never steps back. Or `init` refuses.
    Clock,
}

/// Rows of inputs that only a bad host can make, on the real KVM. The image never dies.
fn bad_host(context: &mut Context) -> Result<Outcome> {
    let hosts: [(&str, &[&str], Harm); 20] = [
        ("row_01", &["--cpuid", "1:ecx=0/0x80000000"], Harm::None),
        ("row_02", &["--cpuid", "0x40000000:ebx=0", "--cpuid", "0x40000000:ecx=0"], Harm::None),
        ("row_03", &["--cpuid", "0x40000000:ebx=0x40", "--cpuid", "0x40000000:ecx=0x40"], Harm::None),
        ("row_04", &["--cpuid", "0x40000000:eax=0"], Harm::None),
        ("row_05", &KVM_BEHIND_HYPER_V, Harm::None),
        ("row_06 masked", &["--cpuid", "0x40000001:eax=0"], Harm::None),
        ("row_06 a feature without its service", &["--claim", "24"], Harm::None),
        ("row_08", &["--msr", "0x4b564d01=fault"], Harm::Refused),
        ("row_09", &["--fail", "failed"], Harm::None),
        ("row_12 odd", &["--clock", "odd"], Harm::Refused),
        ("row_12 shift", &["--clock", "shift=99"], Harm::Refused),
        ("row_12 zero", &["--clock", "zero"], Harm::Refused),
        ("row_12 end", &["--clock", "end"], Harm::Refused),
        ("row_12 torn", &["--clock", "torn"], Harm::Clock),
        ("row_12 future", &["--clock", "future"], Harm::Clock),
        ("row_13 back", &["--clock", "back"], Harm::Clock),
        ("row_13 apart", &["--clock", "apart"], Harm::None),
        ("row_13 anew", &["--clock", "anew"], Harm::None),
        ("row_14", &["--clock", "paused"], Harm::None),
        ("row_15", &["--clock", "stale"], Harm::None),
    ];
    // What they share is a start of the rig; not all of them one, because the time of day is told to all at once.
    for hosts in hosts.chunks(6) {
        let mut boots = vec![vmi(context, &epoch())?; hosts.len()];
        for (boot, (_, options, _)) in boots.iter_mut().zip(hosts) {
            boot.vmm_arguments = options.iter().map(|word| (*word).to_owned()).collect();
        }
        for (run, (row, options, harm)) in run_all(&boots, &mut |_| Ok(()))?.iter().zip(hosts) {
            survives(run, *harm).with_context(|| format!("{row}, {}", options.join(" ")))?;
        }
    }
    Ok(Outcome::Passed)
}

fn survives(run: &Run, harm: Harm) -> Result<()> {
    if let Harm::None = harm {
        return judge(run).map(drop);
    }
    let report = Report::read(&run.console);
    let names: Vec<&str> = report.failed.iter().map(|(name, _)| name.as_str()).collect();
    let passed = |name: &str| report.passed.iter().any(|passed| passed == name);
    ensure!(matches!(run.ending, Ending::Exit(0x10 | 0x11)), "{}: {:?}", run.ending, run.last_line());
    ensure!(report.summary.is_some(), "no summary came: {:?}", run.last_line());
    // A page that is always being written may also be one that `init` never sees whole.
    if names == ["init/vmi::init"] {
        ensure!(passed("refused/irq::save") && passed("refused/time::now_ns"), "no native kernel was left");
        return Ok(());
    }
    ensure!(matches!(harm, Harm::Clock), "it was not refused: {:?}", report.failed);
    let clocks = ["after/time::", "after/kvm/the clock", "teardown/time::now_ns", "after/kvm/the calendar"];
    let is_clock = |name: &&str| clocks.iter().any(|clock| name.starts_with(clock));
    ensure!(names.iter().all(is_clock), "{:?}", report.failed);
    ensure!(passed("after/time never steps back"), "time stepped back");
    ensure!(passed("teardown/text"), "there was no teardown");
    Ok(())
}
