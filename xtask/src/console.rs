//! What the image says on its console, line by line: the protocol between `sample-kernel` and this program.

/// What the lines of a console amount to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Report {
    /// The hypervisor that the image saw; `none` on bare hardware.
    pub(crate) hypervisor: Option<String>,
    /// The layers over the native functions, topmost first.
    pub(crate) layers: Option<Vec<String>>,
    /// What became of its sites.
    pub(crate) sites: Option<Sites>,
    /// The names of the checks that passed.
    pub(crate) passed: Vec<String>,
    /// The checks that failed: name and message.
    pub(crate) failed: Vec<(String, String)>,
    /// The checks that were skipped: name and reason.
    pub(crate) skipped: Vec<(String, String)>,
    /// The summary, if it is the last thing on the console.
    pub(crate) summary: Option<Checks>,
}

/// Sites by what the patcher made of them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub(crate) struct Sites {
    pub(crate) total: u64,
    pub(crate) native: u64,
    pub(crate) call: u64,
    pub(crate) inline: u64,
    pub(crate) nop: u64,
}

/// Checks by outcome.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub(crate) struct Checks {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Report {
    /// Reads a console; lines that are not part of the protocol are passed over.
    pub(crate) fn read(console: &str) -> Self {
        let mut report = Self::default();
        for line in console.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            // Only the last line can be the summary: whatever is printed behind one takes it back.
            report.summary = line.strip_prefix("summary: ").and_then(checks);
            if let Some(fact) = line.strip_prefix("vmi: ") {
                report.read_fact(fact);
            } else if let Some(name) = line.strip_prefix("PASS ") {
                report.passed.push(name.to_owned());
            } else if let Some(rest) = line.strip_prefix("FAIL ") {
                report.failed.push(name_and_rest(rest));
            } else if let Some(rest) = line.strip_prefix("SKIP ") {
                report.skipped.push(name_and_rest(rest));
            }
        }
        report
    }

    /// Returns the topmost layer, or `native` where there is none.
    pub(crate) fn backend(&self) -> Option<&str> {
        let layers = self.layers.as_deref()?;
        Some(layers.first().map_or("native", String::as_str))
    }

    fn read_fact(&mut self, fact: &str) {
        if let Some(hypervisor) = fact.strip_prefix("hypervisor: ") {
            self.hypervisor = Some(hypervisor.to_owned());
        } else if let Some(names) = fact.strip_prefix("layers: ") {
            let names = names.split_whitespace().filter(|name| *name != "none");
            self.layers = Some(names.map(str::to_owned).collect());
        } else if let Some(rest) = fact.strip_prefix("sites: ") {
            self.sites = sites(rest);
        }
    }
}

/// Reads `total 120 native 100 call 18 inline 1 nop 1`.
fn sites(text: &str) -> Option<Sites> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let ["total", total, "native", native, "call", call, "inline", inline, "nop", nop] = words[..] else {
        return None;
    };
    Some(Sites {
        total: total.parse().ok()?,
        native: native.parse().ok()?,
        call: call.parse().ok()?,
        inline: inline.parse().ok()?,
        nop: nop.parse().ok()?,
    })
}

/// Reads `123 passed, 0 failed, 2 skipped`.
fn checks(text: &str) -> Option<Checks> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [passed, "passed,", failed, "failed,", skipped, "skipped"] = words[..] else {
        return None;
    };
    Some(Checks {
        passed: passed.parse().ok()?,
        failed: failed.parse().ok()?,
        skipped: skipped.parse().ok()?,
    })
}

/// Splits `name: message`, where the name itself may hold `::`.
fn name_and_rest(text: &str) -> (String, String) {
    let (name, rest) = text.split_once(": ").unwrap_or((text, ""));
    (name.to_owned(), rest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = "SeaBIOS\r\nvmi: hypervisor: KVMKVMKVM\r\nvmi: layers: kvm vmi\nvmi: kvm has: NOP_IO_DELAY\n\
        vmi: kvm serves: io::delay=nop\nvmi: sites: total 120 native 100 call 18 inline 1 nop 1\nPASS irq::save\nFAIL time::now_ns: 3: too late\n\
        SKIP apic::eoi: no APIC\nsummary: 1 passed, 1 failed, 1 skipped\r\n\n";

    #[test]
    fn a_console_is_read_line_by_line() {
        let report = Report::read(CONSOLE);
        assert_eq!(report.hypervisor.as_deref(), Some("KVMKVMKVM"));
        assert_eq!(report.layers, Some(["kvm", "vmi"].map(str::to_owned).to_vec()));
        assert_eq!(report.backend(), Some("kvm"));
        assert_eq!(report.sites, Some(Sites { total: 120, native: 100, call: 18, inline: 1, nop: 1 }));
        assert_eq!(report.passed, ["irq::save"]);
        assert_eq!(report.failed, [("time::now_ns".to_owned(), "3: too late".to_owned())]);
        assert_eq!(report.skipped, [("apic::eoi".to_owned(), "no APIC".to_owned())]);
        assert_eq!(report.summary, Some(Checks { passed: 1, failed: 1, skipped: 1 }));
    }

    #[test]
    fn where_all_is_native_there_is_no_layer() {
        let report = Report::read("vmi: layers: none");
        assert_eq!((report.layers.as_deref(), report.backend()), (Some(&[][..]), Some("native")));
        assert_eq!(Report::read("").backend(), None);
    }

    #[test]
    fn a_summary_that_is_not_the_last_line_is_none() {
        assert_eq!(Report::read(&format!("{CONSOLE}PANIC")).summary, None);
    }

    #[test]
    fn a_damaged_line_is_no_line() {
        for line in ["summary: 1 passed, 0 failed", "summary: x passed, 0 failed, 0 skipped", "summary:"] {
            assert_eq!(Report::read(line).summary, None, "{line}");
        }
        assert_eq!(Report::read("vmi: sites: total 1 native 1 call 0 inline 0").sites, None);
    }
}
