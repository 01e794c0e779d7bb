//! Builds the image and says what it is.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::elf::Elf;
use crate::progress::{Progress, say};
use crate::{install, process, remap, workspace};

/// The package, and the program in it.
pub(crate) const PACKAGE: &str = "sample-kernel";

/// The target of this machine's own programs, which serves where the bare-metal one cannot be had.
pub(crate) const FALLBACK_TARGET: &str = "x86_64-unknown-linux-gnu";

/// What makes a program of the fallback target freestanding.
///
/// The prebuilt `core` uses SSE and the red zone; only the `fat` profile compiles it anew, from its bitcode.
const FALLBACK_FLAGS: [&str; 6] = [
    "--cfg=vmi_freestanding",
    "-Crelocation-model=static",
    "-Ctarget-feature=-mmx,-sse,-sse2,+soft-float",
    "-Cno-redzone=yes",
    "-Cpanic=abort",
    "-Awarnings",
];

/// How the compiler is asked to build.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, clap::ValueEnum)]
pub(crate) enum Profile {
    /// Without optimisation.
    Dev,
    /// With optimisation.
    Release,
    /// As one piece, with link-time optimisation.
    Fat,
}

impl Profile {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
            Self::Fat => "fat",
        }
    }
}

/// What the image is built for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Target {
    /// `x86_64-unknown-none`.
    BareMetal,
    /// This machine's own target, made freestanding; always with the profile `fat`.
    Freestanding,
}

impl Target {
    /// Chooses the bare-metal target, adding it if it is missing, or else announces the other one.
    pub(crate) fn choose() -> Self {
        // The choice is announced once, however many images are built.
        static CHOSEN: OnceLock<Target> = OnceLock::new();
        *CHOSEN.get_or_init(|| {
            let reason = if is_fallback_forced() {
                "VMI_TARGET_FALLBACK asks for it".to_owned()
            } else {
                match install::target(install::TARGET) {
                    Ok(()) => return Self::BareMetal,
                    Err(error) => format!("{error:#}"),
                }
            };
            say(&format!("the image is built freestanding for {FALLBACK_TARGET}: {reason}"));
            Self::Freestanding
        })
    }
}

fn is_fallback_forced() -> bool {
    env::var_os("VMI_TARGET_FALLBACK").is_some_and(|value| !value.is_empty() && value != "0")
}

/// Where and how the image is linked; the kernel's build script knows the names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Link {
    /// By the linker's own script.
    Default,
    /// By a script of the kernel's.
    Script,
    /// As a position-independent executable.
    Pie,
    /// In the top 2 GiB of the address space.
    High,
}

impl Link {
    /// All ways of linking.
    pub(crate) const ALL: [Self; 4] = [Self::Default, Self::Script, Self::Pie, Self::High];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Script => "script",
            Self::Pie => "pie",
            Self::High => "high",
        }
    }
}

/// Builds the image and returns its path.
pub(crate) fn build(target: Target, profile: Profile) -> Result<PathBuf> {
    build_linked(target, profile, Link::Default)
}

/// Builds the image in a way of linking and returns its path.
pub(crate) fn build_linked(target: Target, profile: Profile, link: Link) -> Result<PathBuf> {
    let (triple, profile) = triple(target, profile);
    let (profile_name, link_name) = (profile.name(), link.name());
    let _progress =
        Progress::start(&format!("building the image for {triple} ({profile_name}, {link_name})"));
    let name = format!("{PACKAGE}-{profile_name}-{link_name}");
    build_apart(&mut build_command(target, profile, link, PACKAGE)?, PACKAGE, triple, &name)
}

/// Runs a cargo command that builds one program and puts it where no build of another variant will overwrite it: for cargo
/// all variants are one program.
fn build_apart(cargo: &mut Command, program: &str, triple: &str, name: &str) -> Result<PathBuf> {
    let directory = workspace::target().join("images").join(triple);
    fs::create_dir_all(&directory).context("cannot make a directory for the images")?;
    // Whoever builds the next variant, be it another process, waits until this one is out of its way.
    let lock = File::create(directory.join("lock")).context("cannot make the lock of the images")?;
    lock.lock().context("cannot lock the images")?;
    let built = run_build(cargo, program)?;
    let image = directory.join(name);
    let cannot = || format!("cannot write the image `{}`", image.display());
    let copy = image.with_extension("new");
    fs::copy(&built, &copy).with_context(cannot)?;
    fs::rename(&copy, &image).with_context(cannot)?;
    Ok(image)
}

