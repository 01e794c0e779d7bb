//! Topology as an operating system reads it, made of what KVM returns on two hosts.

use std::collections::BTreeSet;

use kvm_bindings::{KVM_MAX_CPUID_ENTRIES, kvm_cpuid_entry2};

use super::*;

/// Leaf, subleaf, whether it is told apart by it, EAX, EBX, ECX, EDX.
type Row = (u32, u32, u32, [u32; 4]);

/// An Intel Xeon of 32 cores with two threads each. Of leaf 0xb and 0x1f, KVM returns a first subleaf without content.
const INTEL: &[Row] = &[
    (0, 0, 0, [0x1f, 0x756e_6547, 0x6c65_746e, 0x4965_6e69]),
    (1, 0, 0, [0x0006_06a6, 0x2f40_0800, 0xfffa_3203, 0x1f8b_fbff]),
    (4, 0, 1, [0xfc00_4121, 0x02c0_003f, 0x3f, 0]),
    (4, 1, 1, [0xfc00_4122, 0x01c0_003f, 0x3f, 0]),
    (4, 2, 1, [0xfc00_4143, 0x04c0_003f, 0x3ff, 0]),
    (4, 3, 1, [0xfc1f_c163, 0x02c0_003f, 0xdfff, 4]),
    (4, 4, 1, [0, 0, 0, 0]),
    (0xb, 0, 1, [0, 0, 0, 0]),
    (0x1f, 0, 1, [0, 0, 0, 0]),
    (0x8000_0000, 0, 0, [0x8000_0008, 0, 0, 0]),
    (0x8000_0001, 0, 0, [0, 0, 0x121, 0x2c10_0800]),
    (0x8000_0008, 0, 0, [0x0030_392e, 0x0100_d000, 0, 0]),
];

/// An AMD EPYC of 64 cores with two threads each, eight of which share a cache.
const AMD: &[Row] = &[
    (0, 0, 0, [0x10, 0x6874_7541, 0x444d_4163, 0x6974_6e65]),
    (1, 0, 0, [0x00a0_0f11, 0x1780_0800, 0xfef8_3203, 0x178b_fbff]),
    (0xb, 0, 1, [1, 2, 0x100, 0x17]),
    (0xb, 1, 1, [7, 0x80, 0x201, 0x17]),
    (0x8000_0000, 0, 0, [0x8000_0026, 0x6874_7541, 0x444d_4163, 0x6974_6e65]),
    (0x8000_0001, 0, 0, [0x00a0_0f11, 0x4000_0000, 0x0040_03f3, 0x2fd3_fbff]),
    (0x8000_0008, 0, 0, [0x3030, 0x110e_d205, 0x0001_707f, 0]),
    (0x8000_001d, 0, 1, [0x0000_4121, 0x01c0_003f, 0x3f, 0]),
    (0x8000_001d, 1, 1, [0x0000_4122, 0x01c0_003f, 0x3f, 0]),
    (0x8000_001d, 2, 1, [0x0000_4143, 0x01c0_003f, 0x3ff, 2]),
    (0x8000_001d, 3, 1, [0x0003_c163, 0x03c0_003f, 0x7fff, 1]),
    (0x8000_001d, 4, 1, [0, 0, 0, 0]),
    (0x8000_001e, 0, 0, [0x17, 0x010b, 1, 0]),
    (0x8000_0026, 0, 1, [1, 2, 0x100, 0x17]),
];

/// What KVM returns on such a host, or on one whose KVM leaves out what it has nothing to say about.
fn host(rows: &[Row], left_out: &[u32]) -> Vec<kvm_cpuid_entry2> {
    rows.iter()
        .filter(|(function, ..)| !left_out.contains(function))
        .map(|&(function, index, flags, [eax, ebx, ecx, edx])| kvm_cpuid_entry2 {
            function,
            index,
            flags,
            eax,
            ebx,
            ecx,
            edx,
            ..Default::default()
        })
        .collect()
}

/// Reads a subleaf as a CPU does. It must not be there twice.
fn read(entries: &[kvm_cpuid_entry2], leaf: u32, subleaf: u32) -> [u32; 4] {
    let is = |entry: &&kvm_cpuid_entry2| {
        entry.function == leaf && (entry.flags & SIGNIFICANT_INDEX == 0 || entry.index == subleaf)
    };
    let mut found = entries.iter().filter(is);
    let entry = found.next().copied().unwrap_or_default();
    assert!(found.next().is_none(), "{leaf:#x}.{subleaf} is there twice");
    [entry.eax, entry.ebx, entry.ecx, entry.edx]
}

/// Returns what each CPU of so many reads.
fn guest(rows: &[Row], left_out: &[u32], vendor: Vendor, cpus: u32) -> Vec<Vec<kvm_cpuid_entry2>> {
    let of = |cpu| {
        let mut entries = host(rows, left_out);
        Topology { vendor, cpus, cpu }.describe(&mut entries);
        assert!(entries.len() <= KVM_MAX_CPUID_ENTRIES);
        entries
    };
    (0..cpus).map(of).collect()
}

const COUNTS: [u32; 8] = [1, 2, 3, 4, 7, 64, 65, 254];

