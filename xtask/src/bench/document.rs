//! What a run of the benchmarks found, as `target/bench.json` holds it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The format and its version. Whoever changes what a field means changes the number.
pub(crate) const FORMAT: &str = "vmi-bench 1";

/// No document is larger, in bytes.
const LARGEST: u64 = 64 << 20;

/// Everything that was measured in one run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    /// [`FORMAT`].
    pub(crate) format: String,
    /// Whether everything that was asked for was measured; `false` after an interruption.
    pub(crate) complete: bool,
    /// The SHA-256 of the image, in hexadecimal.
    pub(crate) image_sha256: String,
    /// What the figures may depend on: `rustc`, `linux` (the rig's), `qemu`, `qemu in the rig`, `vmi-run`, `machine`.
    pub(crate) versions: BTreeMap<String, String>,
    /// Counted figures, in the order of the hosts.
    pub(crate) hosts: Vec<HostFigures>,
    /// Bytes of code and of records, in the image.
    pub(crate) code: Vec<Code>,
    /// Host timings, as ratios.
    pub(crate) timed: Vec<Timed>,
}

/// The figures of one host.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostFigures {
    /// The name: `bare`, `tcg`, `kvm`, `vmi`...
    pub(crate) host: String,
    /// What it is, in a few words.
    pub(crate) about: String,
    /// Whether the figures include what the host's kernel and virtual machine monitor do. Such figures are comparable
    /// only where the [`versions`](Document::versions) named by `depends_on` are equal.
    pub(crate) includes_host: bool,
    /// Names of versions.
    pub(crate) depends_on: Vec<String>,
    /// In the order in which the image measured them.
    pub(crate) figures: Vec<Figure>,
    /// What could not be measured on this host.
    pub(crate) skipped: Vec<Skipped>,
}

/// What one turn of one benchmark costs.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Figure {
    /// An op, or `exit::…`, `clock::…`, `paging::…`, `init::…`.
    pub(crate) name: String,
    /// `bare`, `native`, `thunk`, `naked`, `inline`, `backend`, `direct`, `table`, `dyn` or `retpoline`.
    pub(crate) variant: String,
    /// `loop`, `function` or `live`; of `vmi::init` `sites_10` and `sites_10000`, or `a_site` for one of them.
    pub(crate) surrounding: String,
    /// `before`, `after`, `teardown`, or the form in which sites were replaced: `thunk`, `naked`, `inline`.
    pub(crate) phase: String,
    /// Instructions a turn, without those of the loop.
    pub(crate) instructions: Counted,
    /// Exits a turn, where they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exits: Option<f64>,
    /// Why a leaf op costs natively something else than its bare instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<String>,
}

/// A figure and its spread over the batches. The figure is `least`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Counted {
    pub(crate) least: f64,
    pub(crate) mean: f64,
    pub(crate) most: f64,
}

/// A benchmark that cannot be measured on a host.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Skipped {
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// The size of something in the image.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Code {
    /// An op; for records, what they are of: `site`, `fixup`.
    pub(crate) name: String,
    /// `site`, `record`, or a variant: then the bytes are those of a function with nothing but the op.
    pub(crate) part: String,
    pub(crate) bytes: u64,
}

/// A candidate of one question, timed on this machine: its time divided by the baseline's in the same run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Timed {
    pub(crate) question: String,
    pub(crate) candidate: String,
    /// The baseline itself has the ratio 1.
    pub(crate) is_baseline: bool,
    pub(crate) ratio: f64,
    /// The quartiles of the ratio over the samples, for the baseline its own.
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Where the figure comes from, if it was not measured in this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
}

/// What a benchmark is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// An op of the list, or what belongs to the ops.
    Op,
    /// A way to the hypervisor.
    Exit,
    /// A time source.
    Clock,
    /// Page tables.
    Paging,
    /// `vmi::init`.
    Init,
}

