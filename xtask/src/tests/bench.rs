//! `cargo xtask bench` as its user meets it: bad input, interruptions, comparisons. Its guests print figures that are known
//! beforehand.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use super::program::Program;
use super::run::{Context, Outcome, Test};
use super::tiny_kernel::{End, GOOD};
use crate::bench::Document;

pub(super) const TESTS: &[Test] = &[
    Test { name: "bench::an_unknown_name_lists_the_known_ones", run: unknown_name },
    Test { name: "bench::a_host_that_is_not_there_fails_where_it_was_asked_for", run: absent_host },
    Test { name: "bench::an_earlier_run_that_cannot_be_read_is_one_error", run: unreadable },
    Test { name: "bench::an_interrupted_run_keeps_what_it_has", run: interrupted },
    Test { name: "bench::a_host_that_breaks_keeps_what_the_others_have", run: broken },
    Test { name: "bench::a_figure_that_must_be_whole_and_is_not_is_named", run: not_whole },
    Test { name: "bench::what_grew_since_an_earlier_run_is_shown_and_fails", run: compare },
    Test { name: "bench::what_cannot_be_written_to_is_refused_before_anything_is_measured", run: unwritable },
    Test { name: "bench::what_shares_nothing_with_an_earlier_run_is_no_success", run: nothing_shared },
    Test { name: "bench::the_beginning_of_init_is_no_name_of_the_kernels", run: beginning_of_init },
    Test { name: "bench::the_table_is_plain_when_piped", run: table },
];

/// Two empty loops, and an instruction in a loop: 1 each turn.
const FIGURES: &str = "bench empty empty loop before 256 16 524 1036 16576 1036\n\
    bench irq::disable bare loop before 256 16 780 1548 24768 1548\n";

/// What a good image with these figures prints.
fn text(figures: &str) -> String {
    let names = "bench-name irq::disable\nbench-name irq::enable\nbench-name exit::cpuid\n";
    format!("{names}{figures}{GOOD}")
}

fn image(context: &Context) -> Result<PathBuf> {
    context.tiny_kernel("figures", &text(FIGURES), End::Exit(0x10))
}

/// Prepares a run that writes its document into the directory of the tests.
fn bench(context: &Context, image: &Path, more: &[&str]) -> Result<(Program, PathBuf)> {
    let output = context.directory().join("figures.json");
    if output.exists() {
        fs::remove_file(&output).context("cannot remove a file")?;
    }
    let paths = [image, &output].map(|path| path.display().to_string());
    let words = ["bench", "--image", &paths[0], "--output", &paths[1]];
    Ok((context.program(words.into_iter().chain(more.iter().copied()))?, output))
}

fn unknown_name(context: &mut Context) -> Result<Outcome> {
    let (program, output) = bench(context, &image(context)?, &["--host", "bare", "irq", "irq::disabled"])?;
    let finished = program.refuses(&["`irq::disabled`"])?;
    ensure!(finished.status.code() == Some(1), "it ended with {}", finished.status);
    for name in ["irq::disable", "irq::enable", "exit::cpuid"] {
        ensure!(
            finished.stderr.split_whitespace().any(|word| word == name),
            "`{name}` is not in `{}`",
            finished.stderr
        );
    }
    ensure!(!output.exists(), "something was measured");
    Ok(Outcome::Passed)
}

fn absent_host(context: &mut Context) -> Result<Outcome> {
    let hosts = ["--host", "bare", "--host", "kvm-local"];
    let (program, output) = bench(context, &image(context)?, &hosts)?;
    let finished = program.run()?;
    ensure!(finished.status.code() == Some(1), "it ended with {}", finished.status);
    ensure!(finished.stderr.contains("kvm-local: skipped: "), "in silence: `{}`", finished.stderr);
    let document = Document::read(&output)?;
    ensure!(document.host("bare").is_some_and(|host| host.figures.len() == 1), "{document:?}");

    let (program, _) = bench(context, &image(context)?, &["--host", "bare"])?;
    let finished = program.run()?;
    ensure!(finished.status.success(), "it ended with {}: `{}`", finished.status, finished.stderr);
    let (program, _) = bench(context, &image(context)?, &["--host", "nowhere"])?;
    program.refuses(&["`nowhere`", "bare, tcg, kvm, vmi"])?;
    Ok(Outcome::Passed)
}

