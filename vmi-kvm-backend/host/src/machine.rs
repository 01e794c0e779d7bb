//! The machine: made from a configuration, run once.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use kvm_bindings::{CpuId, KVM_PIT_SPEAKER_DUMMY, kvm_pit_config};
use kvm_ioctls::{Cap, IoEventAddress, Kvm, NoDatamatch, VcpuFd, VmFd};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::accounting::{Book, Counters, Statistics, Vendor};
use crate::bad_host::{BadHost, Clock, Holds, Msrs};
use crate::boot::{self, Boot, Input, Loaded, Mode};
use crate::confinement::{self, Role};
use crate::console::{Console, Lost, Output};
use crate::control::{Facts, Server};
use crate::cpuid::Leaves;
use crate::devices::{DebugConsole, Devices, Present, Serial};
use crate::ending::Ending;
use crate::error::{Error, Result};
use crate::events::{self, Outside, Watcher};
use crate::memory::Memory;
use crate::pause::Pause;
use crate::pins::Pins;
use crate::port_call::PortCalls;
use crate::profile::Profile;
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::vcpu::{self, Vcpu};
use crate::{acpi, background, devices, layout, memory};

/// The most CPUs whose numbers fit an xAPIC, which the tables describe.
const CPUS_MAX: usize = 254;
/// The version of the API that has not changed since Linux 2.6.22.
const API_VERSION: i32 = 12;

/// What a machine is made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// What is booted.
    pub boot: Boot,
    /// Bytes of RAM.
    pub memory_bytes: u64,
    /// How many CPUs.
    pub cpus: usize,
    /// Which CPUs of this machine they run on.
    pub pins: Pins,
    /// Which hypervisor the guest finds.
    pub profile: Profile,
    /// Which devices there are.
    pub devices: Present,
    /// Whether [`restart::run`](crate::restart::run) starts the guest again after a reset.
    pub restart: bool,
    /// How long the guest may run.
    pub limit: Option<Duration>,
    /// Whether exits are counted by address and by the kernel.
    pub statistics: bool,
    /// What is to be wrong with the host.
    pub bad_host: BadHost,
}

impl Config {
    /// Bytes of RAM where nothing else is asked for.
    pub const MEMORY_BYTES: u64 = 128 << 20;

    /// Makes a machine of the usual size for an image.
    pub fn new(boot: Boot) -> Self {
        Self {
            boot,
            memory_bytes: Self::MEMORY_BYTES,
            cpus: 1,
            pins: Pins::default(),
            profile: Profile::default(),
            devices: Present::ALL,
            restart: false,
            limit: None,
            statistics: false,
            bad_host: BadHost::default(),
        }
    }
}

/// How a run went.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// What was counted, where that was asked for.
    pub statistics: Option<Statistics>,
    /// What the guest said that did not get out.
    pub lost: Option<Lost>,
    /// How it was ended from outside when it was over already.
    pub cut_off: Option<Ending>,
}

/// A machine that is ready to run.
#[allow(missing_debug_implementations, reason = "file descriptors and memory say nothing")]
pub struct Machine {
    cpus: Vec<VcpuFd>,
    counters: Vec<Counters>,
    shared: Arc<Shared>,
    facts: Facts,
    limit: Option<Duration>,
    pins: Pins,
    vendor: Vendor,
    has_statistics: bool,
    /// Where addresses are looked up; a snapshot names none.
    image: Option<Input>,
    /// Files are opened behind the run: those of another machine, or the image for its symbols.
    opens_afterwards: bool,
}

impl Machine {
    /// Makes a machine with the image in its memory; its console goes to `output`.
    ///
    /// # Errors
    ///
    /// Names what is missing or wrong.
    pub fn new(config: &Config, output: Box<dyn Output>) -> Result<Self> {
        Self::make(config, None, output)
    }

