//! What `init` found and did, as a value the kernel can print.

use core::{fmt, ops::AddAssign, ptr};

use vmi_abi::{Backend, Bottom, Machine, Offer, Op, Replacements, cpuid::Interface};

use crate::{
    layers::{BACKENDS_MAX, Layer, Layers},
    patch::Form,
};

/// What [`init`](crate::init) found and did. `Display` prints it in lines that start with `vmi: `.
#[derive(Clone, Copy)]
pub struct Report {
    /// The hypervisor that CPUID shows, whether or not a backend serves it.
    pub hypervisor: Option<Interface>,
    /// How many sites stand in which form.
    pub sites: SiteCounts,
    pub(crate) layers: Layers,
    candidates: [Option<Candidate>; BACKENDS_MAX],
    /// Per op, the form of its sites, and the backend that serves them.
    served: [(Form, u8); Op::COUNT],
}

/// One backend and what became of it.
#[derive(Clone, Copy)]
struct Candidate {
    backend: &'static dyn Backend,
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug)]
enum Verdict {
    /// It is a layer, unless it replaces nothing.
    Found(Offer),
    /// Refused by `nopv`.
    AllRefused(Offer),
    /// Refused by its own word.
    Refused(Offer),
    NotHere(&'static str),
}

/// How many sites stand in which form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SiteCounts {
    /// All sites: the image's, and where any was edited those of the registered sets.
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

    pub(crate) fn add(&mut self, form: Form, count: usize) {
        self.total += count;
        *match form {
            Form::Native => &mut self.native,
            Form::Call => &mut self.call,
            Form::Inline => &mut self.inline,
            Form::Nop => &mut self.nop,
        } += count;
    }
}

impl AddAssign for SiteCounts {
    fn add_assign(&mut self, other: Self) {
        self.total += other.total;
        self.native += other.native;
        self.call += other.call;
        self.inline += other.inline;
        self.nop += other.nop;
    }
}

impl Report {
    /// Asks every backend that fits into a report, and stacks those that found something.
    pub(crate) fn of_probes(machine: &Machine<'_>, backends: &[&'static dyn Backend]) -> Self {
        let mut report = Self {
            hypervisor: machine.hypervisor(),
            sites: SiteCounts::default(),
            layers: Layers::NONE,
            candidates: [None; BACKENDS_MAX],
            served: [(Form::Native, 0); Op::COUNT],
        };
        for (index, &backend) in backends.iter().take(BACKENDS_MAX).enumerate() {
            let known = report.candidates.iter().flatten().any(|other| other.is(backend));
            let verdict =
                if known { Verdict::NotHere("it is listed twice") } else { Verdict::of(backend, machine) };
            if let Verdict::Found(offer) = verdict {
                report.layers.insert(Layer { index: index as u8, backend, offer });
            }
            report.candidates[index] = Some(Candidate { backend, verdict });
        }
        report
    }

    /// Has the layers replace ops, and notes who serves which.
    pub(crate) fn stack(&mut self, bottom: &dyn Bottom, machine: &Machine<'_>) -> Replacements {
        let Self { layers, served, .. } = self;
        layers.compose(bottom, machine, |op, form, layer| served[op.index()] = (form, layer.index))
    }

    /// Returns the backends whose interface is there, but which are no layers: what firmware registered with those is
    /// registered still. `backends` are all that were given.
    pub(crate) fn others<'a>(
        &'a self,
        backends: &'a [&'static dyn Backend],
        machine: &'a Machine<'a>,
    ) -> impl Iterator<Item = (&'static dyn Backend, Offer)> + 'a {
        let is_layer = |index: usize| self.layers.iter().any(|layer| usize::from(layer.index) == index);
        let probed = self.candidates.iter().flatten().enumerate();
        let others = probed.filter(move |(index, _)| !is_layer(*index));
        let others = others.filter_map(|(_, other)| Some((other.backend, other.verdict.offer()?)));
        let unasked = backends.iter().skip(BACKENDS_MAX);
        others.chain(unasked.filter_map(|&backend| Some((backend, backend.probe(machine).ok()?))))
    }

    /// Returns the names of the layers, topmost first; none where all is native.
    pub fn layers(&self) -> impl Iterator<Item = &'static str> {
        self.layers.iter().rev().map(|layer| layer.backend.name())
    }

    /// Returns what the layer of that name offered.
    pub fn offer(&self, layer: &str) -> Option<Offer> {
        self.layers.iter().find(|other| other.backend.name() == layer).map(|layer| layer.offer)
    }

    /// Returns the name of the layer that serves an op, `None` where it is native.
    pub fn server(&self, op: Op) -> Option<&'static str> {
        let (form, index) = self.served[op.index()];
        let layer = self.layers.iter().find(|layer| layer.index == index)?;
        (form != Form::Native).then(|| layer.backend.name())
    }
}

