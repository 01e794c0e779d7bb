//! The machine that a test asks for: by QEMU's arguments, and what `vmi-run` can have of it.

use std::result::Result;

use super::unittests::Entry;

/// Stands in words for the time of day, in seconds, when the test is started. No argument can hold it itself.
pub(super) const NOW: &str = "\0";

/// The one command that is known: `kvmclock_test` compares the clock with it.
const DATE: &str = "`date +%s`";

/// The memory of QEMU's machines, in MiB, where nothing else is asked for.
const MEMORY_MIB: u64 = 128;

/// QEMU's flags that mean what the rig does anyway.
const AS_IT_IS: [&str; 3] = ["enable-kvm", "nodefaults", "no-reboot"];

/// CPU models that are the host's.
const HOST_MODELS: [&str; 2] = ["host", "max"];

/// Features that tests switch off: QEMU's name, leaf and subleaf of CPUID, register, bit. Sources: Intel SDM, volume 2,
/// "CPUID—CPU Identification"; AMD APM, volume 3, "Obtaining Processor Information Via the CPUID Instruction".
const FEATURES: [(&str, &str, &str, u32); 20] = [
    ("fsgsbase", "7", "ebx", 0),
    ("invpcid", "7", "ebx", 10),
    ("la57", "7", "ecx", 16),
    ("pcid", "1", "ecx", 17),
    ("pks", "7", "ecx", 31),
    ("pku", "7", "ecx", 3),
    ("rdpid", "7", "ecx", 22),
    ("rdpru", "0x80000008", "ebx", 4),
    ("rdtscp", "0x80000001", "edx", 27),
    ("skinit", "0x80000001", "ecx", 12),
    ("smap", "7", "ebx", 20),
    ("smep", "7", "ebx", 7),
    ("svm", "0x80000001", "ecx", 2),
    ("svm-lock", "0x8000000a", "edx", 2),
    ("tsc-adjust", "7", "ebx", 1),
    ("tsc-deadline", "1", "ecx", 24),
    ("umip", "7", "ecx", 2),
    ("vmx", "1", "ecx", 5),
    ("x2apic", "1", "ecx", 21),
    ("xsave", "1", "ecx", 26),
];

/// What a test asks for.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Machine {
    /// The words for QEMU, behind those that every test has.
    pub(super) qemu: Vec<String>,
    pub(super) cpus: u32,
    pub(super) memory_mib: u64,
    pub(super) command_line: String,
    /// What `vmi-run` is told of the CPU: values of its `--cpuid`.
    pub(super) cpuid: Vec<String>,
    /// QEMU's devices, which `vmi-run` does not have.
    pub(super) devices: Vec<String>,
    /// Whether the guest is to find Hyper-V.
    pub(super) hyper_v: bool,
    /// Arguments that have nothing in `vmi-run` to stand for them.
    pub(super) ignored: Vec<String>,
}

