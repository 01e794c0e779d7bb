//! A page, a counter and a machine in the hand of a test.

use std::{
    boxed::Box,
    cell::{Cell, RefCell},
    rc::Rc,
};

use super::{Clock, Flags, Source, Stability, TimeInfo, Timeline};

/// What an interrupt does to the machine.
pub(super) type Interrupt = Box<dyn FnOnce(&Script)>;

/// A page and a counter in the hand of a test.
pub(super) struct Script {
    pub(super) page: RefCell<TimeInfo>,
    pub(super) tsc: Cell<u64>,
    /// What the host does at every look at the version.
    pub(super) host: fn(&mut TimeInfo),
    pub(super) looks: Cell<u32>,
    /// What happens once, right before the counter is read: an interrupt.
    pub(super) interrupt: RefCell<Option<Interrupt>>,
}

impl Script {
    pub(super) fn new(page: TimeInfo, tsc: u64) -> Self {
        Self {
            page: RefCell::new(page),
            tsc: Cell::new(tsc),
            host: |_| (),
            looks: Cell::new(0),
            interrupt: RefCell::new(None),
        }
    }

    pub(super) fn with_host(page: TimeInfo, tsc: u64, host: fn(&mut TimeInfo)) -> Self {
        Self { host, ..Self::new(page, tsc) }
    }

    /// Changes the page as an honest host does.
    pub(super) fn update(&self, change: impl FnOnce(&mut TimeInfo)) {
        let mut page = self.page.borrow_mut();
        change(&mut page);
        page.version = page.version.wrapping_add(2);
    }

    pub(super) fn pass(&self, ticks: u64) {
        self.tsc.set(self.tsc.get() + ticks);
    }
}

impl Source for Script {
    fn version(&self) -> u32 {
        self.looks.set(self.looks.get() + 1);
        let mut page = self.page.borrow_mut();
        (self.host)(&mut page);
        page.version
    }

    fn load(&self) -> TimeInfo {
        *self.page.borrow()
    }

    fn cycles(&self) -> u64 {
        let interrupt = self.interrupt.borrow_mut().take();
        if let Some(interrupt) = interrupt {
            interrupt(self);
        }
        self.tsc.get()
    }

    fn clear_paused(&self) {
        self.page.borrow_mut().flags &= !Flags::PAUSED.bits();
    }
}

/// One nanosecond a tick, stable, 500 ns at TSC 1000.
pub(super) const GOOD: TimeInfo = TimeInfo {
    version: 2,
    pad0: 0,
    tsc_timestamp: 1000,
    system_time: 500,
    tsc_to_system_mul: 1 << 31,
    tsc_shift: 1,
    flags: Flags::STABLE.bits(),
    pad1: [0; 2],
};

/// A clock with what stands around it; the table below tells `below`.
pub(super) struct Machine {
    pub(super) clock: Clock,
    pub(super) timeline: Rc<Timeline>,
    pub(super) below: Cell<u64>,
}

impl Machine {
    pub(super) fn started(stability: Stability) -> Self {
        Self::on(Rc::new(Timeline::new()), stability)
    }

    /// Returns another CPU's.
    pub(super) fn beside(&self, stability: Stability) -> Self {
        Self::on(self.timeline.clone(), stability)
    }

    fn on(timeline: Rc<Timeline>, stability: Stability) -> Self {
        let machine = Self { clock: Clock::new(), timeline, below: Cell::new(0) };
        machine.clock.start(stability);
        machine
    }

    pub(super) fn now(&self, source: &impl Source) -> u64 {
        self.clock.fast(source).unwrap_or_else(|| self.full(source))
    }

    pub(super) fn full(&self, source: &impl Source) -> u64 {
        self.clock.refresh(source, &self.timeline, || self.below.get())
    }
}