fn unreadable(context: &mut Context) -> Result<Outcome> {
    let (program, output) = bench(context, &image(context)?, &["--host", "bare"])?;
    program.run()?;
    let whole = fs::read_to_string(&output).context("there is no document")?;
    let cases = [
        ("truncated.json", whole[..whole.len() - 20].to_owned(), "truncated"),
        ("empty.json", String::new(), "truncated"),
        (
            "foreign.json",
            "{\"hosts\": [{\"host\": \"bare\"}]}".to_owned(),
            "no document of `cargo xtask bench`",
        ),
        ("text.json", "It was fast.".to_owned(), "not JSON"),
        ("newer.json", whole.replace("vmi-bench 1", "vmi-bench 999"), "\"vmi-bench 999\""),
        ("damaged.json", whole.replace("\"figures\"", "\"numbers\""), "damaged"),
    ];
    // An image that is missing would be the next error: the document is read first.
    let missing = context.directory().join("missing");
    for (name, text, reason) in cases {
        let old = context.write(name, text.as_bytes())?.display().to_string();
        let (program, _) = bench(context, &missing, &["--compare", &old])?;
        program.refuses(&[name, reason])?;
    }
    for (old, reason) in [("/nowhere/old.json", "No such file"), ("/", "not an ordinary file")] {
        let (program, _) = bench(context, &missing, &["--compare", old])?;
        program.refuses(&[old, reason])?;
    }
    Ok(Outcome::Passed)
}

fn interrupted(context: &mut Context) -> Result<Outcome> {
    // The last line has no end yet.
    let figures = format!("{FIGURES}bench irq::enable bare loop before 256 16 780 15");
    let image = context.tiny_kernel("slow", &figures, End::Hang)?;
    let (program, output) = bench(context, &image, &["--host", "bare"])?;
    let mut running = program.start()?;
    running.wait_for_process("-icount")?;
    running.wait_for_file("bench irq::enable")?;
    // What QEMU wrote is read every few milliseconds.
    thread::sleep(Duration::from_millis(500));
    running.signal(Signal::INT)?;
    let (status, stderr, program) = running.finish()?;
    ensure!(status.code() == Some(130), "it ended with {status}");
    ensure!(stderr.contains("error: interrupted") && stderr.contains("figures.json"), "it said `{stderr}`");
    program.left_nothing()?;
    let document = Document::read(&output)?;
    ensure!(!document.complete, "an interrupted run calls itself complete");
    let figure = document.host("bare").and_then(|host| host.figure("irq::disable", "bare", "loop", "before"));
    ensure!(figure.is_some_and(|figure| figure.instructions.least == 1.0), "{document:?}");
    Ok(Outcome::Passed)
}

fn broken(context: &mut Context) -> Result<Outcome> {
    let figures = text(FIGURES)
        .replace("2 passed, 0 failed", "1 passed, 1 failed")
        .replace("PASS a::two", "FAIL a::two");
    let image = context.tiny_kernel("broken", &figures, End::Exit(0x11))?;
    let (program, output) = bench(context, &image, &["--host", "bare"])?;
    program.refuses(&["bare", "a::two"])?;
    let document = Document::read(&output)?;
    ensure!(
        !document.complete && document.host("bare").is_some_and(|host| host.figures.len() == 1),
        "{document:?}"
    );
    Ok(Outcome::Passed)
}

fn not_whole(context: &mut Context) -> Result<Outcome> {
    let figures = FIGURES.replace("780 1548", "780 1549");
    let image = context.tiny_kernel("uneven", &text(&figures), End::Exit(0x10))?;
    let (program, _) = bench(context, &image, &["--host", "tcg"])?;
    program.refuses(&["tcg", "irq::disable bare loop before", "no whole number"])?;
    Ok(Outcome::Passed)
}

