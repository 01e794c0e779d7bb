//! What `init` found and did, as a value the kernel can print.

use core::fmt;

use vmi_abi::{Backend, Offer, Op, cpuid::Interface};

use crate::patch::Kind;

/// How many backends [`init`](crate::init) takes.
pub const BACKENDS_MAX: usize = 8;

/// What [`init`](crate::init) found and did. `Display` prints it in lines that start with `vmi: `.
#[derive(Clone, Copy)]
pub struct Report {
    /// The hypervisor that CPUID shows, whether or not a backend serves it.
    pub hypervisor: Option<Interface>,
    /// How many sites stand in which form.
    pub sites: SiteCounts,
    pub(crate) candidates: [Option<Candidate>; BACKENDS_MAX],
    pub(crate) forms: [Kind; Op::COUNT],
}

/// One backend and what became of it.
#[derive(Clone, Copy)]
pub(crate) struct Candidate {
    pub(crate) backend: &'static dyn Backend,
    pub(crate) verdict: Verdict,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict {
    Chosen(Offer),
    Outranked(Offer),
    Forbidden(Offer),
    NotHere(&'static str),
}

/// How many sites stand in which form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SiteCounts {
    /// All sites of the image.
    pub total: usize,
    /// Sites that were not edited.
    pub native: usize,
    /// Sites edited into a call, or for a jump op into a jump.
    pub call: usize,
    /// Sites edited into other instructions.
    pub inline: usize,
    /// Sites edited into nothing.
    pub nop: usize,
}

impl SiteCounts {
    pub(crate) fn all_native(total: usize) -> Self {
        Self { total, native: total, ..Self::default() }
    }

    pub(crate) fn add(&mut self, kind: Kind, count: usize) {
        self.total += count;
        *match kind {
            Kind::Native => &mut self.native,
            Kind::Call => &mut self.call,
            Kind::Inline => &mut self.inline,
            Kind::Nop => &mut self.nop,
        } += count;
    }
}

impl Report {
    /// Returns the name of the chosen backend, `native` if none was.
    pub fn backend(&self) -> &'static str {
        self.chosen().map_or("native", |(backend, _)| backend.name())
    }

    /// Returns the chosen backend's offer.
    pub fn offer(&self) -> Option<Offer> {
        self.chosen().map(|(_, offer)| offer)
    }

    fn chosen(&self) -> Option<(&'static dyn Backend, Offer)> {
        self.candidates.iter().flatten().find_map(|candidate| match candidate.verdict {
            Verdict::Chosen(offer) => Some((candidate.backend, offer)),
            _ => None,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hypervisor {
            Some(interface) => writeln!(f, "vmi: hypervisor: {interface}")?,
            None => writeln!(f, "vmi: hypervisor: none")?,
        }
        writeln!(f, "vmi: backend: {}", self.backend())?;
        for Candidate { backend, verdict } in self.candidates.iter().flatten() {
            match verdict {
                Verdict::Chosen(offer) => {
                    writeln!(f, "vmi: features: {}", Features(*backend, offer))?;
                }
                Verdict::Outranked(_) => writeln!(f, "vmi: not {}: another ranks higher", backend.name())?,
                Verdict::Forbidden(_) => {
                    writeln!(f, "vmi: not {}: nopv on the command line", backend.name())?
                }
                Verdict::NotHere(reason) => writeln!(f, "vmi: not {}: {reason}", backend.name())?,
            }
        }
        if self.forms.iter().any(|form| *form != Kind::Native) {
            f.write_str("vmi: overridden:")?;
            for op in Op::all() {
                match self.forms[usize::from(op.number())] {
                    Kind::Native => continue,
                    Kind::Call => write!(f, " {op}=call")?,
                    Kind::Inline => write!(f, " {op}=inline")?,
                    Kind::Nop => write!(f, " {op}=nop")?,
                }
            }
            writeln!(f)?;
        }
        write!(f, "vmi: sites: {}", self.sites)
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("hypervisor", &self.hypervisor)
            .field("backend", &self.backend())
            .field("offer", &self.offer())
            .field("sites", &self.sites)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for SiteCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { total, native, call, inline, nop } = self;
        write!(f, "total {total} native {native} call {call} inline {inline} nop {nop}")
    }
}

/// A backend's features under their names.
struct Features<'a>(&'a dyn Backend, &'a Offer);

impl fmt::Display for Features<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.describe(self.1, f)
    }
}
