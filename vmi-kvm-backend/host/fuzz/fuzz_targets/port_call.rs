//! VMI's calls by port.

#![cfg_attr(fuzzing, no_main)]

vmi_kvm_backend_host_fuzz::target!(port_call);