    /// Makes a machine that goes on from a snapshot. Of the configuration only what is not in the snapshot counts: the time
    /// limit, and whether there are statistics.
    ///
    /// # Errors
    ///
    /// Refuses what is no snapshot, or one that cannot go on here, with the reason; and as [`new`](Self::new) does.
    pub fn restore(file: &Path, config: &Config, output: Box<dyn Output>) -> Result<Self> {
        let snapshot = Snapshot::open(file)?;
        let config = Config {
            memory_bytes: snapshot.state.memory_bytes,
            cpus: snapshot.state.cpus.len(),
            devices: snapshot.present,
            restart: false,
            limit: config.limit,
            pins: config.pins.clone(),
            statistics: config.statistics,
            ..Config::new(Boot::default())
        };
        Self::make(&config, Some(snapshot), output)
    }

    fn make(config: &Config, mut snapshot: Option<Snapshot>, output: Box<dyn Output>) -> Result<Self> {
        let memory = memory::allocate(config.memory_bytes)?;
        let booted = match &mut snapshot {
            Some(snapshot) => {
                snapshot.read_memory(&memory)?;
                None
            }
            None => Some(load(&memory, config)?),
        };

        let kvm = open()?;
        let most = kvm.get_max_vcpus().min(CPUS_MAX);
        if !(1..=most).contains(&config.cpus) {
            return Err(Error::Cpus { asked: config.cpus, most });
        }
        let vm = make_vm(&kvm)?;
        memory::register(&vm, &memory)?;
        if config.devices.bios {
            devices::register_bios(&vm)?;
        }

        let bad = &config.bad_host;
        let holds = Holds::new(&bad.holds, config.cpus)?;
        let clock = bad.clock.map(|fault| (Clock::new(fault, config.cpus), Clock::msrs(fault)));
        let msrs = Msrs::take_over(&vm, &bad.msrs, clock.as_ref().map_or(&[], |(_, msrs)| msrs))?;
        let port_calls = PortCalls::new(config.cpus);
        let port_calls = match bad.failed_call {
            Some(failed) => port_calls.refusing(failed.number, failed.status),
            None => port_calls,
        };

        let mut leaves = Leaves::supported(&kvm, config.cpus)?;
        let vendor = leaves.vendor();
        let vmi = port_calls.announcement(layout::CALL.start, layout::DOORBELL.start);
        config.profile.shape(&mut leaves, &vmi);
        config.pins.check()?;
        let mut cpus = Vec::with_capacity(config.cpus);
        let mut given = Vec::with_capacity(config.cpus);
        for number in 0..config.cpus {
            let cpu = vm.create_vcpu(number as u64).map_err(Error::kvm("make a CPU"))?;
            let leaves = leaves_of(&leaves, vendor, number, bad)?;
            cpu.set_cpuid2(&leaves).map_err(Error::kvm("set the CPUID leaves"))?;
            given.push(leaves.as_slice().into());
            vcpu::enable_memory_types(&cpu)?;
            cpus.push(cpu);
        }
        cpus.last().map_or(Ok(()), vcpu::make_known)?;
        match (&mut snapshot, &booted) {
            (Some(snapshot), _) => {
                snapshot.put(&vm, &cpus, &leaves)?;
                given = snapshot.state.cpus.iter().map(|cpu| cpu.leaves.as_slice().into()).collect();
            }
            (None, Some(Loaded { start, .. })) => vcpu::enter_at(&cpus[0], start)?,
            (None, None) => {}
        }
        let indices = kvm.get_msr_index_list().map_err(Error::kvm("tell which registers it has"))?;
        let counters =
            if config.statistics { cpus.iter().filter_map(Counters::open).collect() } else { vec![] };

        let event = |flags| EventFd::new(flags).map_err(Error::system("make an event"));
        let doorbell = event(0)?;
        let place = IoEventAddress::Pio(layout::DOORBELL.start.into());
        vm.register_ioevent(&doorbell, &place, NoDatamatch).map_err(Error::kvm("connect the doorbell"))?;
        let console = Arc::new(Console::new(output));
        let kept = snapshot.as_ref().map(|snapshot| &snapshot.state);
        if kept.is_some_and(|state| !port_calls.set_posted(&memory, &state.posted)) {
            return Err(Error::Devices);
        }
        let serial = if config.devices.serial {
            let interrupt = event(EFD_NONBLOCK)?;
            vm.register_irqfd(&interrupt, layout::SERIAL_IRQ).map_err(Error::kvm("connect an interrupt"))?;
            let (output, kept) = (Arc::clone(&console), kept.and_then(|state| state.devices.serial.as_ref()));
            match kept {
                Some(kept) => Some(Serial::restored(kept, interrupt, output).ok_or(Error::Devices)?),
                None => Some(Serial::new(interrupt, output)),
            }
        } else {
            None
        };
        let debug_console = DebugConsole::new(Arc::clone(&console));
        let devices = match kept {
            Some(state) => {
                // The batches that were posted when the guest was stopped are looked at again.
                let _ = doorbell.write(1);
                Devices::restored(config.devices, serial, &state.devices).ok_or(Error::Devices)?
            }
            None => Devices::new(config.devices, serial),
        };
        let book = Book::new(config.cpus);
        let shared = Shared {
            stop: AtomicBool::new(false),
            over: event(EFD_NONBLOCK)?,
            vm: Some(vm),
            memory,
            memory_bytes: config.memory_bytes,
            leaves: given,
            msr_indices: indices.as_slice().into(),
            is_bad: bad.is_bad(),
            pause: Pause::new(config.cpus),
            console,
            devices: Mutex::new(devices.with_debug_console(debug_console)),
            port_calls,
            doorbell,
            book: if config.statistics { book.with_detail() } else { book },
            msrs,
            clock: clock.map(|(clock, _)| clock),
            holds,
            steal: bad.steal,
            steal_due: (0..config.cpus).map(|_| AtomicU64::new(0)).collect(),
            cpus: OnceLock::new(),
            outcome: Mutex::new(None),
            cut_off: OnceLock::new(),
        };
        Ok(Self {
            cpus,
            counters,
            facts: Facts {
                cpus: config.cpus,
                memory_bytes: config.memory_bytes,
                has_power: config.devices.power,
            },
            shared: Arc::new(shared),
            limit: config.limit,
            pins: config.pins.clone(),
            vendor,
            has_statistics: config.statistics,
            image: booted.filter(|_| config.statistics).map(|booted| booted.image),
            opens_afterwards: config.statistics || config.restart,
        })
    }

