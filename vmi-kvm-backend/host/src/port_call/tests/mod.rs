//! What calls by port do, and what hostile guests cannot make them do.

mod answers;
mod doorbell;
mod hostile;
mod model;
mod racing;

use super::{Exits, Fault, GuestRam, PortCalls, Services, Unable};