#[test]
fn every_cpu_finds_its_number_wherever_it_looks_and_all_are_in_one_package() {
    let hosts = [
        (INTEL, Vendor::Intel, [].as_slice(), [0xb, 0x1f].as_slice()),
        (INTEL, Vendor::Intel, &[0xb, 0x1f], &[0xb, 0x1f]),
        (AMD, Vendor::Amd, &[], &[0xb]),
        (AMD, Vendor::Amd, &[0xb, 0x8000_001e], &[0xb]),
    ];
    for ((rows, vendor, left_out, leaves), cpus) in
        hosts.iter().flat_map(|host| COUNTS.map(|cpus| (*host, cpus)))
    {
        for (cpu, entries) in (0..).zip(guest(rows, left_out, vendor, cpus)) {
            let [_, ebx, _, edx] = read(&entries, 1, 0);
            assert_eq!((ebx >> 24, ebx & 0xffff, edx & HTT != 0), (cpu, rows[1].3[1] & 0xffff, cpus > 1));
            let count = ebx >> 16 & 0xff;
            assert!(count >= cpus.min(255), "{count} of {cpus}");
            for leaf in leaves {
                assert_eq!(read(&entries, *leaf, 0), [0, 1, 0x100, cpu], "{leaf:#x}, {cpus} CPUs");
                let [shift, count, level, number] = read(&entries, *leaf, 1);
                assert_eq!((count, level, number), (cpus, 0x201, cpu), "{leaf:#x}, {cpus} CPUs");
                assert_eq!((number >> shift, 1 << shift), (0, cpus.next_power_of_two()));
                assert_eq!(read(&entries, *leaf, 2), [0, 0, 2, cpu], "the end");
            }
            let numbers = read(&entries, 0x8000_001e, 0);
            let expected = if vendor == Vendor::Amd { [cpu, cpu, 0, 0] } else { [0; 4] };
            assert_eq!(numbers, expected, "{cpus} CPUs");
        }
    }
}

#[test]
fn amd_alone_counts_cores_by_leaves_of_its_own() {
    for cpus in COUNTS {
        let intel = &guest(INTEL, &[], Vendor::Intel, cpus)[0];
        assert_eq!(read(intel, 0x8000_0001, 0)[2], 0x121, "no CMP_LEGACY");
        assert_eq!(read(intel, 0x8000_0008, 0)[2], 0);
        let amd = &guest(AMD, &[], Vendor::Amd, cpus)[0];
        assert_eq!(read(amd, 0x8000_0001, 0)[2], 0x0040_03f1 | if cpus > 1 { CMP_LEGACY } else { 0 });
        let [.., size, _] = read(amd, 0x8000_0008, 0);
        assert_eq!((size & 0xff, size >> 12 & 0xf), (cpus - 1, cpus.next_power_of_two().trailing_zeros()));
        assert_eq!(size >> 16, 1, "what is beside it is kept");
        assert_eq!(read(amd, AMD_LEVELS, 0), [0; 4]);
        assert_eq!(read(amd, LEVELS_V2, 0), [0; 4], "a leaf of Intel's");
    }
}

#[test]
fn a_cpu_shares_what_the_guest_shares() {
    for (rows, vendor, leaf) in [(INTEL, Vendor::Intel, CACHES), (AMD, Vendor::Amd, AMD_CACHES)] {
        for cpus in COUNTS {
            let mut groups = [const { BTreeSet::new() }; 5];
            for (cpu, entries) in (0..).zip(guest(rows, &[], vendor, cpus)) {
                for subleaf in 0..4 {
                    let [eax, ebx, ecx, _] = read(&entries, leaf, subleaf);
                    let row =
                        rows.iter().find(|(known, index, ..)| (*known, *index) == (leaf, subleaf)).unwrap();
                    assert_eq!(
                        (eax & 0x3fff, ebx, ecx),
                        (row.3[0] & 0x3fff, row.3[1], row.3[2]),
                        "the cache's own"
                    );
                    let sharing = (eax >> 14 & 0xfff) + 1;
                    groups[subleaf as usize].insert(cpu >> sharing.next_power_of_two().trailing_zeros());
                    let cores = if leaf == CACHES { (cpus.next_power_of_two() - 1).min(63) } else { 0 };
                    assert_eq!(eax >> 26, cores, "{cpus} CPUs");
                }
                assert_eq!(read(&entries, leaf, 4), [0; 4], "the end");
            }
            let groups = groups.map(|group| group.len());
            let all = cpus as usize;
            assert_eq!(groups[..4], [all, all, all, 1], "{vendor:?}, {cpus} CPUs");
        }
    }
}

#[test]
fn leaves_that_the_host_does_not_reach_are_not_made() {
    let mut old = host(INTEL, &[]);
    old[0].eax = 4;
    Topology { vendor: Vendor::Intel, cpus: 4, cpu: 1 }.describe(&mut old);
    assert_eq!((read(&old, LEVELS, 1), read(&old, LEVELS_V2, 1)), ([0; 4], [0; 4]));
    let mut old = host(AMD, &[]);
    old.iter_mut()
        .filter(|entry| entry.function == 0x8000_0001)
        .for_each(|entry| entry.ecx &= !TOPOLOGY_EXTENSIONS);
    Topology { vendor: Vendor::Amd, cpus: 4, cpu: 1 }.describe(&mut old);
    assert_eq!(read(&old, AMD_NUMBERS, 0), [0; 4]);
}
