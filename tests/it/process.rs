//! The real programs as processes: killed, stopped, starved and cut off,
//! against `pivotctl sim` at the pace of real life.

mod by_hand;
mod faults;
mod last_look;
mod login;
mod logs;
#[cfg(feature = "otlp")]
mod otlp;
mod panic;
mod restart;
mod restore;
mod runbook;
mod shutdown;
mod silence;
mod stand_in;
mod trace;
mod world;
