//! A bad host on request: what a guest must survive, each named and each off unless asked for.

mod call;
pub(crate) mod clock;
mod cpuid;
mod hold;
mod msr;
mod steal;
mod value;

pub use call::FailedCall;
pub(crate) use clock::Clock;
pub use clock::ClockFault;
pub use cpuid::{Claim, CpuidRule};
pub use hold::Hold;
pub(crate) use hold::Holds;
pub use msr::MsrRule;
pub(crate) use msr::{MsrAction, Msrs};
pub use steal::Steal;
pub(crate) use steal::add_steal_time;

/// Everything that a host can do badly.
#[derive(Clone, Debug, Default)]
pub struct BadHost {
    /// CPUID leaves that are overridden, in this order.
    pub cpuid: Vec<CpuidRule>,
    /// KVM's feature bits that are set, whether there is a service behind them or not.
    pub claims: Vec<Claim>,
    /// Model-specific registers that are overridden.
    pub msrs: Vec<MsrRule>,
    /// VMI calls that are refused.
    pub failed_call: Option<FailedCall>,
    /// What is wrong with the clock page.
    pub clock: Option<ClockFault>,
    /// CPUs that are held off at a mark.
    pub holds: Vec<Hold>,
    /// Steal time that is added at every mark.
    pub steal: Option<Steal>,
}

impl BadHost {
    /// Tells whether anything is wrong with the host.
    pub(crate) fn is_bad(&self) -> bool {
        let Self { cpuid, claims, msrs, failed_call, clock, holds, steal } = self;
        let lists = [cpuid.is_empty(), claims.is_empty(), msrs.is_empty(), holds.is_empty()];
        lists.contains(&false) || failed_call.is_some() || clock.is_some() || steal.is_some()
    }
}
