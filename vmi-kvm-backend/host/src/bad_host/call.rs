//! VMI calls that are refused.

use std::str::FromStr;

use vmi_abi::port_call::{Number, Status};

use crate::error::{Error, Result};

/// Calls that are refused, and how: `[CALL=]STATUS`; without a call, all of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FailedCall {
    pub(crate) number: Option<Number>,
    pub(crate) status: Status,
}

impl FromStr for FailedCall {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (call, status) = text.split_once('=').map_or((None, text), |(call, status)| (Some(call), status));
        let number = call.map(|call| {
            let known =
                || Number::ALL.iter().filter_map(|number| number.name()).collect::<Vec<_>>().join(", ");
            Number::named(call).ok_or_else(|| {
                Error::Option(format!("there is no VMI call `{call}`; the calls are {}", known()))
            })
        });
        let known =
            || Status::REFUSALS.iter().filter_map(|status| status.name()).collect::<Vec<_>>().join(", ");
        let status = Status::named(status).ok_or_else(|| {
            Error::Option(format!("there is no refusal `{status}`; the refusals are {}", known()))
        })?;
        Ok(Self { number: number.transpose()?, status })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_or_all_of_them() {
        assert_eq!(
            "failed".parse::<FailedCall>().unwrap(),
            FailedCall { number: None, status: Status::FAILED }
        );
        let one = FailedCall { number: Some(Number::WALL_CLOCK), status: Status::INVALID };
        assert_eq!("wall-clock=invalid".parse::<FailedCall>().unwrap(), one);
        for text in ["", "done", "wall-clock", "nothing=failed", "wall-clock=done"] {
            assert!(text.parse::<FailedCall>().is_err(), "{text}");
        }
    }
}
