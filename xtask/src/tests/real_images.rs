//! Images that others made, as Debian has them, under `vmi-run` in the rig.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::run::{Context, Outcome, Test};
use crate::packages::{self, Packages, Wanted};
use crate::{process, rig, vmi_run, workspace, xen};

pub(super) const TESTS: &[Test] = &[
    Test { name: "real_images::xen_grub_memtest_and_ipxe_start_as_they_are", run: others },
    Test { name: "real_images::debian_from_elf_files_has_the_cpus_and_memory_asked_for", run: debian },
];

/// How long a guest may take, in seconds.
const LIMIT: u64 = 90;
/// How often it is looked, a tenth of a second apart, whether it has said something.
const LOOKS: u64 = 300;

/// Fetches packages; returns where their files are.
fn unpacked(context: &Context, names: &[&str]) -> Result<PathBuf> {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    packages::unpack(&Packages { names, files: Vec::new() }, context.directory())?;
    Ok(context.directory().join("root"))
}

/// Starts `vmi-run` by each of the commands, in one start of the rig; returns what came to its console, standard error
/// included. One that is to be seen to say something is ended then.
fn boot(
    mut files: Vec<(String, PathBuf)>,
    commands: &[(&str, Option<&str>)],
    machine: &[&str],
) -> Result<Vec<String>> {
    files.push((rig::VMI_RUN.to_owned(), vmi_run::build()?));
    let script = |(number, (arguments, said)): (usize, &(&str, Option<&str>))| {
        let run = format!("</dev/null {} --verbose --limit {LIMIT} {arguments}", rig::VMI_RUN);
        let console = format!("/job/{number}/console");
        let Some(said) = said else { return format!("exec {run} >{console} 2>&1\n") };
        format!(
            "/bin/busybox --install -s /bin\nexport PATH=/bin\n{run} >/job/said 2>&1 &\nlooks=0\n\
             until grep -qF '{said}' /job/said || [ $((looks += 1)) = {LOOKS} ]; do usleep 100000; done\n\
             kill $!\nwait $!\ncat /job/said >{console}\n"
        )
    };
    let scripts = commands.iter().enumerate().map(script).collect();
    let ends = rig::errands(files, scripts, Duration::from_secs(LIMIT + 10), machine)?;
    Ok(ends.into_iter().map(|end| end.console).collect())
}

/// Xen, without SVM of its own, comes as far as a dom0, which the rig's emulated CPU is not good for. GRUB's image for Xen
/// looks for it, and says by the debug console that there is none. memtest86+ tests with two CPUs. iPXE finds no network, and
/// obeys its keyboard.
fn others(context: &mut Context) -> Result<Outcome> {
    const GUESTS: [(&str, &[&str]); 4] = [
        (
            "--cpuid 0x80000001:ecx=0/4 --cpus 2 --memory 256M --module '/job/kernel panic=-1' /job/xen -- console=com1 \
             com1=115200,8n1 loglvl=all",
            &[
                "Bootloader: vmi-run",
                "[0000000000100000, 000000000fffffff] (usable)",
                "ACPI: RSDP 000E0000",
                "Brought up 2 CPUs",
                "*** Building a PV Dom0 ***",
                "Dom0 kernel: 64-bit",
            ],
        ),
        ("/job/grub", &["Found no Xen signature!", "System halted!"]),
        ("--cpus 2 --memory 24M /job/memtest -- console=ttyS0,115200", &["Memtest86+", "SMP: 2T (PAR)"]),
        (
            "/job/ipxe </job/keys",
            &["iPXE initialising devices...ok", "\non i386", "the guest reset the machine"],
        ),
    ];
    let root = unpacked(context, &["grub-xen-host", "ipxe", "memtest86+"])?;
    let files = [
        ("/job/xen", xen::hypervisor()?),
        ("/job/kernel", rig::kernel()?),
        ("/job/grub", root.join("usr/lib/grub-xen/grub-i386-xen_pvh.bin")),
        ("/job/memtest", root.join("boot/memtest86+x64.bin")),
        ("/job/ipxe", root.join("boot/ipxe.lkrn")),
        ("/job/keys", context.write("keys", b"\x02echo on ${buildarch}\rexit\r")?),
    ];
    let files = files.map(|(place, file)| (place.to_owned(), file)).to_vec();
    let commands = GUESTS.map(|(command, texts)| (command, texts.last().copied()));
    for (console, (command, texts)) in boot(files, &commands, &[])?.iter().zip(GUESTS) {
        for text in texts {
            ensure!(console.contains(text), "{command}: `{text}` was not said: {console}");
        }
    }
    Ok(Outcome::Passed)
}

/// Tells what it finds, and works on every CPU: while CPUs are unplugged, and when they are back.
const INIT: &str = r#"#!/bin/busybox sh
    /bin/busybox --install -s /bin
    export PATH=/bin:/usr/bin
    mkdir /sys
    mount -t devtmpfs none /dev
    mount -t proc none /proc
    mount -t sysfs none /sys
    others=$(seq 1 $(($(nproc) - 1)))
    work() {
        for cpu in 0 $others; do
            taskset -c $cpu sh -c "touch /pinned.$cpu; head -c 8388608 /dev/zero | md5sum" &
        done
        wait
    }
    turn() {
        for cpu in $others; do
            echo $1 >/sys/devices/system/cpu/cpu$cpu/online
        done
        echo "CPUs: $(nproc)"
    }
    echo "loader: $(cat /proc/sys/kernel/bootloader_type)"
    echo "memory: $(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
    lscpu -e=CPU,SOCKET,CORE,ONLINE
    work &
    for cpu in 0 $others; do
        until [ -e /pinned.$cpu ]; do usleep 10000; done
    done
    turn 0
    turn 1
    wait
    work
    poweroff -f
    "#;
