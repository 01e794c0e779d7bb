//! The same kernel, linked in every way and built in every profile: every record of every image decodes, and every
//! image boots.

use anyhow::{Context as _, Result, ensure};

use super::disassembly;
use super::run::{Outcome, Test};
use crate::boot::Boot;
use crate::elf::Elf;
use crate::full_run::judge;
use crate::host::{Host, Machine};
use crate::image::{self, Link, Profile, Target};
use crate::install;

pub(super) const TESTS: &[Test] = &[
    Test { name: "matrix::debug", run: |_| linked_in_every_way(Profile::Dev) },
    Test { name: "matrix::release", run: |_| linked_in_every_way(Profile::Release) },
    Test { name: "matrix::fat_lto", run: |_| linked_in_every_way(Profile::Fat) },
];

fn linked_in_every_way(profile: Profile) -> Result<Outcome> {
    if let Err(error) = install::target(install::TARGET) {
        return Ok(Outcome::Skipped(format!("{error:#}")));
    }
    for link in Link::ALL {
        let what = link.name();
        let image = image::build_linked(Target::BareMetal, profile, link)?;
        let elf = Elf::read(&image).context(what)?;
        disassembly::check_all(&elf).context(what)?;
        for arguments in ["", "backend=selftest"] {
            let mut boot = Boot::new(Host::named("tcg")?, &image).arguments(arguments);
            boot.machine = Machine::Microvm;
            let report = judge(&boot.run()?).context(what)?;
            let sites = report.sites.map_or(0, |sites| sites.total);
            ensure!(
                sites == elf.sites().count() as u64,
                "{what}: {sites} sites seen of {}",
                elf.sites().count()
            );
        }
    }
    Ok(Outcome::Passed)
}