    /// Runs the machine to its end, and returns how that came about.
    ///
    /// # Errors
    ///
    /// Fails where KVM does, or takes no notice that the run is over.
    pub fn run(self, mut outside: Outside) -> Result<Outcome> {
        vcpu::install_handler()?;
        let shared = &self.shared;
        let listener = outside.control.take();
        let mut watcher = Watcher::new(shared, outside, self.limit)?;
        // Everything is open now, unless more is asked for.
        let opens_more = self.opens_afterwards || listener.is_some();
        confinement::narrow(if opens_more { Role::Start } else { Role::Io })?;
        let writer = background::write_console(Arc::clone(shared))?;
        let doorbell = background::serve_doorbell(Arc::clone(shared))?;
        // From here on there are threads: what fails ends the run, and they are stopped.
        let clock = background::spoil_clock(Arc::clone(shared));
        let clock = clock.map_err(|error| shared.end(Err(error))).ok();
        let cpus = Vcpu::start_all(self.cpus, &self.pins, shared);
        let cpus = shared.cpus.get_or_init(|| cpus);
        let control = listener.map(|listener| Server::start(listener, self.facts, shared));
        let control = control.transpose().map_err(|error| shared.end(Err(error))).ok();
        let waited = watcher.wait();
        // Whatever ended the waiting, the run is over now.
        shared.end(Ok(Ending::TimeLimit));
        let stopped = events::stop(cpus);
        background::end_doorbell(shared, &doorbell);
        let written = watcher.wait_for_output(&writer);
        drop((control, watcher, clock));
        stopped.and(waited)?;
        let ending = shared.outcome().unwrap_or(Ok(Ending::TimeLimit))?;
        let ending = written?.unwrap_or(ending);
        let lost = shared.console.lost();
        let image = self.image.as_ref().map(Input::path_to_read).unwrap_or_default();
        let statistics = self.has_statistics.then(|| Statistics {
            ending: ending.word(),
            status: ending.status(),
            counters: self.counters.iter().filter_map(Counters::read).collect(),
            vmi: shared.port_call_counts(),
            ..shared.book.close(&image, self.vendor)
        });
        Ok(Outcome { ending, statistics, lost, cut_off: shared.cut_off.get().copied() })
    }
}