/// What it says of 8 MiB of zeros.
const SUM: &str = "96995b58d4cbf6aaa9041b4f00c7f6ae";
/// What Linux calls the loader of one that was entered by its PVH note: `type_of_loader` is then 0xb0.
const PVH: &str = "loader: 176";

/// The kernel for clouds and the full one, unpacked, with much and with little.
fn debian(context: &mut Context) -> Result<Outcome> {
    const GUESTS: [(&str, usize, u64); 2] = [("/job/cloud", 4, 5 << 10), ("/job/full", 1, 128)];
    let root = unpacked(context, &["lz4", "xz-utils"])?;
    let initrd = context.directory().join("initrd");
    let lscpu = workspace::find_program("lscpu").context("there is no `lscpu`, of the package util-linux")?;
    rig::initramfs(&initrd, INIT, &[&lscpu])?;
    let files = [
        ("/job/cloud", elf(context, &root, &rig::kernel()?, "cloud")?),
        ("/job/full", elf(context, &root, &full_kernel(context)?, "full")?),
        ("/job/initrd", initrd),
    ];
    let files = files.map(|(place, file)| (place.to_owned(), file)).to_vec();
    let commands = GUESTS.map(|(image, cpus, mib)| {
        format!("--cpus {cpus} --memory {mib}M --initrd /job/initrd {image} -- console=ttyS0 quiet panic=-1")
    });
    let commands: Vec<_> = commands.iter().map(|command| (command.as_str(), None)).collect();
    let consoles = boot(files, &commands, &["-m", "6G"])?;
    for (console, (image, cpus, mib)) in consoles.iter().zip(GUESTS) {
        has_all(console, cpus, mib).with_context(|| format!("{image}: {console}"))?;
    }
    Ok(Outcome::Passed)
}

/// Looks whether a guest found so many CPUs and so much memory, and used them.
fn has_all(console: &str, cpus: usize, mib: u64) -> Result<()> {
    let lines: Vec<&str> = console.lines().map(str::trim).collect();
    ensure!(lines.contains(&PVH), "it was not entered by its PVH note");
    let memory = lines.iter().find_map(|line| line.strip_prefix("memory: "));
    let memory: u64 = memory.context("it tells no memory")?.parse().context("its memory is no number")?;
    // The kernel itself takes a part, and its tables of pages another.
    ensure!((mib * 1024 - 48 * 1024 - mib * 32..mib * 1024).contains(&memory), "it has {memory} KiB");
    let title = lines.iter().position(|line| line.starts_with("CPU "));
    let table = &lines[title.context("there is no table of CPUs")? + 1..];
    let rows = (0..cpus).map(|cpu| format!("{cpu} 0 {cpu} yes"));
    let told = table.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    ensure!(rows.eq(told.take(cpus)), "the table of CPUs is another one");
    let counts: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("CPUs: ")).collect();
    ensure!(counts == ["1", &cpus.to_string()], "CPUs were {counts:?}");
    let sums = lines.iter().filter(|line| line.starts_with(SUM)).count();
    ensure!(sums == 2 * cpus, "{sums} sums are right");
    ensure!(console.contains("the guest switched the machine off"), "it was not switched off");
    Ok(())
}

/// Returns the full kernel: of its large package nothing else is unpacked.
fn full_kernel(context: &Context) -> Result<PathBuf> {
    const FULL: Wanted = Wanted { newest: "linux-image-amd64", beginning: "linux-image-", more: &[] };
    let directory = context.directory().join("full");
    fs::create_dir(&directory).context("cannot make a directory")?;
    packages::unpack_first(&packages::newest(&FULL)?, &directory, "./boot/vmlinuz-*")?;
    let mut found = fs::read_dir(directory.join("root/boot")).context("there is no kernel")?;
    Ok(found.next().context("there is no kernel")?.context("cannot list a directory")?.path())
}

/// Unpacks what a kernel unpacks itself: an ELF file, behind which its length is. Source: Linux,
/// `Documentation/arch/x86/boot.rst`, "Details of Header Fields", `payload_offset`.
fn elf(context: &Context, root: &Path, kernel: &Path, name: &str) -> Result<PathBuf> {
    const SETUP_SECTS: usize = 0x1f1;
    const PAYLOAD: usize = 0x248;
    const UNPACKERS: [(&[u8], &str); 2] = [(b"\x02\x21\x4c\x18", "usr/bin/lz4"), (b"\xfd7zXZ", "usr/bin/xz")];
    let bytes = fs::read(kernel).with_context(|| format!("cannot read `{}`", kernel.display()))?;
    let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize);
    let payload = || {
        let start = (usize::from(*bytes.get(SETUP_SECTS)?) + 1) * 512 + word(PAYLOAD)?;
        bytes.get(start..start + word(PAYLOAD + 4)?.checked_sub(4)?)
    };
    let payload = payload().context("the kernel has no payload")?;
    let Some((_, unpacker)) = UNPACKERS.iter().find(|(magic, _)| payload.starts_with(magic)) else {
        bail!("the kernel is packed in another way: {:x?}", &payload[..8]);
    };
    let packed = context.write(&format!("{name}.packed"), payload)?;
    let file = context.directory().join(format!("{name}.elf"));
    let mut unpack = Command::new("sh");
    unpack.args(["-c", r#"exec "$0" -dc "$1" >"$2""#]).arg(root.join(unpacker)).arg(&packed).arg(&file);
    process::run_ok(&mut unpack)?;
    Ok(file)
}
