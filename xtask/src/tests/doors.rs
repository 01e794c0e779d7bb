//! Bad input at every door: one clear sentence, a status other than 0, and nothing left running.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Signal, kill_process};

use super::run::{Context, Outcome, Test};
use super::tiny_kernel::{End, GOOD};
use crate::workspace;

pub(super) const TESTS: &[Test] = &[
    Test { name: "doors::an_unknown_host_is_named_with_the_known_ones", run: unknown_host },
    Test { name: "doors::an_unknown_machine_is_named_with_the_known_ones", run: unknown_machine },
    Test { name: "doors::a_missing_image_is_named", run: missing_image },
    Test { name: "doors::an_image_that_is_no_elf_is_refused", run: no_elf },
    Test { name: "doors::an_image_that_is_no_ordinary_file_is_refused", run: no_ordinary_file },
    Test { name: "doors::an_elf_without_pvh_entry_is_refused", run: no_pvh_entry },
    Test { name: "doors::a_missing_qemu_is_named", run: missing_qemu },
    Test { name: "doors::a_qemu_that_fails_is_quoted", run: failing_qemu },
    Test { name: "doors::a_qemu_that_does_nothing_is_ended", run: idle_qemu },
    Test { name: "doors::a_qemu_that_is_killed_is_noticed", run: killed_qemu },
    Test { name: "doors::a_kernel_that_hangs_is_ended", run: hanging_kernel },
    Test { name: "doors::a_kernel_that_hangs_in_the_rig_is_ended", run: hanging_kernel_in_rig },
    Test { name: "doors::a_kernel_that_triple_faults_is_reported", run: triple_fault },
    Test { name: "doors::a_kernel_that_triple_faults_in_the_rig_is_reported", run: triple_fault_in_rig },
    Test { name: "doors::an_unknown_test_is_named", run: unknown_test },
    Test { name: "doors::another_checkout_is_not_taken_for_its_own", run: other_checkout },
    Test { name: "doors::the_doctor_says_how_to_get_what_is_missing", run: doctor },
];

fn unknown_host(context: &mut Context) -> Result<Outcome> {
    context
        .program(["boot", "--host", "nowhere"])?
        .refuses(&["`nowhere`", "bare, tcg, kvm, vmi, xen, kvm-local, vmi-local"])?;
    Ok(Outcome::Passed)
}

fn unknown_machine(context: &mut Context) -> Result<Outcome> {
    let arguments = ["boot", "--host", "bare", "--machine", "toaster"];
    context.program(arguments)?.refuses(&["`toaster`", "pc, q35, microvm"])?;
    Ok(Outcome::Passed)
}

fn missing_image(context: &mut Context) -> Result<Outcome> {
    let image = context.directory().join("missing");
    for host in ["bare", "kvm"] {
        boot(context, host, &image, &[])?.refuses(&["missing`", "No such file"])?;
    }
    Ok(Outcome::Passed)
}

fn no_elf(context: &mut Context) -> Result<Outcome> {
    for (name, bytes) in
        [("empty", &b""[..]), ("text", b"This is not a kernel."), ("elf32", b"\x7fELF\x01\x01\x01")]
    {
        let image = context.write(name, bytes)?;
        boot(context, "bare", &image, &[])?.refuses(&[&format!("{name}`"), "not a 64-bit ELF file"])?;
    }
    Ok(Outcome::Passed)
}

fn no_pvh_entry(context: &mut Context) -> Result<Outcome> {
    boot(context, "bare", Path::new("/proc/self/exe"), &[])?.refuses(&["no PVH note"])?;
    Ok(Outcome::Passed)
}

fn missing_qemu(context: &mut Context) -> Result<Outcome> {
    let image = context.tiny_kernel("good", GOOD, End::Exit(0x10))?;
    let program = boot(context, "bare", &image, &[])?.env("VMI_QEMU", "/nowhere/qemu");
    program.refuses(&["`/nowhere/qemu`"])?;
    Ok(Outcome::Passed)
}

fn failing_qemu(context: &mut Context) -> Result<Outcome> {
    let image = context.tiny_kernel("good", GOOD, End::Exit(0x10))?;
    let qemu = script(context, "failing-qemu", "echo 'qemu: out of paper' >&2; exit 1")?;
    boot(context, "bare", &image, &[])?.env("VMI_QEMU", qemu).refuses(&[
        "status 1",
        "out of paper",
        "bare",
    ])?;
    Ok(Outcome::Passed)
}

fn idle_qemu(context: &mut Context) -> Result<Outcome> {
    let image = context.tiny_kernel("good", GOOD, End::Exit(0x10))?;
    let qemu = script(context, "idle-qemu", "trap '' TERM INT HUP; while :; do sleep 1000; done")?;
    let program = boot(context, "bare", &image, &["--timeout", "1"])?.env("VMI_QEMU", qemu);
    program.refuses(&["the time was up", "console stayed empty"])?;
    Ok(Outcome::Passed)
}

