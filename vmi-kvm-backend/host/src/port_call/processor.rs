//! From a port write to the answers in guest memory.

use std::{
    mem::offset_of,
    ops::{ControlFlow, Range},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use vmi_abi::port_call::{
    Announcement, CALLS_MAX, Call, Features, Header, HeaderFlags, Hints, Implementation, MAGIC, Number,
    PAGE_BYTES, Statistics, Status, Version, block_bytes,
};

use super::{Exits, Fault, GuestRam, Services, calls::Caller, counters::Counters};

/// How long a batch that may be given back early is gone through: so short that whoever wants the CPU for something else does
/// not notice, and so long that an exit for each part does not count.
const PART: Duration = Duration::from_micros(50);

/// What a virtual machine keeps of calls by port: what it offers, where posted blocks are, and counts. Shared by the
/// threads of all vCPUs.
#[derive(Debug)]
pub struct PortCalls {
    offered: Features,
    /// Calls that are answered so and not served: of one number, or all.
    refusal: Option<(Option<Number>, Status)>,
    /// By vCPU, the physical address of the block that the doorbell has looked at, or 0.
    posted: Box<[AtomicU64]>,
    /// How long a partial batch is gone through at a time.
    part: Duration,
    /// Held by whoever goes through the posted blocks.
    bell: Mutex<()>,
    pub(super) counters: Counters,
}

impl PortCalls {
    /// Returns those of a machine with so many vCPUs, which offers everything.
    pub fn new(vcpus: usize) -> Self {
        Self {
            offered: Features::all(),
            refusal: None,
            posted: (0..vcpus).map(|_| AtomicU64::new(0)).collect(),
            part: PART,
            bell: Mutex::new(()),
            counters: Counters::default(),
        }
    }

    /// Offers these features, as far as there are such.
    #[must_use]
    pub fn offering(self, features: Features) -> Self {
        Self { offered: features & Features::all(), ..self }
    }

    /// Gives partial batches back after this time, behind the call that is being served.
    #[must_use]
    pub fn in_parts_of(self, part: Duration) -> Self {
        Self { part, ..self }
    }

    /// Answers calls of this number, or all calls, with `status`, and does nothing else: a host that has become unable
    /// to serve what it announced.
    #[must_use]
    pub fn refusing(self, number: Option<Number>, status: Status) -> Self {
        Self { refusal: Some((number, status)), ..self }
    }

    /// Returns what CPUID is to announce.
    pub fn announcement(&self, call_port: u16, doorbell_port: u16) -> Announcement {
        Announcement {
            version: Version::CURRENT,
            features: self.offered,
            // A doorbell's thread has a CPU of its own only where the guest leaves one.
            hints: Hints::PARTIAL | if self.posted.len() > 1 { Hints::POST } else { Hints::empty() },
            implementation: Implementation { id: Implementation::VMI_RUN, version: own_version() },
            calls_max: CALLS_MAX as u32,
            call_port,
            doorbell_port,
        }
    }

    /// Serves a write of `vcpu` to the call port: four bytes that are the page number of a batch. Any others are
    /// refused, which shows in the counts alone: there is no memory to write an answer to.
    pub fn call(&self, ram: &impl GuestRam, services: &impl Services, vcpu: usize, written: &[u8]) {
        let Ok(page) = written.try_into().map(u32::from_le_bytes) else {
            return self.counters.refused.add(1);
        };
        let block = u64::from(page) * PAGE_BYTES;
        // Not a batch, or none that asks, or no memory.
        if self.serve(ram, services, vcpu, block, Status::ASKED) != Ok(true) {
            self.counters.refused.add(1);
        }
    }

    /// Serves so many rings of the doorbell: every posted block that waits is answered. One caller at a time gets to
    /// it, so that none is answered twice.
    pub fn doorbell(&self, ram: &impl GuestRam, services: &impl Services, rings: u64) {
        let _one = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
        self.counters.doorbells.add(rings);
        for (vcpu, block) in self.posted.iter().enumerate() {
            let block = block.load(Relaxed);
            if block != 0 && self.serve(ram, services, vcpu, block, Status::POSTED) == Ok(true) {
                self.counters.posted.add(1);
            }
        }
    }

    /// Forgets what the guest told, as a reset of the machine does. When it comes back, nothing that was posted is written to
    /// any more. Counts stay.
    pub fn reset(&self) {
        let _none = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
        self.posted.iter().for_each(|block| block.store(0, Relaxed));
    }

    /// Returns by vCPU where its posted block is; 0 where there is none.
    pub fn posted(&self) -> Vec<u64> {
        self.posted.iter().map(|block| block.load(Relaxed)).collect()
    }

    /// Sets where the posted blocks are, as [`posted`](Self::posted) told; returns whether all can be there.
    #[must_use]
    pub fn set_posted(&self, ram: &impl GuestRam, blocks: &[u64]) -> bool {
        let can_be =
            |&block: &u64| block == 0 || block.is_multiple_of(PAGE_BYTES) && ram.contains(block, PAGE_BYTES);
        blocks.iter().all(can_be) && (0..).zip(blocks).all(|(vcpu, block)| self.post_block(vcpu, *block))
    }

    /// Returns what was counted so far.
    pub fn statistics(&self, exits: Exits) -> Statistics {
        self.counters.with(exits)
    }

    /// Sets where the block of `vcpu` is, or that it has none; tells whether there is such a vCPU.
    pub(super) fn post_block(&self, vcpu: usize, address: u64) -> bool {
        self.posted.get(vcpu).map(|block| block.store(address, Relaxed)).is_some()
    }

    /// Returns the answer that is chosen for all calls of this number.
    pub(super) fn refusal(&self, number: Number) -> Option<Status> {
        self.refusal.filter(|(of, _)| of.is_none_or(|of| of == number)).map(|(_, status)| status)
    }

    /// Answers the batch at `block`; tells whether there was one, of status `waiting`.
    fn serve(
        &self,
        ram: &impl GuestRam,
        services: &impl Services,
        vcpu: usize,
        block: u64,
        waiting: Status,
    ) -> Result<bool, Fault> {
        let status = block + offset_of!(Header, status) as u64;
        if ram.load(status)? != waiting.0 {
            return Ok(false);
        }
        let mut bytes = [0; size_of::<Header>()];
        ram.read(block, &mut bytes)?;
        let header = Header::from_bytes(&bytes);
        if header.magic != MAGIC {
            return Ok(false);
        }
        self.counters.batches.add(1);
        let (answer, done) = match self.check(&header, ram, block) {
            Ok(features) => {
                let caller = Caller { port_calls: self, ram, services, vcpu, features };
                let partial = waiting == Status::ASKED && header.flags & HeaderFlags::PARTIAL.bits() != 0;
                if partial {
                    let end = Instant::now() + self.part;
                    self.serve_calls(&caller, block, header.done..header.count, || Instant::now() >= end)?
                } else {
                    self.serve_calls(&caller, block, 0..header.count, || false)?
                }
            }
            Err(refusal) => {
                self.counters.refused.add(1);
                (refusal, 0)
            }
        };
        ram.write(block + offset_of!(Header, done) as u64, &done.to_le_bytes())?;
        ram.store(status, answer.0)?;
        Ok(true)
    }

    /// Judges a header; returns the features that its calls may use.
    fn check(&self, header: &Header, ram: &impl GuestRam, block: u64) -> Result<Features, Status> {
        if !Version::from_bits(header.version).is_known() {
            return Err(Status::UNKNOWN_VERSION);
        }
        let features = Features::from_bits_retain(header.features);
        if !self.offered.contains(features) {
            return Err(Status::UNKNOWN_FEATURE);
        }
        let flags = HeaderFlags::from_bits(header.flags).ok_or(Status::INVALID)?;
        if header.zero.iter().any(|&word| word != 0) {
            return Err(Status::INVALID);
        }
        let count = usize::try_from(header.count).ok().filter(|&count| count <= CALLS_MAX);
        let bytes = block_bytes(count.ok_or(Status::TOO_LONG)?);
        if flags.contains(HeaderFlags::PARTIAL) && header.done > header.count {
            return Err(Status::INVALID);
        }
        if ram.contains(block, bytes as u64) { Ok(features) } else { Err(Status::FAULT) }
    }

    /// Goes through these calls, until `is_over` says behind one that it is enough; returns the status of the batch and how many
    /// were gone through.
    fn serve_calls<R: GuestRam, S: Services>(
        &self,
        caller: &Caller<'_, R, S>,
        block: u64,
        calls: Range<u32>,
        is_over: impl Fn() -> bool,
    ) -> Result<(Status, u32), Fault> {
        let count = calls.end;
        for index in calls {
            let place = block + block_bytes(index as usize) as u64;
            let mut bytes = [0; size_of::<Call>()];
            caller.ram.read(place, &mut bytes)?;
            self.counters.calls.add(1);
            let (status, result, flow) = caller.answer(&Call::from_bytes(&bytes));
            if status != Status::DONE {
                self.counters.refused.add(1);
            }
            caller.ram.write(place + offset_of!(Call, result) as u64, &result.to_le_bytes())?;
            caller.ram.write(place + offset_of!(Call, status) as u64, &status.0.to_le_bytes())?;
            if flow == ControlFlow::Break(()) || is_over() {
                return Ok((Status::DONE, index + 1));
            }
        }
        Ok((Status::DONE, count))
    }
}

/// Returns this package's version, as [`Implementation::version`] has it.
fn own_version() -> u32 {
    let number = |text: &str| text.parse().unwrap_or(0_u32);
    let [major, minor, patch] =
        [env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"), env!("CARGO_PKG_VERSION_PATCH")]
            .map(number);
    major << 24 | minor << 16 | patch
}
