//! The machine: made from a configuration, run once.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kvm_bindings::{KVM_PIT_SPEAKER_DUMMY, kvm_pit_config};
use kvm_ioctls::{Cap, Kvm, VcpuFd, VmFd};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::boot::{self, Boot};
use crate::cpuid::Leaves;
use crate::devices::{Console, Devices, Output, Present, Serial};
use crate::ending::Ending;
use crate::error::{Error, Result};
use crate::events::{self, Outside};
use crate::shared::Shared;
use crate::vcpu::{self, Vcpu};
use crate::{acpi, layout, memory};

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
    /// Which devices there are.
    pub devices: Present,
    /// How long the guest may run.
    pub limit: Option<Duration>,
}

impl Config {
    /// Bytes of RAM where nothing else is asked for.
    pub const MEMORY_BYTES: u64 = 128 << 20;

    /// Makes a machine of the usual size for an image.
    pub fn new(boot: Boot) -> Self {
        Self { boot, memory_bytes: Self::MEMORY_BYTES, cpus: 1, devices: Present::ALL, limit: None }
    }
}

/// A machine that is ready to run.
pub struct Machine {
    cpus: Vec<VcpuFd>,
    vm: VmFd,
    shared: Arc<Shared>,
    limit: Option<Duration>,
}

impl Machine {
    /// Makes a machine with the image in its memory; its console goes to `output`.
    ///
    /// # Errors
    ///
    /// Names what is missing or wrong.
    pub fn new(config: &Config, output: Box<dyn Output>) -> Result<Self> {
        let memory = memory::allocate(config.memory_bytes)?;
        let rsdp = acpi::write(&memory, config.cpus.min(CPUS_MAX), config.devices)?;
        let start = boot::load(&memory, config.memory_bytes, &config.boot, Some(rsdp))?;
        vcpu::write_segments(&memory)?;

        let kvm = open()?;
        let most = kvm.get_max_vcpus().min(CPUS_MAX);
        if !(1..=most).contains(&config.cpus) {
            return Err(Error::Cpus { asked: config.cpus, most });
        }
        let vm = kvm.create_vm().map_err(Error::kvm("make a virtual machine"))?;
        vm.set_tss_address(layout::KVM_TSS).map_err(Error::kvm("place its task state segment"))?;
        vm.set_identity_map_address(layout::KVM_IDENTITY_MAP).map_err(Error::kvm("place its page table"))?;
        vm.create_irq_chip().map_err(Error::kvm("make an interrupt controller"))?;
        let pit = kvm_pit_config { flags: KVM_PIT_SPEAKER_DUMMY, ..Default::default() };
        vm.create_pit2(pit).map_err(Error::kvm("make a timer"))?;
        memory::register(&vm, &memory)?;

        let leaves = Leaves::supported(&kvm, config.cpus)?;
        let mut cpus = Vec::with_capacity(config.cpus);
        for number in 0..config.cpus {
            let cpu = vm.create_vcpu(number as u64).map_err(Error::kvm("make a CPU"))?;
            cpu.set_cpuid2(&leaves.of(number)?).map_err(Error::kvm("set the CPUID leaves"))?;
            cpus.push(cpu);
        }
        vcpu::enter_at(&cpus[0], &start)?;

        let stop = Arc::new(AtomicBool::new(false));
        let console = Arc::new(Mutex::new(Console::new(output, Arc::clone(&stop))));
        let serial = if config.devices.serial {
            let interrupt = EventFd::new(EFD_NONBLOCK).map_err(Error::system("make an event"))?;
            vm.register_irqfd(&interrupt, layout::SERIAL_IRQ).map_err(Error::kvm("connect an interrupt"))?;
            Some(Serial::new(interrupt, Arc::clone(&console)))
        } else {
            None
        };
        let over = EventFd::new(EFD_NONBLOCK).map_err(Error::system("make an event"))?;
        let devices = Devices::new(config.devices, serial);
        let shared = Arc::new(Shared::new(stop, over, memory, console, devices));
        Ok(Self { cpus, vm, shared, limit: config.limit })
    }

    /// Runs the machine to its end, and returns how that came about.
    ///
    /// # Errors
    ///
    /// Fails where KVM does, or takes no notice that the run is over.
    pub fn run(self, outside: Outside) -> Result<Ending> {
        vcpu::install_handler()?;
        let mut running = Vec::with_capacity(self.cpus.len());
        for (number, fd) in self.cpus.into_iter().enumerate() {
            running.push(Vcpu::start(number, fd, Arc::clone(&self.shared))?);
        }
        events::run(&self.shared, outside, self.limit)?;
        let stopped = events::stop(&running);
        crate::shared::lock(&self.shared.console).finish();
        stopped?;
        drop(self.vm);
        self.shared.outcome().unwrap_or(Ok(Ending::TimeLimit))
    }
}

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
    let needed = [
        (Cap::Irqchip, "the interrupt controller (KVM_CAP_IRQCHIP)"),
        (Cap::Pit2, "the timer (KVM_CAP_PIT2)"),
        (Cap::UserMemory, "memory of its user's (KVM_CAP_USER_MEMORY)"),
        (Cap::ExtCpuid, "CPUID of its user's (KVM_CAP_EXT_CPUID)"),
        (Cap::Irqfd, "interrupts by event (KVM_CAP_IRQFD)"),
        (Cap::Ioeventfd, "events by access (KVM_CAP_IOEVENTFD)"),
    ];
    match needed.into_iter().find(|(cap, _)| !kvm.check_extension(*cap)) {
        Some((_, name)) => Err(Error::KvmLacks(name)),
        None => Ok(kvm),
    }
}
