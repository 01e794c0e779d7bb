//! What it takes to add to the library, kept as patches: they apply, touch no more than they may, and work.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use vmi_abi::{Class, Op};

use super::one_image::copy_workspace;
use super::run::{Context, Outcome, Test};
use crate::boot::Boot;
use crate::console::Report;
use crate::elf::Elf;
use crate::full_run::judge;
use crate::host::Host;
use crate::{process, workspace};

pub(super) const TESTS: &[Test] = &[
    Test { name: "patches::three_ops_are_rows_a_function_and_checks", run: three_ops },
    Test { name: "patches::a_backend_is_a_folder_and_a_word", run: counting_backend },
];

const THREE_OPS: &str = include_str!("patches/three_ops.patch");
const COUNTING_BACKEND: &str = include_str!("patches/counting_backend.patch");

/// A call op of six arguments and an op with the instruction of another, at the head of the first group; and a note.
fn three_ops(context: &mut Context) -> Result<Outcome> {
    let touched = [
        "sample-kernel/src/kernel/checks/irq.rs",
        "sample-kernel/src/kernel/checks/mmu.rs",
        "vmi-abi/src/ops.rs",
        "vmi-native/src/irq.rs",
    ];
    ensure!(files(THREE_OPS).into_iter().eq(touched), "it touches {:?}", files(THREE_OPS));
    let (before, after) = (native_texts(&context.image()?)?, build(context, THREE_OPS)?);
    let texts = native_texts(&after)?;
    for op in Op::all().filter(|op| op.class() != Class::Call) {
        let number = op.number();
        ensure!(
            texts.get(&number) == before.get(&number),
            "{op} is not what it was: {:02x?}",
            texts.get(&number)
        );
    }
    let text = |number: usize| texts.get(&(number as u16)).map(Vec::as_slice);
    ensure!(
        text(Op::COUNT + 1) == Some(&[0x3e, 0x3e, 0x3e, 0x3e, 0xfa]),
        "the same instruction: {texts:02x?}"
    );
    ensure!(
        text(Op::COUNT + 2) == Some(&[0x0f, 0x1f, 0x44, 0, Op::COUNT as u8 + 2]),
        "the note: {texts:02x?}"
    );
    for (host, report) in boots(&after, "")? {
        for check in ["irq::weigh", "irq::mask_early", "mmu::table_released"] {
            for phase in ["before", "after", "teardown"] {
                let check = format!("{phase}/{check}");
                ensure!(report.passed.contains(&check), "{host}: `{check}` did not pass");
            }
        }
    }
    // In every form that their classes allow.
    boots(&after, "backend=selftest")?;
    Ok(Outcome::Passed)
}

/// The backend counts how often interrupts are disabled, and ends the run if nobody did.
fn counting_backend(context: &mut Context) -> Result<Outcome> {
    let (own, others): (Vec<&str>, Vec<&str>) =
        files(COUNTING_BACKEND).into_iter().partition(|file| file.starts_with("vmi-count-backend/"));
    ensure!(!own.is_empty() && others == ["sample-kernel/Cargo.toml"], "it touches {others:?}");
    let image = build(context, COUNTING_BACKEND)?;
    for ((host, report), expected) in boots(&image, "")?.iter().zip([&["count"][..], &["kvm", "count"]]) {
        let layers = report.layers.as_deref().unwrap_or_default();
        ensure!(layers == expected, "{host}: {layers:?} are not {expected:?}");
    }
    for (host, report) in boots(&image, "no-count")? {
        ensure!(report.layers.iter().flatten().all(|layer| layer != "count"), "{host}: it was not refused");
    }
    Ok(Outcome::Passed)
}

/// Returns the files that a patch touches.
fn files(patch: &str) -> BTreeSet<&str> {
    patch.lines().filter_map(|line| line.strip_prefix("+++ b/")).collect()
}

/// Builds the image of a copy of the workspace with a patch applied.
fn build(context: &Context, patch: &str) -> Result<PathBuf> {
    let copy = context.directory().join("copy");
    copy_workspace(&workspace::root(), &copy)?;
    let file = context.write("patch", patch.as_bytes())?;
    let mut apply = std::process::Command::new("git");
    // Not a part of whatever repository the directory may lie in.
    apply
        .args(["apply", "--whitespace=error-all"])
        .arg(file)
        .current_dir(&copy)
        .env("GIT_CEILING_DIRECTORIES", context.directory());
    process::run_ok(&mut apply).context("the patch does not apply")?;
    let program = context.program(["build"])?.env("CARGO_MANIFEST_DIR", copy.join("xtask"));
    let finished = program.env("CARGO_TARGET_DIR", workspace::target().join("patched")).run()?;
    ensure!(finished.status.success(), "it does not build: {}", finished.stderr);
    Ok(PathBuf::from(finished.stdout.trim()))
}

/// Returns what stands in a site of each op, by number; of call ops it depends on the place.
fn native_texts(image: &Path) -> Result<BTreeMap<u16, Vec<u8>>> {
    let elf = Elf::read(image)?;
    let sites = elf
        .sites()
        .map(|placed| Ok((placed.site.op, elf.loaded(placed.address, placed.site.len.into())?.to_vec())));
    sites.collect()
}

/// Boots an image on the bare machine and on KVM.
fn boots(image: &Path, words: &str) -> Result<Vec<(&'static str, Report)>> {
    ["bare", "kvm"]
        .into_iter()
        .map(|host| Ok((host, judge(&Boot::new(Host::named(host)?, image).arguments(words).run()?)?)))
        .collect()
}
