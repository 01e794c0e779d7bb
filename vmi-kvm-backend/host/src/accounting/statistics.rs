//! What was counted, as a value.

use std::collections::BTreeMap;

use serde::Serialize;

use super::kind::Kind;

/// What was counted in a run.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Statistics {
    /// One word for how the run ended.
    pub ending: &'static str,
    /// The status of the run.
    pub status: u8,
    /// The pieces of the run between the guest's marks, in order; they cover the whole run.
    pub spans: Vec<Span>,
    /// Marks that were not kept because there were too many; what was counted around them is in the last span.
    pub marks_lost: u64,
    /// What KVM counted for each CPU, by its own names; empty where KVM does not tell.
    pub counters: Vec<BTreeMap<String, u64>>,
    /// Why there are no counts of the kernel, where there are none.
    pub kernel_missing: Option<String>,
    /// what calls by port counted up.
    pub vmi: BTreeMap<&'static str, u64>,
}

impl Statistics {
    /// Returns all of it as one JSON document on one line.
    pub fn to_json(&self) -> String {
        // Every key is a string and every value a number, a string or a list of such.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A mark that the guest set.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Mark {
    /// Its name, a number.
    pub mark: u64,
    /// The value that went along.
    pub value: u64,
    /// The CPU that set it.
    pub cpu: usize,
}

/// A piece of the run. The exit by which a mark is set belongs to the span before the mark.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Span {
    /// The mark with which it begins; none at the start of the run.
    pub from: Option<Mark>,
    /// The mark with which it ends; none at the end of the run.
    pub to: Option<Mark>,
    /// Exits to this program.
    pub user: Vec<Count>,
    /// Exits of the CPUs, those to this program included; none where the kernel does not tell.
    pub kernel: Option<Vec<KernelCount>>,
    /// Exits that the kernel did not attribute, for want of room in its table.
    pub kernel_lost: u64,
}

impl Span {
    /// Returns how many exits there were to this program.
    pub fn user_total(&self) -> u64 {
        self.user.iter().map(|count| count.count).sum()
    }

    /// Returns how many exits there were in all, where the kernel tells.
    pub fn kernel_total(&self) -> Option<u64> {
        self.kernel
            .as_ref()
            .map(|counts| counts.iter().map(|count| count.count).sum::<u64>() + self.kernel_lost)
    }
}

/// A number of exits to this program, of one kind, at one address.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Count {
    /// The CPU.
    pub cpu: usize,
    /// The kind.
    pub kind: Kind,
    /// The guest's instruction: of writes to memory and of string writes the one behind it, as KVM leaves it.
    /// None where addresses were not asked for, or where there were too many.
    pub address: Option<u64>,
    /// What the image has at that address.
    pub place: Option<Place>,
    /// How many.
    pub count: u64,
}

/// A number of exits, for one reason, at one address.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KernelCount {
    /// The CPU.
    pub cpu: usize,
    /// The reason in the words of the CPU's vendor, or its number.
    pub reason: String,
    /// The guest's instruction.
    pub address: u64,
    /// What the image has at that address.
    pub place: Option<Place>,
    /// How many.
    pub count: u64,
}

/// Where in the image an address is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Place {
    /// The symbol that the address is in.
    pub symbol: Option<String>,
    /// Bytes from the symbol's start.
    pub offset: u64,
    /// The op whose site is there.
    pub op: Option<&'static str>,
}