/// Loads the image and what goes with it into memory.
fn load(memory: &Memory, config: &Config) -> Result<Loaded> {
    let rsdp = acpi::write(memory, config.cpus.min(CPUS_MAX), config.devices)?;
    if config.devices.bios {
        devices::write_bios(memory, config.memory_bytes)?;
    }
    let descriptors = vcpu::descriptors();
    let bytes = config.memory_bytes;
    let loaded = boot::load(memory, bytes, &config.boot, Some(rsdp), descriptors.as_flattened())?;
    if loaded.start.mode == Mode::Real && !config.devices.bios {
        let reason = "it has no 32-bit entry (code32_start is 0), and takes a BIOS to start".to_owned();
        return Err(Error::OldLinux { path: config.boot.image.clone(), reason });
    }
    Ok(loaded)
}

/// Returns what CPUID tells a CPU, and what is wrong with that.
fn leaves_of(leaves: &Leaves, vendor: Vendor, cpu: usize, bad: &BadHost) -> Result<CpuId> {
    let mut leaves = leaves.of(vendor, cpu);
    bad.claims.iter().for_each(|claim| claim.apply(&mut leaves));
    bad.cpuid.iter().for_each(|rule| rule.apply(&mut leaves));
    leaves.to_kvm()
}

/// Makes a virtual machine with its interrupt controllers and timer.
fn make_vm(kvm: &Kvm) -> Result<VmFd> {
    let vm = kvm.create_vm().map_err(Error::kvm("make a virtual machine"))?;
    vm.set_tss_address(layout::KVM_TSS).map_err(Error::kvm("place its task state segment"))?;
    vm.set_identity_map_address(layout::KVM_IDENTITY_MAP).map_err(Error::kvm("place its page table"))?;
    vm.create_irq_chip().map_err(Error::kvm("make an interrupt controller"))?;
    let pit = kvm_pit_config { flags: KVM_PIT_SPEAKER_DUMMY, ..Default::default() };
    vm.create_pit2(pit).map_err(Error::kvm("make a timer"))?;
    Ok(vm)
}

/// What every guest needs of KVM.
const NEEDED: [(Cap, &str); 6] = [
    (Cap::Irqchip, "the interrupt controller (KVM_CAP_IRQCHIP)"),
    (Cap::Pit2, "the timer (KVM_CAP_PIT2)"),
    (Cap::UserMemory, "memory of its user's (KVM_CAP_USER_MEMORY)"),
    (Cap::ExtCpuid, "CPUID of its user's (KVM_CAP_EXT_CPUID)"),
    (Cap::Irqfd, "interrupts by event (KVM_CAP_IRQFD)"),
    (Cap::Ioeventfd, "events by access (KVM_CAP_IOEVENTFD)"),
];

/// Opens KVM and looks whether it has all that every guest needs.
fn open() -> Result<Kvm> {
    let kvm = Kvm::new().map_err(|error| match error.errno() {
        libc::ENOENT | libc::ENODEV | libc::ENXIO => Error::NoKvm,
        libc::EACCES | libc::EPERM => Error::KvmPermission,
        _ => Error::KvmOpen(error.into()),
    })?;
    let version = kvm.get_api_version();
    if version != API_VERSION {
        return Err(Error::KvmVersion(version));
    }
    require(|cap| kvm.check_extension(cap))?;
    Ok(kvm)
}

/// Looks whether a KVM has all that every guest needs.
fn require(has: impl Fn(Cap) -> bool) -> Result<()> {
    match NEEDED.into_iter().find(|(cap, _)| !has(*cap)) {
        Some((_, name)) => Err(Error::KvmLacks(name)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kvm_that_lacks_a_capability_is_refused_with_its_name() {
        assert!(require(|_| true).is_ok());
        for (lacking, name) in NEEDED {
            let refused = require(|cap| cap as u32 != lacking as u32).unwrap_err().to_string();
            assert_eq!(refused, format!("this machine's KVM lacks {name}"));
            assert!(name.contains("(KVM_CAP_"), "{name}");
        }
    }
}