fn compare(context: &mut Context) -> Result<Outcome> {
    let image = image(context)?;
    let (program, output) = bench(context, &image, &["--host", "bare"])?;
    program.run()?;
    let text = fs::read_to_string(&output).context("there is no document")?;
    let old = context.write("old.json", text.as_bytes())?.display().to_string();
    let (program, _) = bench(context, &image, &["--host", "bare", "--compare", &old])?;
    let finished = program.run()?;
    ensure!(finished.status.success(), "it ended with {}: `{}`", finished.status, finished.stderr);
    ensure!(finished.stdout.contains("0 of 1 figures and sizes changed"), "`{}`", finished.stdout);

    // The same figure was smaller.
    let old = context.write("old.json", text.replace("\"least\": 1.0", "\"least\": 0.5").as_bytes())?;
    let old = old.display().to_string();
    let (program, _) = bench(context, &image, &["--host", "bare", "--compare", &old])?;
    let finished = program.run()?;
    ensure!(finished.status.code() == Some(1), "it ended with {}", finished.status);
    let line =
        finished.stdout.lines().find(|line| line.starts_with("irq::disable bare") && line.contains('%'));
    let line = line.or_else(|| finished.stdout.lines().find(|line| line.contains("+100.0")));
    let line = line.with_context(|| format!("nothing changed in `{}`", finished.stdout))?;
    for word in ["irq::disable", "bare", "0.5", "1", "+100.0"] {
        ensure!(line.split_whitespace().any(|part| part == word), "`{word}` is not in `{line}`");
    }
    Ok(Outcome::Passed)
}

fn unwritable(context: &mut Context) -> Result<Outcome> {
    // An image that is missing would be the next error.
    let missing = context.directory().join("missing").display().to_string();
    let directory = context.directory().display().to_string();
    for (output, reason) in [
        ("/nowhere/figures.json", "cannot write"),
        ("/dev/full", "not an ordinary file"),
        (&*directory, "not an ordinary file"),
    ] {
        let program = context.program(["bench", "--image", &missing, "--output", output])?;
        program.refuses(&[output, reason])?;
    }
    Ok(Outcome::Passed)
}

fn nothing_shared(context: &mut Context) -> Result<Outcome> {
    let image = image(context)?;
    let (program, output) = bench(context, &image, &["--host", "tcg"])?;
    program.run()?;
    let text = fs::read_to_string(&output).context("there is no document")?;
    let old = context.write("old.json", text.as_bytes())?.display().to_string();
    let (program, _) = bench(context, &image, &["--host", "bare", "--compare", &old])?;
    let finished = program.run()?;
    ensure!(finished.status.code() == Some(1), "it ended with {}", finished.status);
    for said in ["nothing that could be compared", "tcg: in the earlier run", "bare: not in the earlier run"]
    {
        ensure!(finished.stdout.contains(said), "`{said}` is not in `{}`", finished.stdout);
    }
    Ok(Outcome::Passed)
}

fn beginning_of_init(context: &mut Context) -> Result<Outcome> {
    let output = context.directory().join("init.json");
    let path = output.display().to_string();
    let finished = context.program(["bench", "--host", "bare", "--output", &path, "in"])?.run()?;
    ensure!(finished.status.success(), "it ended with {}: `{}`", finished.status, finished.stderr);
    let document = Document::read(&output)?;
    let figures = &document.host("bare").context("nothing of bare")?.figures;
    ensure!(
        !figures.is_empty() && figures.iter().all(|figure| figure.name.starts_with("init::")),
        "{figures:?}"
    );
    Ok(Outcome::Passed)
}

fn table(context: &mut Context) -> Result<Outcome> {
    let (program, _) = bench(context, &image(context)?, &["--host", "bare", "--host", "tcg"])?;
    let finished = program.run()?;
    ensure!(finished.status.success(), "it ended with {}: `{}`", finished.status, finished.stderr);
    let text = format!("{}{}", finished.stdout, finished.stderr);
    ensure!(!text.contains(['\x1b', '\r']), "it is coloured or animated: {text:?}");
    let line = finished.stdout.lines().find(|line| line.starts_with("irq::disable"));
    let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
    ensure!(words.starts_with(&["irq::disable", "1"]), "`{}`", finished.stdout);

    let (program, output) = bench(context, &image(context)?, &["--host", "bare", "--json"])?;
    let finished = program.run()?;
    let written = fs::read_to_string(&output).context("there is no document")?;
    ensure!(finished.stdout == written, "what is printed is not what is written: `{}`", finished.stdout);
    Ok(Outcome::Passed)
}
