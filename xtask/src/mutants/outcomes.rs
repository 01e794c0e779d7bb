//! What cargo-mutants found, as far as it is used. Source: cargo-mutants' manual, "The mutants.out directory".

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// What became of the mutants of a package.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Outcomes {
    pub(super) caught: usize,
    pub(super) unviable: usize,
    pub(super) timed_out: usize,
    /// Those that no test noticed.
    pub(super) missed: Vec<Survivor>,
}

/// A mutant that survived.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Survivor {
    /// Where it is and what was changed.
    pub(super) name: String,
    /// The path of the file in the workspace.
    pub(super) file: String,
    /// The function, with the type or trait that it is of; empty outside of any.
    pub(super) function: String,
}

#[derive(Deserialize)]
struct Document {
    outcomes: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    scenario: Scenario,
    summary: Summary,
}

#[derive(Deserialize)]
enum Scenario {
    Baseline,
    Mutant(Mutant),
}

#[derive(Deserialize)]
struct Mutant {
    name: String,
    package: String,
    file: String,
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    function_name: String,
}

#[derive(Debug, Deserialize)]
enum Summary {
    Success,
    CaughtMutant,
    MissedMutant,
    Unviable,
    Failure,
    Timeout,
}

/// Reads `outcomes.json`: packages by their names.
pub(super) fn read(text: &str) -> Result<BTreeMap<String, Outcomes>> {
    let document: Document = serde_json::from_str(text).context("is not what cargo-mutants writes")?;
    let mut packages: BTreeMap<String, Outcomes> = BTreeMap::new();
    for Outcome { scenario, summary } in document.outcomes {
        let Scenario::Mutant(Mutant { name, package, file, function }) = scenario else { continue };
        let outcomes = packages.entry(package).or_default();
        let function = function.map(|function| function.function_name).unwrap_or_default();
        match summary {
            Summary::CaughtMutant => outcomes.caught += 1,
            Summary::MissedMutant => outcomes.missed.push(Survivor { name, file, function }),
            Summary::Unviable => outcomes.unviable += 1,
            Summary::Timeout => outcomes.timed_out += 1,
            Summary::Success | Summary::Failure => bail!("{name} ended as {summary:?}"),
        }
    }
    Ok(packages)
}

/// Returns how many mutants `mutants.json` lists, once it is whole.
pub(super) fn count(text: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Vec<IgnoredAny>>(text).ok().map(|mutants| mutants.len() as u64)
}

impl Outcomes {
    /// Returns how many there are.
    pub(super) fn mutants(&self) -> usize {
        self.caught + self.missed.len() + self.unviable + self.timed_out
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn mutants_are_counted_by_what_became_of_them() {
        let outcome = |package: &str, summary: &str, function| {
            json!({ "summary": summary, "log_path": "log/a", "phase_results": [], "scenario": { "Mutant": {
                "name": format!("a/src/b.rs:7:5: {summary}"), "package": package, "file": "a/src/b.rs", "function": function,
                "span": { "start": { "line": 7, "column": 5 } }, "replacement": "()", "genre": "FnValue",
            } } })
        };
        let function = json!({ "function_name": "B::c", "return_type": "-> u8" });
        let document = json!({ "total_mutants": 6, "outcomes": [
            { "scenario": "Baseline", "summary": "Success", "log_path": "log/baseline", "phase_results": [] },
            outcome("a", "CaughtMutant", json!(null)),
            outcome("a", "MissedMutant", function),
            outcome("a", "Unviable", json!(null)),
            outcome("b", "Timeout", json!(null)),
            outcome("a", "MissedMutant", json!(null)),
            outcome("a", "CaughtMutant", json!(null)),
        ] });
        let missed = ["B::c", ""].map(|function| Survivor {
            name: "a/src/b.rs:7:5: MissedMutant".to_owned(),
            file: "a/src/b.rs".to_owned(),
            function: function.to_owned(),
        });
        let packages = read(&document.to_string()).unwrap();
        let a = Outcomes { caught: 2, unviable: 1, timed_out: 0, missed: missed.into() };
        assert_eq!(a.mutants(), 5);
        let b = Outcomes { timed_out: 1, ..Outcomes::default() };
        assert_eq!(packages, BTreeMap::from([("a".to_owned(), a), ("b".to_owned(), b)]));
        let unknown = json!({ "outcomes": [outcome("a", "Failure", json!(null))] });
        assert_eq!(
            read(&unknown.to_string()).unwrap_err().to_string(),
            "a/src/b.rs:7:5: Failure ended as Failure"
        );
        assert!(read("{}").is_err());
    }

    #[test]
    fn a_list_that_is_being_written_has_no_count() {
        assert_eq!(count(br#"[{"name": "a"}, {"name": "b"}]"#), Some(2));
        assert_eq!(count(br#"[{"name": "a"}, "#), None);
    }
}
