//! CPUs that are held off for a while.

use std::str::FromStr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::value::number;
use crate::error::{Error, Result};
use crate::shared::lock;

/// A CPU that is held off when a mark is set: `MARK:CPU:MILLISECONDS`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hold {
    mark: u64,
    cpu: usize,
    time: Duration,
}

impl FromStr for Hold {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let [mark, cpu, millis] = parts[..] else {
            return Err(Error::Option(format!("`{text}` is not of the form MARK:CPU:MILLISECONDS")));
        };
        let cpu =
            usize::try_from(number(cpu)?).map_err(|_| Error::Option(format!("there is no CPU {cpu}")))?;
        Ok(Self { mark: number(mark)?, cpu, time: Duration::from_millis(number(millis)?) })
    }
}

/// What is held, and until when.
#[derive(Debug)]
pub(crate) struct Holds {
    rules: Vec<Hold>,
    until: Box<[Mutex<Option<Instant>>]>,
}

impl Holds {
    /// Knows the rules for so many CPUs.
    ///
    /// # Errors
    ///
    /// Names a CPU that there is not.
    pub(crate) fn new(rules: &[Hold], cpus: usize) -> Result<Self> {
        if let Some(Hold { cpu, .. }) = rules.iter().find(|rule| rule.cpu >= cpus) {
            let last = cpus.saturating_sub(1);
            return Err(Error::Option(format!(
                "CPU {cpu} is to be held, and there is no such CPU: the guest's are 0 to {last}"
            )));
        }
        Ok(Self { rules: rules.to_vec(), until: (0..cpus).map(|_| Mutex::new(None)).collect() })
    }

    /// Takes note of a mark; returns the CPUs that are now to be held.
    pub(crate) fn mark(&self, mark: u64) -> Vec<usize> {
        let mut held = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.mark == mark) {
            if let Some(until) = self.until.get(rule.cpu) {
                *lock(until) = Some(Instant::now() + rule.time);
                held.push(rule.cpu);
            }
        }
        held
    }

    /// Returns how long a CPU is still held.
    pub(crate) fn left(&self, cpu: usize) -> Option<Duration> {
        if self.rules.is_empty() {
            return None;
        }
        let mut until = lock(self.until.get(cpu)?);
        let left =
            until.map(|until| until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero());
        if left.is_none() {
            *until = None;
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_cpu_named_is_held_at_the_mark_named() {
        let holds = Holds::new(&["7:1:60000".parse().unwrap(), "8:1:1".parse().unwrap()], 2).unwrap();
        assert!(holds.mark(6).is_empty());
        assert!(holds.left(1).is_none());
        assert_eq!(holds.mark(7), [1]);
        assert!(holds.left(1).is_some() && holds.left(0).is_none() && holds.left(9).is_none());
        for text in ["", "1:2", "1:2:3:4", "a:0:1"] {
            assert!(text.parse::<Hold>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_cpu_that_there_is_not_is_refused() {
        let refused = Holds::new(&["7:0:1".parse().unwrap(), "7:2:1".parse().unwrap()], 2).unwrap_err();
        let text = "CPU 2 is to be held, and there is no such CPU: the guest's are 0 to 1";
        assert_eq!(refused.to_string(), text);
    }
}
