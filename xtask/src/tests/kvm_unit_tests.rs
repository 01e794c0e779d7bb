//! `kvm-unit-tests`, on a checkout of our own that has its form: small kernels that pass, fail, hang, and differ.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::program::Program;
use super::run::{Context, Outcome, Test};
use super::tiny_kernel::End;
use super::tiny_multiboot::elf;

pub(super) const TESTS: &[Test] = &[
    Test { name: "kvm_unit_tests::what_is_no_checkout_or_does_not_build_is_named", run: doors },
    Test { name: "kvm_unit_tests::both_sides_are_seen_and_what_is_worse_fails", run: both_sides },
];

const CONFIGURE: &str =
    "#!/bin/sh\n[ \"$*\" = --arch=x86_64 ] || exit 1\necho 'KERNELS = kernels' >config.mak\n";

/// It takes what is there for built.
const MAKEFILE: &str = "include config.mak\n\
    all: $(patsubst $(KERNELS)/%,x86/%.flat,$(wildcard $(KERNELS)/*))\n\
    x86/%.flat:\n\tcp $(KERNELS)/$* $@\n";

const UNITTESTS: &str = "# Tests of a few bytes each.\n\
    [passes]\nfile = passes.flat\nsmp = 2\nextra_params = -m 64 -append \"one `date +%s`\"\n\
    [fails]\nfile = fails.flat\ntest_args = \"it's two\"\nextra_params = -cpu max,-pcid\n\
    [hangs]\nfile = hangs.flat\ntimeout = 2s\n\
    [old]\nfile = old.flat\narch = i386\n\
    [manual]\nfile = passes.flat\ngroups = nodefault\n\
    [elsewhere]\nfile = passes.flat\ncheck = /proc/sys/kernel/ostype=Linux /proc/sys/kernel/domainname=nowhere\n\
    [missing]\nfile = missing.flat\n\
    [shell]\nfile = passes.flat\nextra_params = -append `id`\n\
    [device]\nfile = differs.flat\nextra_params = -device edu\n\
    [differs]\nfile = differs.flat\nextra_params = -machine kernel_irqchip=split\n";

/// What the table says of each test: its name, QEMU, `vmi-run`, the remark.
const ROWS: [[&str; 4]; 10] = [
    ["passes", "pass 1 of 1", "pass 1 of 1", ""],
    ["fails", "fail 1 of 2", "fail 1 of 2", ""],
    ["hangs", "fail, time up", "fail, time up", ""],
    ["old", "skip", "skip", "i386 only"],
    ["manual", "skip", "skip", "not run by default"],
    ["elsewhere", "skip", "skip", "/proc/sys/kernel/domainname is not nowhere"],
    ["missing", "skip", "skip", "the build made no missing.flat"],
    ["shell", "skip", "skip", "its arguments are for a shell to work out: `id`"],
    ["device", "pass", "fail, bad status", "excepted: asks for QEMU's device edu"],
    ["differs", "pass", "fail, bad status", "worse, without -machine kernel_irqchip=split"],
];

/// Makes the checkout, with something in the place of an image that no build made.
fn checkout(context: &Context) -> Result<PathBuf> {
    let tree = context.directory().join("checkout");
    let (pass, fail) = (End::Exit(0), End::Exit(1));
    let kernels = [
        ("passes", "PASS: a\r\nSUMMARY: 1 tests\r\n", pass, pass),
        ("fails", "PASS: a\nFAIL: b\nSUMMARY: 2 tests, 1 unexpected failures\n", fail, fail),
        ("hangs", "going on\n", End::Hang, End::Hang),
        ("differs", "what is there\n", pass, fail),
    ];
    for folder in ["kernels", "x86"] {
        fs::create_dir_all(tree.join(folder)).context("cannot make a directory")?;
    }
    for (name, text, qemu, vmi_run) in kernels {
        write(&tree, &format!("kernels/{name}"), &elf(text, qemu, vmi_run))?;
    }
    let files = [("configure", CONFIGURE), ("Makefile", MAKEFILE), ("x86/unittests.cfg", UNITTESTS)];
    for (name, text) in files.into_iter().chain([("x86/passes.flat", "built long ago")]) {
        write(&tree, name, text.as_bytes())?;
    }
    Ok(tree)
}

fn write(tree: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let file = tree.join(name);
    fs::write(&file, bytes).with_context(|| format!("cannot write `{name}`"))?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).context("cannot make a file executable")
}

fn program(context: &Context, tree: &Path, more: &[&str]) -> Result<Program> {
    let tree = tree.display().to_string();
    context.program(["kvm-unit-tests", "--tree", &tree].iter().chain(more))
}

/// Lists the files with what they hold.
fn content(folder: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).context("cannot list a directory")? {
        let path = entry.context("cannot list a directory")?.path();
        if path.is_dir() {
            files.extend(content(&path)?);
        } else {
            files.push((path.clone(), fs::read(&path).context("cannot read a file")?));
        }
    }
    files.sort();
    Ok(files)
}

