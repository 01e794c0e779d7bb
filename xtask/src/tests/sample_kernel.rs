//! The image itself on all hosts.

use anyhow::{Result, ensure};

use super::run::{Context, Outcome, Test};
use crate::boot::Boot;
use crate::full_run::full_run;
use crate::host::Host;
use crate::image::{Profile, Target};

pub(super) const TESTS: &[Test] = &[
    Test { name: "sample_kernel::passes_on_every_host", run: passes },
    Test { name: "sample_kernel::passes_where_the_target_cannot_be_had", run: passes_freestanding },
];

fn passes(context: &mut Context) -> Result<Outcome> {
    let image = context.image()?;
    for host in Host::gates() {
        let full = full_run(&Boot::new(host, &image))?;
        ensure!(full.complaints.is_empty(), "{}", full.complaints.join("; "));
    }
    Ok(Outcome::Passed)
}

fn passes_freestanding(context: &mut Context) -> Result<Outcome> {
    let image = context.image_for(Target::Freestanding, Profile::Fat)?;
    for host in Host::gates() {
        let full = full_run(&Boot::new(host, &image))?;
        ensure!(full.complaints.is_empty(), "{}", full.complaints.join("; "));
    }
    Ok(Outcome::Passed)
}
