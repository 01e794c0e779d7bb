//! What the threads of a run share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use kvm_bindings::kvm_cpuid_entry2;
use kvm_ioctls::VmFd;
use vmm_sys_util::eventfd::EventFd;

use crate::accounting::Book;
use crate::bad_host::{Clock, Holds, Msrs, Steal};
use crate::console::Console;
use crate::devices::Devices;
use crate::ending::Ending;
use crate::error::{Error, Result};
use crate::memory::Memory;
use crate::pause::Pause;
use crate::port_call::{Exits, PortCalls};
use crate::vcpu::Vcpu;

/// What the threads of a run share.
pub(crate) struct Shared {
    /// Set when the run is over.
    pub(crate) stop: AtomicBool,
    /// Written when the run is over, and when its output is written.
    pub(crate) over: EventFd,
    /// None where there is no KVM. Before the memory, which it uses and must not outlive.
    pub(crate) vm: Option<VmFd>,
    pub(crate) memory: Memory,
    pub(crate) memory_bytes: u64,
    /// By CPU, the CPUID leaves that KVM was given, which not every KVM gives back.
    pub(crate) leaves: Vec<Arc<[kvm_cpuid_entry2]>>,
    /// The model-specific registers that KVM tells of.
    pub(crate) msr_indices: Arc<[u32]>,
    /// Whether the host is a bad one.
    pub(crate) is_bad: bool,
    pub(crate) pause: Pause,
    pub(crate) console: Arc<Console>,
    pub(crate) devices: Mutex<Devices>,
    pub(crate) port_calls: PortCalls,
    /// Rung by KVM.
    pub(crate) doorbell: EventFd,
    pub(crate) book: Book,
    pub(crate) msrs: Msrs,
    pub(crate) clock: Option<Clock>,
    pub(crate) holds: Holds,
    pub(crate) steal: Option<Steal>,
    /// By CPU, nanoseconds of steal time that are yet to be added.
    pub(crate) steal_due: Box<[AtomicU64]>,
    /// The CPUs, once they run.
    pub(crate) cpus: OnceLock<Vec<Vcpu>>,
    pub(crate) outcome: Mutex<Option<Result<Ending>>>,
    /// How the run was ended from outside when it was over already, and its output was yet to be written.
    pub(crate) cut_off: OnceLock<Ending>,
}

impl Shared {
    /// Ends the run, unless it is over already: the first reason counts.
    pub(crate) fn end(&self, outcome: Result<Ending>) {
        lock(&self.outcome).get_or_insert(outcome);
        self.stop.store(true, Ordering::SeqCst);
        self.console.let_go();
        self.pause.let_go();
        // A counter that cannot take one more is not 0, which is all that matters.
        let _ = self.over.write(1);
    }

    /// Ends the run from outside, or what is left of it.
    pub(crate) fn end_from_outside(&self, ending: Ending) {
        if self.is_over() {
            let _ = self.cut_off.set(ending);
        } else {
            self.end(Ok(ending));
        }
    }

    /// Tells whether it was not the guest that ended the run.
    pub(crate) fn is_ended_from_outside(&self) -> bool {
        matches!(*lock(&self.outcome), Some(Ok(ending)) if ending.is_from_outside())
    }

    /// Tells whether the run is over.
    pub(crate) fn is_over(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Takes the reason for which the run is over.
    pub(crate) fn outcome(&self) -> Option<Result<Ending>> {
        lock(&self.outcome).take()
    }

    /// Returns what calls by port counted up, by name.
    pub(crate) fn port_call_counts(&self) -> BTreeMap<&'static str, u64> {
        let counts = self.port_calls.statistics(Exits::default());
        BTreeMap::from([
            ("batches", counts.batches),
            ("calls", counts.calls),
            ("refused", counts.refused),
            ("doorbells", counts.doorbells),
            ("posted", counts.posted),
            ("lines", counts.lines),
            ("released_bytes", counts.released_bytes),
            ("trace_marks", counts.trace_marks),
        ])
    }

    /// Has the CPU's thread add steal time.
    pub(crate) fn add_steal_time(&self, cpu: usize) {
        if let (Some(Steal(time)), Some(due)) = (self.steal, self.steal_due.get(cpu)) {
            due.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
        }
    }

    /// Takes the steal time that the CPU's thread is to add.
    pub(crate) fn take_steal_time(&self, cpu: usize) -> Option<Duration> {
        self.steal?;
        let due = self.steal_due.get(cpu)?.swap(0, Ordering::Relaxed);
        (due != 0).then(|| Duration::from_nanos(due))
    }

    /// Interrupts a CPU on behalf of another. A kick can be lost, so there are a few; a CPU that sees none is held at
    /// its next exit.
    pub(crate) fn interrupt(&self, cpu: usize, by: usize) {
        const KICKS: u32 = 3;
        const BETWEEN: Duration = Duration::from_micros(200);
        if cpu == by {
            return;
        }
        if let Some(cpu) = self.cpus.get().and_then(|cpus| cpus.get(cpu)) {
            for _ in 0..KICKS {
                cpu.kick();
                std::thread::sleep(BETWEEN);
            }
        }
    }
}

/// Ends the run where the thread that holds it panics.
#[must_use]
pub(crate) struct EndsByPanic<'a>(pub(crate) &'a Shared);

impl Drop for EndsByPanic<'_> {
    fn drop(&mut self) {
        let thread = std::thread::current();
        if std::thread::panicking() {
            self.0.end(Err(Error::Panicked(thread.name().unwrap_or_default().to_owned())));
        }
    }
}

/// Locks, also where a thread panicked while it held the lock: the program ends then anyway.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
impl Shared {
    /// What the threads of a run share that has no KVM, no devices and so many CPUs.
    pub(crate) fn of_no_guest(cpus: usize) -> Arc<Self> {
        use crate::devices::Present;
        use vmm_sys_util::eventfd::EFD_NONBLOCK;
        Arc::new(Self {
            console: Arc::new(Console::new(Box::new(std::io::sink()))),
            stop: AtomicBool::new(false),
            over: EventFd::new(EFD_NONBLOCK).unwrap(),
            vm: None,
            memory: crate::memory::allocate(2 << 20).unwrap(),
            memory_bytes: 2 << 20,
            leaves: vec![],
            msr_indices: Arc::new([]),
            is_bad: false,
            pause: Pause::new(cpus),
            devices: Mutex::new(Devices::new(Present::ALL, None)),
            port_calls: PortCalls::new(cpus),
            doorbell: EventFd::new(0).unwrap(),
            book: Book::new(cpus),
            msrs: Msrs::default(),
            clock: None,
            holds: Holds::new(&[], cpus).unwrap(),
            steal: None,
            steal_due: (0..cpus).map(|_| AtomicU64::new(0)).collect(),
            cpus: OnceLock::new(),
            outcome: Mutex::new(None),
            cut_off: OnceLock::new(),
        })
    }
}