impl Candidate {
    /// Tells whether it is this backend. Values without a size may share an address.
    fn is(&self, backend: &dyn Backend) -> bool {
        ptr::addr_eq(self.backend, backend) && self.backend.name() == backend.name()
    }
}

impl Verdict {
    fn of(backend: &dyn Backend, machine: &Machine<'_>) -> Self {
        let offer = match backend.probe(machine) {
            Ok(offer) => offer,
            Err(reason) => return Self::NotHere(reason),
        };
        let command_line = machine.command_line();
        if command_line.has("nopv") {
            Self::AllRefused(offer)
        } else if command_line.refuses(backend.name()) {
            Self::Refused(offer)
        } else {
            Self::Found(offer)
        }
    }

    fn offer(&self) -> Option<Offer> {
        match *self {
            Self::Found(offer) | Self::AllRefused(offer) | Self::Refused(offer) => Some(offer),
            Self::NotHere(_) => None,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hypervisor {
            Some(interface) => writeln!(f, "vmi: hypervisor: {interface}")?,
            None => writeln!(f, "vmi: hypervisor: none")?,
        }
        f.write_str("vmi: layers:")?;
        self.layers().try_for_each(|name| write!(f, " {name}"))?;
        writeln!(f, "{}", if self.layers().next().is_none() { " none" } else { "" })?;
        for layer in self.layers.iter().rev() {
            let name = layer.backend.name();
            writeln!(f, "vmi: {name} has: {}", Features(layer))?;
            write!(f, "vmi: {name} serves:")?;
            for op in Op::all().filter(|op| self.served[op.index()].1 == layer.index) {
                match self.served[op.index()].0 {
                    Form::Native => continue,
                    Form::Call => write!(f, " {op}=call")?,
                    Form::Inline => write!(f, " {op}=inline")?,
                    Form::Nop => write!(f, " {op}=nop")?,
                }
            }
            writeln!(f)?;
        }
        for (index, Candidate { backend, verdict }) in self.candidates.iter().flatten().enumerate() {
            let name = backend.name();
            match verdict {
                Verdict::Found(_) if self.layers.iter().any(|layer| usize::from(layer.index) == index) => {}
                Verdict::Found(_) => writeln!(f, "vmi: not {name}: it has nothing to replace")?,
                Verdict::AllRefused(_) => writeln!(f, "vmi: not {name}: nopv on the command line")?,
                Verdict::Refused(_) => writeln!(f, "vmi: not {name}: no-{name} on the command line")?,
                Verdict::NotHere(reason) => writeln!(f, "vmi: not {name}: {reason}")?,
            }
        }
        write!(f, "vmi: sites: {}", self.sites)
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("hypervisor", &self.hypervisor)
            .field("topmost", &self.layers().next())
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

/// A layer's features under their names.
struct Features<'a>(&'a Layer);

impl fmt::Display for Features<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.backend.describe(&self.0.offer, f)
    }
}