fn both_sides(context: &mut Context) -> Result<Outcome> {
    let tree = checkout(context)?;
    let before = content(&tree)?;
    let logs = context.directory().join("logs");
    let program_with_logs = program(context, &tree, &["--logs", &logs.display().to_string()])?;
    let finished = program_with_logs.refuses(&["`differs`", "wrote 0x1", "`TEST_DEVICE=0`"])?;
    let lines: Vec<&str> = finished.stdout.lines().collect();
    let titles = ["test", "QEMU", "vmi-run", "remark"];
    let mut columns = titles.iter().map(|title| lines.first().and_then(|line| line.find(title)));
    let columns: Vec<usize> = columns.by_ref().collect::<Option<_>>().context("there are no titles")?;
    for (row, line) in ROWS.iter().zip(lines.iter().skip(1)) {
        let ends = columns.iter().skip(1).copied().chain([line.len()]);
        // Lines end where nothing follows.
        let cell =
            |(start, end): (&usize, usize)| line.get(*start..end.min(line.len())).unwrap_or_default().trim();
        let cells = columns.iter().zip(ends).map(cell);
        ensure!(cells.eq(row.iter().copied()), "`{line}` is not {row:?}");
    }
    let counts = "1 pass under both, 1 worse under vmi-run, 1 excepted, 0 better, 2 under neither, 5 skipped";
    ensure!(lines.len() == ROWS.len() + 2 && lines.last() == Some(&counts), "{}", finished.stdout);
    ensure!(content(&tree)? == before, "the checkout is not as it was");
    arguments(&logs)?;

    // What needs no start of the rig is not worse.
    let finished = program(context, &tree, &["--json", "old", "shell"])?.run()?;
    ensure!(finished.status.success(), "nothing is worse: {}", finished.stderr);
    let document: Value = serde_json::from_str(&finished.stdout).context("it is no JSON")?;
    let remarks = [&document["tests"][0], &document["tests"][1]].map(|test| &test["remark"]);
    ensure!(remarks[0] == "i386 only" && remarks[1] == ROWS[7][3], "{document}");
    ensure!(document["counts"]["skipped"] == 2 && document["tests"][2].is_null(), "{document}");
    Ok(Outcome::Passed)
}

/// Looks that both sides gave the kernels what was asked for, and `vmi-run` what they would ask QEMU for.
fn arguments(logs: &Path) -> Result<()> {
    let said = |name: &str| {
        let said = fs::read_to_string(logs.join(name)).with_context(|| format!("there is no `{name}`"))?;
        Ok::<_, anyhow::Error>(said.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>())
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    for name in ["passes.qemu", "passes.vmi-run"] {
        let said = said(name)?;
        let line = said.iter().find_map(|line| line.split_once("passes.flat one "));
        let (_, time) = line.with_context(|| format!("{name}: there is no command line: {said:?}"))?;
        let time: u64 = time.parse().with_context(|| format!("{name}: `{time}` is no time"))?;
        ensure!(time.abs_diff(now) < 120, "{name}: `{time}` is not now");
    }
    for name in ["fails.qemu", "fails.vmi-run"] {
        ensure!(
            said(name)?.iter().any(|line| line.ends_with("fails.flat it's two")),
            "{name}: {:?}",
            said(name)
        );
    }
    let environment = ["NR_CPUS=2", "MEMSIZE=64", "TEST_DEVICE=0"];
    ensure!(
        said("passes.vmi-run")?.ends_with(&environment.map(str::to_owned)),
        "{:?}",
        said("passes.vmi-run")
    );
    ensure!(!said("passes.qemu")?.iter().any(|line| line.contains('=')), "QEMU has a module");
    Ok(())
}

fn doors(context: &mut Context) -> Result<Outcome> {
    let missing = context.directory().join("nowhere");
    program(context, &missing, &[])?.refuses(&["there is no", "nowhere`"])?;
    program(context, Path::new("/proc/self/exe"), &[])?.refuses(&["/proc/self/exe`", "no directory"])?;
    let empty = context.directory().join("empty");
    fs::create_dir(&empty).context("cannot make a directory")?;
    program(context, &empty, &[])?.refuses(&[
        "empty`",
        "no checkout of kvm-unit-tests",
        "x86/unittests.cfg",
    ])?;

    let tree = checkout(context)?;
    program(context, &tree, &["pass", "nothing"])?.refuses(&["no test", "`nothing`"])?;
    program(context, &tree, &["--logs", "/proc/self/exe"])?.refuses(&["/proc/self/exe`"])?;
    write(&tree, "configure", b"#!/bin/sh\necho 'configure: error: no compiler' >&2\nexit 1\n")?;
    program(context, &tree, &[])?.refuses(&["cannot be built", "./configure", "status: 1", "no compiler"])?;
    write(&tree, "configure", CONFIGURE.as_bytes())?;
    write(&tree, "Makefile", b"all:\n\t@echo 'a.c:1: error: what is this' >&2; false\n")?;
    program(context, &tree, &[])?.refuses(&["cannot be built", "make", "status: 2", "a.c:1: error: what"])?;
    write(&tree, "x86/unittests.cfg", b"[a]\nfile = a.flat\nhuh\n")?;
    program(context, &tree, &[])?.refuses(&["checkout`", "line 3", "`huh`"])?;
    fs::remove_file(tree.join("configure")).context("cannot remove a file")?;
    program(context, &tree, &[])?.refuses(&["no checkout of kvm-unit-tests", "`configure`"])?;
    Ok(Outcome::Passed)
}