impl Kind {
    /// Tells the kind by the name of a benchmark.
    pub(crate) fn of(name: &str) -> Self {
        match name.split_once("::") {
            Some(("exit", _)) => Self::Exit,
            Some(("clock", _)) => Self::Clock,
            Some(("paging", _)) => Self::Paging,
            Some(("init", _)) => Self::Init,
            _ => Self::Op,
        }
    }
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    ///
    /// Says in one sentence why the file is no document that this program can read.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let metadata = fs::metadata(path).with_context(|| format!("cannot read `{name}`"))?;
        ensure!(metadata.is_file(), "`{name}` is not an ordinary file");
        ensure!(metadata.len() <= LARGEST, "`{name}` has {} bytes, more than {LARGEST}", metadata.len());
        let bytes = fs::read(path).with_context(|| format!("cannot read `{name}`"))?;
        Self::parse(&bytes).with_context(|| format!("`{name}` cannot be compared with"))
    }

    /// Reads a document from its bytes.
    fn parse(bytes: &[u8]) -> Result<Self> {
        let value: Value = match serde_json::from_slice(bytes) {
            Ok(value) => value,
            Err(error) if error.is_eof() => bail!("it is truncated: {error}"),
            Err(error) => bail!("it is not JSON: {error}"),
        };
        match value.get("format").and_then(Value::as_str) {
            Some(FORMAT) => {}
            Some(other) => bail!("its format is {other:?}, not {FORMAT:?}"),
            None => bail!("it is no document of `cargo xtask bench`"),
        }
        // Not from the value: only the text tells where something is wrong.
        let document: Self = serde_json::from_slice(bytes).context("it is damaged")?;
        Ok(document)
    }

    /// Writes the document as text, one field a line, so that two of them can be held against each other.
    pub(crate) fn json(&self) -> Result<String> {
        let mut text = serde_json::to_string_pretty(self).context("the document cannot be written")?;
        text.push('\n');
        Ok(text)
    }

    /// Returns the figures of a host.
    pub(crate) fn host(&self, name: &str) -> Option<&HostFigures> {
        self.hosts.iter().find(|host| host.host == name)
    }

    /// Returns the size of a part of the image in bytes.
    pub(crate) fn bytes(&self, name: &str, part: &str) -> Option<u64> {
        self.code.iter().find(|code| code.name == name && code.part == part).map(|code| code.bytes)
    }
}

impl HostFigures {
    /// Returns the figure of a benchmark.
    pub(crate) fn figure(
        &self,
        name: &str,
        variant: &str,
        surrounding: &str,
        phase: &str,
    ) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.key() == [name, variant, surrounding, phase])
    }
}

impl Figure {
    /// Returns what tells the figure from all others of its host: name, variant, surrounding and phase.
    pub(crate) fn key(&self) -> [&str; 4] {
        [&self.name, &self.variant, &self.surrounding, &self.phase]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        let figure = Figure {
            name: "irq::disable".into(),
            variant: "native".into(),
            surrounding: "loop".into(),
            phase: "after".into(),
            instructions: Counted { least: 1.0, mean: 1.0625, most: 2.0 },
            exits: None,
            cause: None,
        };
        Document {
            format: FORMAT.into(),
            complete: true,
            image_sha256: "00".into(),
            versions: [("rustc".to_owned(), "1.95.0".to_owned())].into(),
            hosts: vec![HostFigures {
                host: "bare".into(),
                about: "hardware".into(),
                includes_host: false,
                depends_on: Vec::new(),
                figures: vec![figure],
                skipped: vec![Skipped { name: "exit::hypercall".into(), reason: "no hypervisor".into() }],
            }],
            code: vec![Code { name: "irq::disable".into(), part: "site".into(), bytes: 5 }],
            timed: Vec::new(),
        }
    }

    #[test]
    fn a_document_is_read_as_it_was_written() {
        let text = document().json().expect("it can be written");
        assert_eq!(Document::parse(text.as_bytes()).expect("it can be read"), document());
        let read = document();
        let host = read.host("bare").expect("the host is there");
        let figure = host.figure("irq::disable", "native", "loop", "after").expect("the figure is there");
        assert_eq!(figure.instructions.least, 1.0);
        assert!(host.figure("irq::disable", "native", "loop", "before").is_none());
        assert_eq!((read.bytes("irq::disable", "site"), read.bytes("irq::disable", "bare")), (Some(5), None));
    }

    #[test]
    fn what_is_no_document_is_refused_with_the_reason() {
        let text = document().json().expect("it can be written");
        let cases = [
            (text[..text.len() / 2].to_owned(), "truncated"),
            (String::new(), "truncated"),
            ("hello".to_owned(), "not JSON"),
            ("[1, 2]".to_owned(), "no document of `cargo xtask bench`"),
            ("{\"hosts\": []}".to_owned(), "no document of `cargo xtask bench`"),
            (text.replace("vmi-bench 1", "vmi-bench 2"), r#""vmi-bench 2", not "vmi-bench 1""#),
            (text.replace("\"least\"", "\"lest\""), "damaged"),
            (text.replace("1.0625", "\"1\""), "damaged"),
        ];
        for (text, reason) in cases {
            let error = format!("{:#}", Document::parse(text.as_bytes()).expect_err(&text));
            assert!(error.contains(reason) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn kinds_are_told_by_the_name() {
        for (name, kind) in [
            ("exit::cpuid", Kind::Exit),
            ("clock::tsc", Kind::Clock),
            ("paging::flush", Kind::Paging),
            ("init::natively", Kind::Init),
            ("irq::disable", Kind::Op),
            ("empty", Kind::Op),
        ] {
            assert_eq!(Kind::of(name), kind, "{name}");
        }
    }
}