/// Returns the cargo command that builds one program of the package.
fn build_command(target: Target, profile: Profile, link: Link, program: &str) -> Result<Command> {
    let (triple, profile) = triple(target, profile);
    let mut cargo = workspace::cargo();
    cargo.env("VMI_LINK", link.name());
    cargo.args(["build", "--package", PACKAGE, "--bin", program, "--message-format=json-render-diagnostics"]);
    cargo.args(["--target", triple, "--profile", profile.name()]);
    let own: &[&str] = match (target, link) {
        (Target::Freestanding, _) => &FALLBACK_FLAGS,
        (Target::BareMetal, Link::Pie) => &["-Crelocation-model=pic"],
        (Target::BareMetal, _) => &["-Crelocation-model=static"],
    };
    let flags: Vec<String> = own.iter().map(ToString::to_string).chain(remap::flags()?).collect();
    // In the environment, where they take the place of whatever flags the user has for other programs.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    Ok(cargo)
}

/// Returns what cargo calls the target, and the profile that serves there.
fn triple(target: Target, profile: Profile) -> (&'static str, Profile) {
    match target {
        Target::BareMetal => (install::TARGET, profile),
        Target::Freestanding => (FALLBACK_TARGET, Profile::Fat),
    }
}

/// The program of the package that shows what a site costs `vmi::init`.
const SITES: &str = "sites";

/// How many sites the images of that program have.
pub(crate) const FEW_SITES: usize = 10;
pub(crate) const MANY_SITES: usize = 10_000;

/// Builds the program with few sites and with many, once, and returns the paths of both.
pub(crate) fn build_sites() -> Result<[PathBuf; 2]> {
    static BUILT: Mutex<Option<[PathBuf; 2]>> = Mutex::new(None);
    // What a thread that broke left behind is nothing, or both.
    let mut known = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(built) = &*known {
        return Ok(built.clone());
    }
    let target = Target::choose();
    let without_own = build_sites_beside(target, FEW_SITES, FEW_SITES)?;
    let others = Elf::read(&without_own)?.sites().count();
    let built = [FEW_SITES, MANY_SITES].map(|count| {
        let image = build_sites_beside(target, count, others)?;
        let found = Elf::read(&image)?.sites().count();
        ensure!(found == count, "the image has {found} sites, not {count}");
        Ok(image)
    });
    let [few, many] = built;
    Ok(known.insert([few?, many?]).clone())
}

/// Builds the program with that many sites if `others` of them are the library's own: how many those are depends on what
/// the compiler inlines.
fn build_sites_beside(target: Target, count: usize, others: usize) -> Result<PathBuf> {
    let mut cargo = build_command(target, Profile::Release, Link::Default, SITES)?;
    cargo.env("VMI_SITES", count.to_string()).env("VMI_SITES_OTHERS", others.to_string());
    let _progress = Progress::start(&format!("building an image of {count} sites"));
    build_apart(&mut cargo, SITES, triple(target, Profile::Release).0, &format!("{SITES}-{count}"))
}

/// Runs a cargo command that builds one program and returns the path of that.
///
/// # Errors
///
/// Shows what the compiler said.
pub(crate) fn run_build(cargo: &mut Command, program: &str) -> Result<PathBuf> {
    let built = process::run(cargo)?;
    if !built.status.success() {
        say(built.stderr.trim_end());
        bail!("{program} cannot be built: `{}` failed", process::line(cargo));
    }
    let messages = built.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut programs = messages
        .filter(|message| message["reason"] == "compiler-artifact" && message["target"]["name"] == program)
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    programs.next().with_context(|| format!("`{}` built no program", process::line(cargo)))
}

/// No image is larger, in bytes: it must fit the memory of the machine.
const LARGEST: u64 = 1 << 30;

/// Reads an image.
///
/// # Errors
///
/// Fails where there is no ordinary file, or one too large.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>> {
    let name = file.display();
    let metadata = fs::metadata(file).with_context(|| format!("cannot read the image `{name}`"))?;
    if !metadata.is_file() {
        bail!("the image `{name}` is not an ordinary file");
    }
    if metadata.len() > LARGEST {
        bail!("the image `{name}` has {} bytes, more than {LARGEST}", metadata.len());
    }
    fs::read(file).with_context(|| format!("cannot read the image `{name}`"))
}

/// Returns the SHA-256 of a file in hexadecimal.
pub(crate) fn sha256(file: &Path) -> Result<String> {
    let bytes = read(file)?;
    Ok(Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}
