//! On which CPUs of this machine those of a guest run.

use std::str::FromStr;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::error::{Error, Result};

/// The CPUs of this machine that those of a guest run on, by turns: the first on the first, and so on, and again from the
/// first. None leaves it to the operating system.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Pins(Vec<usize>);

impl FromStr for Pins {
    type Err = Error;

    /// Reads numbers and ranges of them: `0,2-5`.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::Option(format!("`{text}` is no list of CPUs such as 0,2-5"));
        let number = |text: &str| match text.parse::<usize>() {
            Ok(number) if number < CpuSet::MAX_CPU => Ok(number),
            _ => Err(wrong()),
        };
        let mut pins = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(wrong());
            }
            pins.extend(first..=last);
        }
        Ok(Self(pins))
    }
}

impl Pins {
    /// Looks whether this process may run on all of them.
    ///
    /// # Errors
    ///
    /// Names one on which it may not.
    pub(crate) fn check(&self) -> Result<()> {
        let allowed = sched_getaffinity(None).map_err(Error::system("tell on which CPUs it may run"))?;
        match self.0.iter().find(|cpu| !allowed.is_set(**cpu)) {
            Some(cpu) => Err(Error::Option(format!(
                "nothing can run on CPU {cpu} of this machine: it is not there, or not ours"
            ))),
            None => Ok(()),
        }
    }

    /// Has this thread, which runs that CPU of the guest, run on its CPU of this machine.
    ///
    /// # Errors
    ///
    /// Fails where the operating system does.
    pub(crate) fn pin(&self, cpu: usize) -> Result<()> {
        let Some(turn) = cpu.checked_rem(self.0.len()) else { return Ok(()) };
        let mut set = CpuSet::new();
        set.set(self.0[turn]);
        sched_setaffinity(None, &set).map_err(Error::system("keep a CPU's thread on one CPU"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_read() {
        for (text, pins) in
            [("0", &[0][..]), ("3,1", &[3, 1]), ("0,2-5,7", &[0, 2, 3, 4, 5, 7]), ("1,1", &[1, 1])]
        {
            assert_eq!(text.parse::<Pins>().unwrap(), Pins(pins.to_vec()), "{text}");
        }
        for text in ["", ",", "1,", "2-1", "-1", "1-", "a", "0-99999999999", "1024"] {
            let refused = text.parse::<Pins>().unwrap_err().to_string();
            assert_eq!(refused, format!("`{text}` is no list of CPUs such as 0,2-5"));
        }
    }

    #[test]
    fn each_thread_runs_where_its_turn_is() {
        let allowed: Vec<usize> = {
            let allowed = sched_getaffinity(None).unwrap();
            (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect()
        };
        let pins = Pins(allowed.clone());
        pins.check().unwrap();
        for cpu in 0..2 * allowed.len() {
            let pins = pins.clone();
            let set = std::thread::spawn(move || {
                pins.pin(cpu).unwrap();
                sched_getaffinity(None).unwrap()
            });
            let set = set.join().unwrap();
            assert_eq!((set.count(), set.is_set(allowed[cpu % allowed.len()])), (1, true), "CPU {cpu}");
        }
        Pins::default().pin(3).unwrap();
        let all = sched_getaffinity(None).unwrap();
        assert_eq!(all.count() as usize, allowed.len(), "nothing was asked for");
    }

    #[test]
    fn a_cpu_that_there_is_not_is_named() {
        let refused = Pins(vec![CpuSet::MAX_CPU - 1]).check().unwrap_err().to_string();
        assert!(refused.starts_with("nothing can run on CPU 1023 of this machine"), "{refused}");
    }
}
