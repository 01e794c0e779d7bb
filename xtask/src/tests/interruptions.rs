//! Whatever ends this program in the middle leaves nothing running.

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::run::{Context, Outcome, Test};
use super::tiny_kernel::{End, GOOD};

pub(super) const TESTS: &[Test] = &[
    Test { name: "interruptions::ctrl_c_ends_a_boot", run: ctrl_c },
    Test { name: "interruptions::ctrl_c_ends_the_rig", run: ctrl_c_in_rig },
    Test { name: "interruptions::ctrl_c_ends_a_demo", run: ctrl_c_in_demo },
    Test { name: "interruptions::a_killed_program_takes_qemu_along", run: killed },
    Test { name: "interruptions::a_closed_stdout_ends_a_boot_in_silence", run: closed_stdout },
];

fn ctrl_c(context: &mut Context) -> Result<Outcome> {
    interrupted(context, "bare", Signal::INT, 130)?;
    interrupted(context, "bare", Signal::TERM, 143)
}

fn ctrl_c_in_rig(context: &mut Context) -> Result<Outcome> {
    interrupted(context, "kvm", Signal::INT, 130)
}

fn interrupted(context: &mut Context, host: &str, signal: Signal, expected: i32) -> Result<Outcome> {
    let image = context.tiny_kernel("hanging", "here I hang\n", End::Hang)?.display().to_string();
    let mut running = context.program(["boot", "--host", host, "--image", &image])?.start()?;
    running.wait_for("here I hang")?;
    // The search must be able to find what it later must not find.
    running.wait_for_process("-qmp")?;
    running.signal(signal)?;
    let (status, stderr, program) = running.finish()?;
    ensure!(status.code() == Some(expected), "it ended with {status}");
    ensure!(stderr.contains("error: interrupted"), "it said `{stderr}`");
    program.left_nothing()?;
    Ok(Outcome::Passed)
}

fn ctrl_c_in_demo(context: &mut Context) -> Result<Outcome> {
    let image = context.tiny_kernel("hanging", "here I hang\n", End::Hang)?.display().to_string();
    let mut running = context.program(["demo", "--image", &image])?.start()?;
    running.wait_for_process("-qmp")?;
    running.signal(Signal::INT)?;
    let (status, _, program) = running.finish()?;
    ensure!(status.code() == Some(130), "it ended with {status}");
    program.left_nothing()?;
    Ok(Outcome::Passed)
}

fn killed(context: &mut Context) -> Result<Outcome> {
    let image = context.tiny_kernel("hanging", "here I hang\n", End::Hang)?.display().to_string();
    let mut running = context.program(["boot", "--host", "bare", "--image", &image])?.start()?;
    running.wait_for("here I hang")?;
    running.signal(Signal::KILL)?;
    let (_, _, program) = running.finish()?;
    // A killed program cannot remove its files.
    program.left_no_process()?;
    Ok(Outcome::Passed)
}

fn closed_stdout(context: &mut Context) -> Result<Outcome> {
    let image = context.tiny_kernel("good", GOOD, End::Hang)?.display().to_string();
    let mut running = context.program(["boot", "--host", "bare", "--image", &image])?.start()?;
    running.close_stdout();
    let (status, stderr, program) = running.finish()?;
    ensure!(status.code() == Some(141) && stderr.is_empty(), "it ended with {status} and said `{stderr}`");
    program.left_nothing()?;
    Ok(Outcome::Passed)
}
