//! What was counted, for people.

use std::fmt;

use super::statistics::{Mark, Place, Span, Statistics};

/// How many rows of a kind are shown; JSON has them all.
const ROWS: usize = 16;

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for span in &self.spans {
            span.fmt(f)?;
        }
        if self.marks_lost != 0 {
            writeln!(f, "{} more marks were not kept", self.marks_lost)?;
        }
        if let Some(reason) = &self.kernel_missing {
            writeln!(f, "exits that KVM serves itself were not counted: {reason}")?;
        }
        for (cpu, counters) in self.counters.iter().enumerate() {
            let shown =
                counters.iter().filter(|(name, value)| **value != 0 && COUNTERS.contains(&name.as_str()));
            let shown: Vec<String> = shown.map(|(name, value)| format!("{name} {value}")).collect();
            writeln!(f, "KVM's counters of CPU {cpu}: {}", shown.join(", "))?;
        }
        let vmi: Vec<String> = self
            .vmi
            .iter()
            .filter(|(_, value)| **value != 0)
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        if !vmi.is_empty() {
            writeln!(f, "VMI: {}", vmi.join(", "))?;
        }
        Ok(())
    }
}

/// KVM's counters that are shown.
const COUNTERS: [&str; 9] = [
    "exits",
    "io_exits",
    "mmio_exits",
    "signal_exits",
    "irq_exits",
    "halt_exits",
    "hypercalls",
    "irq_injections",
    "preemption_reported",
];

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |mark: Option<Mark>, none: &str| {
            mark.map_or(none.to_owned(), |mark| format!("mark {}", mark.mark))
        };
        write!(f, "from {} to {}: ", name(self.from, "the start"), name(self.to, "the end"))?;
        match self.kernel_total() {
            Some(total) => writeln!(f, "{total} exits, {} of them to user space", self.user_total())?,
            None => writeln!(f, "{} exits to user space", self.user_total())?,
        }
        let user = self.user.iter().map(|count| Row {
            count: count.count,
            cpu: count.cpu,
            what: count.kind.name(),
            address: count.address,
            place: count.place.as_ref(),
        });
        let kernel = self.kernel.iter().flatten().map(|count| Row {
            count: count.count,
            cpu: count.cpu,
            what: &count.reason,
            address: Some(count.address),
            place: count.place.as_ref(),
        });
        rows(f, "to user space", user.collect())?;
        rows(f, "all, by the kernel", kernel.collect())
    }
}

struct Row<'a> {
    count: u64,
    cpu: usize,
    what: &'a str,
    address: Option<u64>,
    place: Option<&'a Place>,
}

fn rows(f: &mut fmt::Formatter<'_>, title: &str, rows: Vec<Row<'_>>) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let shown = &rows[..rows.len().min(ROWS)];
    let width = shown.iter().map(|row| row.what.len()).max().unwrap_or(0);
    writeln!(f, "  {title}\n  {:>10}  cpu  {:width$}  {:18}  place", "count", "kind", "address")?;
    for Row { count, cpu, what, address, place } in shown {
        let address = address.map_or(String::new(), |address| format!("{address:#x}"));
        write!(f, "  {count:>10}  {cpu:>3}  {what:width$}  {address:18}  ")?;
        if let Some(Place { symbol, offset, op }) = place {
            if let Some(symbol) = symbol {
                write!(f, "{symbol}+{offset:#x}")?;
            }
            if let Some(op) = op {
                write!(f, " [{op}]")?;
            }
        }
        writeln!(f)?;
    }
    let rest: u64 = rows[shown.len()..].iter().map(|row| row.count).sum();
    if rest != 0 {
        writeln!(f, "  {rest:>10}  in {} more rows", rows.len() - shown.len())?;
    }
    Ok(())
}
