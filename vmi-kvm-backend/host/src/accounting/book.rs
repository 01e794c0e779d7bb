//! The counting itself.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::kind::Kind;
use super::reason::Vendor;
use super::statistics::{Count, KernelCount, Mark, Span, Statistics};
use super::symbols::Symbols;
use super::trace::{Exits, Trace};
use crate::shared::lock;

const KINDS: usize = Kind::ALL.len();
/// How many addresses a CPU's table holds in one span, and all spans together: a guest chooses its addresses.
const ADDRESSES_MAX: usize = 16 << 10;
const ADDRESSES_MAX_OF_ALL: usize = 64 << 10;
/// How many rows of the kernel's all spans together hold.
const KERNEL_ROWS_MAX: usize = 64 << 10;
/// How many marks are kept.
const MARKS_MAX: usize = 256;

/// Why there are no counts where the kernel counts threads by numbers that they do not have here.
const NONE_OF_OURS: &str =
    "the kernel counted none of this run's threads: in a PID namespace they have other numbers";

/// What is counted while the guest runs.
#[derive(Debug)]
pub(crate) struct Book {
    cpus: Box<[Cpu]>,
    /// What costs more than a counter, where it is asked for.
    detail: Option<Mutex<Detail>>,
}

#[derive(Debug, Default)]
struct Cpu {
    kinds: [AtomicU64; KINDS],
    addresses: Mutex<HashMap<(Kind, u64), u64>>,
}

#[derive(Debug, Default)]
struct Detail {
    spans: Vec<Span>,
    /// The mark with which the current span began.
    from: Option<Mark>,
    /// What the counters stood at then.
    kinds: Vec<[u64; KINDS]>,
    /// What the kernel had counted then.
    kernel: Exits,
    trace: Option<Trace>,
    kernel_missing: Option<String>,
    addresses: usize,
    kernel_rows: usize,
    marks_lost: u64,
}

impl Book {
    /// Opens a book for so many CPUs, which counts by kind.
    pub(crate) fn new(cpus: usize) -> Self {
        Self { cpus: (0..cpus).map(|_| Cpu::default()).collect(), detail: None }
    }

    /// Counts by address too, and has the kernel count.
    #[must_use]
    pub(crate) fn with_detail(self) -> Self {
        let (trace, kernel_missing) = match Trace::start() {
            Ok(trace) => (Some(trace), None),
            Err(reason) => (None, Some(reason)),
        };
        let kinds = vec![[0; KINDS]; self.cpus.len()];
        Self {
            detail: Some(Mutex::new(Detail { trace, kernel_missing, kinds, ..Detail::default() })),
            ..self
        }
    }

    /// Tells whether it counts by address.
    pub(crate) fn is_detailed(&self) -> bool {
        self.detail.is_some()
    }

    /// Notes that this thread runs that CPU.
    pub(crate) fn attach(&self, cpu: usize) {
        if let Some(detail) = &self.detail
            && let Some(trace) = &mut lock(detail).trace
        {
            trace.attach(cpu);
        }
    }

    /// Counts an exit; the address is given where addresses are counted.
    pub(crate) fn count(&self, cpu: usize, kind: Kind, address: Option<u64>) {
        let Some(cpu) = self.cpus.get(cpu) else { return };
        cpu.kinds[kind as usize].fetch_add(1, Relaxed);
        if let Some(address) = address {
            let mut addresses = lock(&cpu.addresses);
            let room = addresses.len() < ADDRESSES_MAX;
            if let Some(count) = addresses.get_mut(&(kind, address)) {
                *count += 1;
            } else if room {
                addresses.insert((kind, address), 1);
            }
        }
    }

    /// Returns how many exits there were so far: of one CPU, and of all.
    pub(crate) fn totals(&self, cpu: usize) -> (u64, u64) {
        let of = |cpu: &Cpu| cpu.kinds.iter().map(|kind| kind.load(Relaxed)).sum::<u64>();
        (self.cpus.get(cpu).map_or(0, of), self.cpus.iter().map(of).sum())
    }