impl Machine {
    /// Reads a test's arguments.
    ///
    /// # Errors
    ///
    /// Says in a few words what cannot be read.
    pub(super) fn of(entry: &Entry) -> Result<Self, String> {
        let mut machine = Self { memory_mib: MEMORY_MIB, ..Self::default() };
        machine.qemu = vec!["-smp".to_owned(), entry.smp.clone()];
        if let Some(arguments) = &entry.test_args {
            machine.qemu.extend(["-append".to_owned(), words(arguments)?.join(" ")]);
        }
        machine.qemu.extend(words(&entry.params)?);
        let all = machine.qemu.clone();
        let mut rest = all.iter().map(String::as_str).peekable();
        while let Some(word) = rest.next() {
            let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).unwrap_or_default();
            // A command line may begin with a dash; no other value does.
            let value = match name {
                "append" => rest.next(),
                _ if AS_IT_IS.contains(&name) => continue,
                _ => rest.next_if(|word| !word.starts_with('-')),
            };
            let value = value.unwrap_or_default();
            match name {
                "append" => value.clone_into(&mut machine.command_line),
                "smp" => machine.cpus = cpus(value)?,
                "m" => machine.memory_mib = memory_mib(value)?,
                "cpu" => machine.set_cpu(value),
                "device" => machine.devices.extend(value.split(',').next().map(str::to_owned)),
                _ => machine.ignored.push(format!("{word} {value}").trim_end().to_owned()),
            }
        }
        Ok(machine)
    }

    /// Reads `-cpu`: a model, and features behind it. What a model lacks that KVM has is there under `vmi-run`.
    fn set_cpu(&mut self, value: &str) {
        let (model, features) = value.split_once(',').unwrap_or((value, ""));
        if !HOST_MODELS.contains(&model) {
            self.ignored.push(format!("-cpu {model}"));
        }
        for feature in features.split(',').filter(|feature| !feature.is_empty()) {
            let (name, setting) = feature.split_once('=').unwrap_or((feature, "on"));
            let (name, setting) = match (name.strip_prefix('+'), name.strip_prefix('-')) {
                (Some(name), _) => (name, "on"),
                (_, Some(name)) => (name, "off"),
                _ => (name, setting),
            };
            let name = name.replace('_', "-");
            let known = FEATURES.iter().find(|(feature, ..)| *feature == name);
            match (known, setting) {
                _ if name.starts_with("hv-") => self.hyper_v |= setting != "off",
                (_, vendor) if name == "vendor" => self.set_vendor(vendor),
                (Some((_, leaf, register, bit)), "off") => {
                    self.cpuid.push(format!("{leaf}:{register}=0/{:#x}", 1_u32 << bit));
                }
                // KVM has it or has it not, under QEMU as well.
                (_, "on") => {}
                _ => self.ignored.push(format!("-cpu {feature}")),
            }
        }
    }

    /// Has CPUID name the vendor in the leaves that do: 12 letters in three registers.
    fn set_vendor(&mut self, vendor: &str) {
        let ([ebx, edx, ecx], []) = vendor.as_bytes().as_chunks::<4>() else {
            return self.ignored.push(format!("-cpu vendor={vendor}"));
        };
        for leaf in ["0", "0x80000000"] {
            for (register, letters) in [("ebx", ebx), ("edx", edx), ("ecx", ecx)] {
                self.cpuid.push(format!("{leaf}:{register}={:#x}", u32::from_le_bytes(*letters)));
            }
        }
    }
}

/// Cuts a value into words as a shell would, and runs nothing.
fn words(text: &str) -> Result<Vec<String>, String> {
    if text.contains(NOW) {
        return Err("its arguments hold a byte of 0".to_owned());
    }
    let text = text.replace(DATE, NOW);
    if let Some(at) = text.find(['`', '$']) {
        return Err(format!("its arguments are for a shell to work out: {}", text[at..].trim_end()));
    }
    shlex::split(&text).ok_or_else(|| "a quote in its arguments has no end".to_owned())
}

/// Reads a number of CPUs: `2`, `cpus=2`, either with a topology behind it.
fn cpus(value: &str) -> Result<u32, String> {
    let first = value.split(',').next().unwrap_or_default();
    let number = first.strip_prefix("cpus=").unwrap_or(first).parse().ok().filter(|cpus| *cpus > 0);
    number.ok_or_else(|| format!("`-smp {value}` is no number of CPUs"))
}

