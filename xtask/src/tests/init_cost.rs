//! What `vmi::init` costs, by two images that differ in the number of their sites, and what a site takes in the image.

use anyhow::{Context as _, Result, ensure};
use iced_x86::{Decoder, DecoderOptions};
use vmi_abi::SITE_LEN_MIN;

use super::disassembly::PREFIXES;
use super::run::{Context, Outcome, Test};
use crate::bench::{HostFigures, cost_of_a_site, figures_of};
use crate::boot::{Boot, run_all};
use crate::elf::{Elf, RECORD};
use crate::full_run::judge;
use crate::host::Host;
use crate::image::{self, FEW_SITES, MANY_SITES};

pub(super) const TESTS: &[Test] = &[
    Test { name: "init_cost::a_native_host_pays_for_no_site_and_a_backend_little", run: natively },
    Test { name: "init_cost::kvm_pays_little_for_a_site", run: on_kvm },
    Test { name: "init_cost::a_site_takes_five_bytes_and_its_record_eight", run: few_bytes },
];

/// Instructions that a site may cost.
const VALIDATE_MAX: f64 = 40.0;
const EDIT_MAX: f64 = 100.0;

/// Has both images measure themselves.
fn measure(host: &str) -> Result<HostFigures> {
    let host = Host::named(host)?;
    let boots =
        image::build_sites()?.map(|image| Boot { counts_instructions: true, ..Boot::new(host, &image) });
    let runs = run_all(&boots, &mut |_| Ok(()))?;
    runs.iter().try_for_each(|run| judge(run).map(drop))?;
    let consoles: Vec<String> = runs.into_iter().map(|run| run.console).collect();
    figures_of(host, &consoles)
}

/// Returns the instructions that a call took in the image with so many sites.
fn cost(measured: &HostFigures, call: &str, sites: usize) -> Result<f64> {
    let surrounding = format!("sites_{sites}");
    let mut figures = measured.figures.iter();
    let figure = figures.find(|figure| figure.name == call && figure.surrounding == surrounding);
    Ok(figure.with_context(|| format!("{call} was not measured with {sites} sites"))?.instructions.least)
}

fn natively(_: &mut Context) -> Result<Outcome> {
    let measured = measure("bare")?;
    let [few, many] = [FEW_SITES, MANY_SITES].map(|sites| cost(&measured, "init::native", sites));
    let (few, many) = (few?, many?);
    ensure!(few == many, "{few} instructions for {FEW_SITES} sites, {many} for {MANY_SITES}");
    costs_little(&measured)
}

fn on_kvm(_: &mut Context) -> Result<Outcome> {
    let measured = measure("kvm")?;
    ensure!(measured.skipped.iter().any(|skipped| skipped.name == "init::native"), "KVM was not there");
    costs_little(&measured)
}

fn costs_little(measured: &HostFigures) -> Result<Outcome> {
    for (call, most) in
        [("init::validate", VALIDATE_MAX), ("init::edit", EDIT_MAX), ("init::restore", EDIT_MAX)]
    {
        let instructions =
            cost_of_a_site(measured, call).with_context(|| format!("{call} was not measured"))?;
        ensure!(instructions > 1.0, "{call}: {instructions} instructions a site: nothing was measured");
        ensure!(
            instructions <= most,
            "{call}: {instructions:.1} instructions a site, at most {most} allowed"
        );
    }
    Ok(Outcome::Passed)
}

/// As few bytes as hold a near call, unless the instruction by itself is longer.
fn few_bytes(context: &mut Context) -> Result<Outcome> {
    ensure!(RECORD == 8, "a record has {RECORD} bytes");
    for image in [context.image()?, image::build_sites()?[0].clone()] {
        let elf = Elf::read(&image)?;
        for placed in elf.sites() {
            let text = elf.loaded(placed.address, placed.site.len.into())?;
            let filling = text.iter().take_while(|byte| PREFIXES.contains(byte)).count();
            let instruction = Decoder::with_ip(64, &text[filling..], 0, DecoderOptions::NONE).decode().len();
            ensure!(
                text.len() == instruction.max(SITE_LEN_MIN),
                "the site at {:#x} has {} bytes for an instruction of {instruction}",
                placed.address,
                text.len()
            );
        }
    }
    Ok(Outcome::Passed)
}
