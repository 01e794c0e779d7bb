//! What the interface does, and what hostile guests cannot make it do.

mod answers;
mod doorbell;
mod hostile;
mod model;
mod racing;

use super::{Exits, Fault, GuestRam, Interface, Services, Unable};