    /// Returns the exits of a CPU so far, by the names of their kinds.
    pub(crate) fn kinds(&self, cpu: usize) -> BTreeMap<&'static str, u64> {
        let Some(cpu) = self.cpus.get(cpu) else { return BTreeMap::new() };
        Kind::ALL.iter().map(|kind| (kind.name(), cpu.kinds[*kind as usize].load(Relaxed))).collect()
    }

    /// Notes a mark.
    pub(crate) fn mark(&self, mark: Mark) {
        if let Some(detail) = &self.detail {
            let mut detail = lock(detail);
            if detail.spans.len() < MARKS_MAX {
                self.end_span(&mut detail, Some(mark));
            } else {
                detail.marks_lost += 1;
            }
        }
    }

    /// Closes the book, once no CPU runs any more; addresses are looked up in the image.
    pub(crate) fn close(&self, image: &Path, vendor: Vendor) -> Statistics {
        let Some(detail) = &self.detail else { return Statistics::default() };
        let mut detail = lock(detail);
        self.end_span(&mut detail, None);
        detail.trace = None;
        let mut spans = std::mem::take(&mut detail.spans);
        let symbols = Symbols::read(image);
        for span in &mut spans {
            for count in &mut span.user {
                count.place = count.address.and_then(|address| symbols.find(address));
            }
            for count in span.kernel.iter_mut().flatten() {
                count.place = symbols.find(count.address);
                count.reason = vendor.reason(&count.reason);
            }
        }
        // A run has exits. Where the kernel counted, and none of this run's, its numbers of threads are not ours.
        let counted = |span: &Span| span.kernel.as_ref().is_some_and(|counts| !counts.is_empty());
        if spans.iter().any(|span| span.kernel.is_some()) && !spans.iter().any(counted) {
            spans.iter_mut().for_each(|span| span.kernel = None);
            detail.kernel_missing = Some(NONE_OF_OURS.to_owned());
        }
        Statistics {
            spans,
            marks_lost: detail.marks_lost,
            kernel_missing: detail.kernel_missing.take(),
            ..Statistics::default()
        }
    }

    fn end_span(&self, detail: &mut Detail, to: Option<Mark>) {
        let mut span = Span { from: detail.from, to, ..Span::default() };
        detail.from = to;
        for (number, (cpu, before)) in self.cpus.iter().zip(&mut detail.kinds).enumerate() {
            let addresses = std::mem::take(&mut *lock(&cpu.addresses));
            let mut left: [u64; KINDS] = std::array::from_fn(|kind| {
                let now = cpu.kinds[kind].load(Relaxed);
                now - std::mem::replace(&mut before[kind], now)
            });
            for ((kind, address), count) in addresses {
                if detail.addresses < ADDRESSES_MAX_OF_ALL {
                    detail.addresses += 1;
                    // Another CPU may be between its two counts.
                    let count = count.min(left[kind as usize]);
                    left[kind as usize] -= count;
                    span.user.push(Count { cpu: number, kind, address: Some(address), place: None, count });
                }
            }
            for (kind, count) in Kind::ALL.iter().zip(left).filter(|(_, count)| *count != 0) {
                span.user.push(Count { cpu: number, kind: *kind, address: None, place: None, count });
            }
        }
        span.user.sort_by(|a, b| b.count.cmp(&a.count).then(a.address.cmp(&b.address)));
        if let Some(now) = detail.trace.as_ref().and_then(Trace::read) {
            Self::add_kernel(detail, &mut span, now);
        }
        detail.spans.push(span);
    }

    /// Adds what the kernel had counted by now to the span that ends.
    fn add_kernel(detail: &mut Detail, span: &mut Span, now: Exits) {
        let mut counts: Vec<KernelCount> = now
            .since(&detail.kernel)
            .map(|(cpu, reason, address, count)| KernelCount {
                cpu,
                reason: reason.to_string(),
                address,
                place: None,
                count,
            })
            .collect();
        counts.sort_by(|a, b| b.count.cmp(&a.count).then(a.address.cmp(&b.address)));
        // The rarest go, and are still counted.
        let room = counts.len().min(KERNEL_ROWS_MAX - detail.kernel_rows);
        let rest: u64 = counts.drain(room..).map(|count| count.count).sum();
        detail.kernel_rows += room;
        span.kernel_lost = now.lost.saturating_sub(detail.kernel.lost) + rest;
        span.kernel = Some(counts);
        detail.kernel = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detailed(cpus: usize) -> Book {
        let book = Book::new(cpus);
        let kinds = vec![[0; KINDS]; cpus];
        Book { detail: Some(Mutex::new(Detail { kinds, ..Detail::default() })), ..book }
    }

    fn mark(mark: u64) -> Mark {
        Mark { mark, value: 0, cpu: 0 }
    }

    #[test]
    fn what_lies_between_marks_is_told_apart_and_nothing_is_lost() {
        let book = detailed(2);
        book.count(0, Kind::PortWrite, Some(0x10));
        book.mark(mark(1));
        (0..10_000).for_each(|_| book.count(1, Kind::MsrRead, Some(0x20)));
        book.count(1, Kind::PortRead, Some(0x20));
        book.mark(mark(2));
        book.mark(mark(3));
        book.count(0, Kind::Interrupted, None);
        let statistics = book.close("/nonexistent".as_ref(), Vendor::Amd);
        let spans: Vec<(u64, u64, u64)> = statistics
            .spans
            .iter()
            .map(|span| (span.from.map_or(0, |m| m.mark), span.to.map_or(0, |m| m.mark), span.user_total()))
            .collect();
        assert_eq!(spans, [(0, 1, 1), (1, 2, 10_001), (2, 3, 0), (3, 0, 1)]);
        let most = &statistics.spans[1].user[0];
        assert_eq!((most.cpu, most.kind, most.address, most.count), (1, Kind::MsrRead, Some(0x20), 10_000));
        assert_eq!(book.totals(1), (10_001, 10_003));
    }

    fn exits(rows: std::ops::Range<u64>) -> Exits {
        let threads = HashMap::from([(1, 0)]);
        let line = |at| format!("{{ common_pid: 1, guest_rip: {at:x}, exit_reason: 114 }} hitcount: 2\n");
        super::super::trace::parse(&rows.map(line).collect::<String>(), &threads)
    }

    #[test]
    fn exits_everywhere_that_the_kernel_counts_make_nothing_grow() {
        let book = detailed(1);
        let mut detail = lock(book.detail.as_ref().unwrap());
        let spans = (0..10_u64).map(|round| {
            let mut span = Span::default();
            let rows = round * 10_000..(round + 1) * 10_000;
            Book::add_kernel(&mut detail, &mut span, exits(rows));
            span
        });
        let spans: Vec<Span> = spans.collect();
        let rows: usize = spans.iter().map(|span| span.kernel.as_ref().unwrap().len()).sum();
        assert_eq!(rows, KERNEL_ROWS_MAX);
        assert_eq!(spans.iter().map(|span| span.kernel_total().unwrap()).sum::<u64>(), 200_000);
    }

    #[test]
    fn a_kernel_that_counts_other_threads_is_said_aloud() {
        for (rows, missing) in [(0..0, Some(NONE_OF_OURS)), (0..1, None)] {
            let book = detailed(1);
            let mut span = Span::default();
            let mut detail = lock(book.detail.as_ref().unwrap());
            Book::add_kernel(&mut detail, &mut span, exits(rows));
            detail.spans.push(span);
            drop(detail);
            let statistics = book.close("/nonexistent".as_ref(), Vendor::Amd);
            assert_eq!(statistics.kernel_missing.as_deref(), missing);
            assert_eq!(statistics.spans[0].kernel.is_none(), missing.is_some());
        }
    }

    #[test]
    fn a_guest_that_exits_everywhere_makes_nothing_grow() {
        let book = detailed(1);
        for round in 0..10 {
            (0..100_000).for_each(|at| book.count(0, Kind::PortRead, Some(at)));
            assert!(lock(&book.cpus[0].addresses).len() <= ADDRESSES_MAX);
            (0..100).for_each(|at| book.mark(mark(round * 100 + at)));
        }
        let statistics = book.close("/nonexistent".as_ref(), Vendor::Amd);
        let rows: usize = statistics.spans.iter().map(|span| span.user.len()).sum();
        assert!(rows <= ADDRESSES_MAX_OF_ALL + statistics.spans.len(), "{rows} rows");
        assert_eq!(statistics.spans.len(), MARKS_MAX + 1);
        assert_eq!(statistics.marks_lost, 1000 - MARKS_MAX as u64);
        assert_eq!(statistics.spans.iter().map(Span::user_total).sum::<u64>(), 1_000_000);
    }
}