fn killed_qemu(context: &mut Context) -> Result<Outcome> {
    let image = context.tiny_kernel("hanging", "here I hang\n", End::Hang)?;
    let mut running = boot(context, "bare", &image, &[])?.start()?;
    running.wait_for("here I hang")?;
    let qemu = running.wait_for_process("isa-debug-exit")?;
    kill_process(qemu, Signal::KILL).context("cannot kill QEMU")?;
    let (status, stderr, program) = running.finish()?;
    ensure!(!status.success() && stderr.contains("signal 9"), "it ended with {status} and said `{stderr}`");
    program.left_nothing()?;
    Ok(Outcome::Passed)
}

fn hanging_kernel(context: &mut Context) -> Result<Outcome> {
    hangs(context, "bare", "6")
}

/// Reading a pipe or an endless device would never come to an end.
fn no_ordinary_file(context: &mut Context) -> Result<Outcome> {
    for image in ["/dev/full", "/dev/zero", "/"] {
        boot(context, "tcg", Path::new(image), &[])?.refuses(&[image, "not an ordinary file"])?;
    }
    let pipe = context.directory().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status()?;
    ensure!(made.success(), "mkfifo ended with {made}");
    boot(context, "tcg", &pipe, &[])?.refuses(&["not an ordinary file"])?;
    Ok(Outcome::Passed)
}

fn hanging_kernel_in_rig(context: &mut Context) -> Result<Outcome> {
    hangs(context, "kvm", "15")
}

fn hangs(context: &mut Context, host: &str, seconds: &str) -> Result<Outcome> {
    let image = context.tiny_kernel("hanging", "here I hang\n", End::Hang)?;
    let program = boot(context, host, &image, &["--timeout", seconds])?;
    let finished = program.refuses(&[host, "the time was up", "last console line: `here I hang`"])?;
    ensure!(finished.stdout.contains("here I hang"), "the console was not shown");
    Ok(Outcome::Passed)
}

fn triple_fault(context: &mut Context) -> Result<Outcome> {
    faults(context, "tcg")
}

fn triple_fault_in_rig(context: &mut Context) -> Result<Outcome> {
    faults(context, "kvm")
}

fn faults(context: &mut Context, host: &str) -> Result<Outcome> {
    let image = context.tiny_kernel("faulting", "here I fall\n", End::TripleFault)?;
    boot(context, host, &image, &[])?.refuses(&[host, "triple fault", "`here I fall`"])?;
    Ok(Outcome::Passed)
}

fn unknown_test(context: &mut Context) -> Result<Outcome> {
    context.program(["test", "no::such::test"])?.refuses(&["`no::such::test`"])?;
    Ok(Outcome::Passed)
}

fn other_checkout(context: &mut Context) -> Result<Outcome> {
    let other = context.directory().join("checkout");
    let within = other.join("vmi/src");
    for directory in [&within, &other.join("xtask")] {
        fs::create_dir_all(directory).context("cannot make a checkout")?;
    }
    fs::write(other.join("xtask/Cargo.toml"), "").context("cannot make a checkout")?;
    let words = [other.display().to_string(), workspace::root().display().to_string()];
    context.program(["build"])?.by_hand_in(&within).refuses(&words.each_ref().map(|word| &**word))?;
    // Its own, and what is no checkout.
    for directory in [&workspace::root().join("vmi"), context.directory()] {
        let finished = context.program(["test", "no::such::test"])?.by_hand_in(directory).run()?;
        ensure!(finished.stderr.contains("`no::such::test`"), "{}", finished.stderr);
    }
    Ok(Outcome::Passed)
}

fn doctor(context: &mut Context) -> Result<Outcome> {
    let finished = context.program(["doctor"])?.env("VMI_QEMU", "/nowhere/qemu").run()?;
    let line = finished.stdout.lines().find(|line| line.starts_with("missing") && line.contains(" QEMU "));
    let line = line.with_context(|| format!("QEMU is not reported missing: `{}`", finished.stdout))?;
    ensure!(line.contains("apt-get install") && line.contains("qemu-system-x86"), "no command in `{line}`");
    ensure!(finished.status.code() == Some(1), "it ended with {}", finished.status);
    let sound = context.program(["doctor"])?.run()?;
    ensure!(sound.status.success(), "it reports `{}` on a machine that runs these tests", sound.stdout);
    Ok(Outcome::Passed)
}

/// Prepares `boot` with an image.
fn boot(context: &Context, host: &str, image: &Path, more: &[&str]) -> Result<super::program::Program> {
    let image = image.display().to_string();
    context.program(["boot", "--host", host, "--image", &image].into_iter().chain(more.iter().copied()))
}

/// Writes a shell script that stands in for QEMU.
fn script(context: &Context, name: &str, body: &str) -> Result<PathBuf> {
    let path = context.write(name, format!("#!/bin/sh\n{body}\n").as_bytes())?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .context("cannot make a script executable")?;
    Ok(path)
}