/// Reads a size: `2048`, `4g`, `size=4G`, in MiB where there is no unit.
fn memory_mib(value: &str) -> Result<u64, String> {
    let first = value.split(',').next().unwrap_or_default();
    let size = first.strip_prefix("size=").unwrap_or(first);
    let (number, mib) = match size.char_indices().last() {
        Some((at, 'm' | 'M')) => (&size[..at], 1),
        Some((at, 'g' | 'G')) => (&size[..at], 1 << 10),
        _ => (size, 1),
    };
    let number = number.parse().ok().and_then(|number: u64| number.checked_mul(mib)).filter(|mib| *mib > 0);
    number.ok_or_else(|| format!("`-m {value}` is no size of memory in whole MiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(params: &str, test_args: Option<&str>) -> Result<Machine, String> {
        let test_args = test_args.map(str::to_owned);
        let params = params.to_owned();
        Machine::of(&Entry { smp: "2".to_owned(), params, test_args, ..Entry::default() })
    }

    fn machine(params: &str) -> Machine {
        asks(params, None).unwrap()
    }

    #[test]
    fn qemus_arguments_have_counterparts() {
        let machine = machine("-cpu max,+svm -m 4g --append \"-a_test b*\" -enable-kvm");
        let qemu = ["-smp", "2", "-cpu", "max,+svm", "-m", "4g", "--append", "-a_test b*", "-enable-kvm"];
        let expected = Machine {
            qemu: qemu.map(str::to_owned).to_vec(),
            cpus: 2,
            memory_mib: 4096,
            command_line: "-a_test b*".to_owned(),
            ..Machine::default()
        };
        assert_eq!(machine, expected);
    }

    #[test]
    fn what_is_not_asked_for_is_as_qemu_has_it() {
        let Machine { cpus, memory_mib, command_line, .. } = machine("");
        assert_eq!((cpus, memory_mib, command_line.as_str()), (2, 128, ""));
        assert_eq!(machine("-smp 4 -m 1 -m 512M").memory_mib, 512);
        assert_eq!(machine("-smp cpus=4,sockets=2 -m size=2g,slots=1").cpus, 4);
    }

    #[test]
    fn arguments_of_tests_are_one_word_for_qemu() {
        let machine = asks("-m 64", Some("\"10 `date +%s`\"")).unwrap();
        assert_eq!(machine.qemu, ["-smp", "2", "-append", "10 \0", "-m", "64"]);
        assert_eq!(machine.command_line, "10 \0");
        assert_eq!(asks("", Some("a  'b c'")).unwrap().command_line, "a b c");
        assert_eq!(machine.qemu.len(), asks("-append \"10 `date +%s`\" -m 64", None).unwrap().qemu.len());
    }

    #[test]
    fn no_shell_works_anything_out() {
        for (text, said) in [
            ("-append `id`", "its arguments are for a shell to work out: `id`"),
            ("-append \"a $(id)\"", "its arguments are for a shell to work out: $(id)\""),
            ("-m $SIZE", "its arguments are for a shell to work out: $SIZE"),
            ("-append `date +%s", "its arguments are for a shell to work out: `date +%s"),
            ("-append 'a", "a quote in its arguments has no end"),
            ("-append \0", "its arguments hold a byte of 0"),
            ("-smp many", "`-smp many` is no number of CPUs"),
            ("-smp 0", "`-smp 0` is no number of CPUs"),
            ("-smp", "`-smp ` is no number of CPUs"),
            ("-m 1T", "`-m 1T` is no size of memory in whole MiB"),
            ("-m 0", "`-m 0` is no size of memory in whole MiB"),
            ("-m", "`-m ` is no size of memory in whole MiB"),
        ] {
            assert_eq!(asks(text, None), Err(said.to_owned()), "{text}");
        }
    }

    #[test]
    fn quotes_comments_and_ends_of_lines_are_a_shells() {
        let line = "-append 'a \"b\" #c' -m 1g # -m 2g";
        assert_eq!(machine(line).command_line, "a \"b\" #c");
        assert_eq!(machine(line).memory_mib, 1024);
        assert_eq!(machine("-m 1g \\\n-append x\\ y").command_line, "x y");
        assert_eq!(machine("-m 1g\n-append x").command_line, "x");
    }

    #[test]
    fn features_that_are_off_are_off_under_vmi_run() {
        let off = machine("-cpu max,-pcid,invpcid=off,+x2apic,umip,tsc_deadline=off");
        assert_eq!(off.cpuid, ["1:ecx=0/0x20000", "7:ebx=0/0x400", "1:ecx=0/0x1000000"]);
        assert!(off.ignored.is_empty() && !off.hyper_v, "{off:?}");
    }

    #[test]
    fn the_vendor_is_named_in_both_leaves() {
        let intel = machine("-cpu max,vendor=GenuineIntel");
        let leaf = ["ebx=0x756e6547", "edx=0x49656e69", "ecx=0x6c65746e"];
        let expected = ["0", "0x80000000"].map(|number| leaf.map(|register| format!("{number}:{register}")));
        assert_eq!(intel.cpuid, expected.as_flattened());
        assert_eq!(machine("-cpu max,vendor=me").ignored, ["-cpu vendor=me"]);
    }

    #[test]
    fn what_has_no_counterpart_is_kept_in_mind() {
        let machine =
            machine("-cpu qemu64,phys-bits=36,-smx -machine kernel_irqchip=split -overcommit cpu-pm=on -S");
        let expected = [
            "-cpu qemu64",
            "-cpu phys-bits=36",
            "-cpu -smx",
            "-machine kernel_irqchip=split",
            "-overcommit cpu-pm=on",
            "-S",
        ];
        assert_eq!(machine.ignored, expected);
    }

    #[test]
    fn devices_and_hyper_v_are_found() {
        let machine = machine("-cpu kvm64,hv_time,hv-synic=on -device hyperv-testdev -device edu,x=y");
        assert_eq!(
            (machine.hyper_v, machine.devices),
            (true, vec!["hyperv-testdev".to_owned(), "edu".to_owned()])
        );
    }
}
