//! What calls by port do, and what a guest that writes meanwhile cannot make them do.

mod answers;
mod doorbell;
mod racing;

use super::{Exits, GuestRam, PortCalls, Services, Unable, model};
