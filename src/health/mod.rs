//! How machine and services are, and who is told when they are not well.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `proc`, `sample` | figures of machine and process, every five seconds |
//! | `pulse` | which services give signs of life, and who tells when one does not |
//! | `hours` | what is expected when, by the calendar |
//! | `judge`, `rate`, `patterns` | what the figures mean: a reading for everything that is watched |
//! | `alarm`, `keep` | when a reading is told, and when it is over; across restarts |
//! | `tell` | the owner's chat and the webhook, without the help of other processes |
//! | `watchman` | the thread that does all of it, one in each service |
//! | `logs` | what the room asks of the logs |
//! | `show` | samples in words |
//! | `board` | the figures of the day, as the database has them |
//! | `metrics` | all of it as Prometheus wants it |
//!
//! # Who measures, who judges, who tells
//! Each service measures itself and puts the figures into its signs of life.
//! pivot-bot and pivot-auth measure the machine and judge everything;
//! pivot-trading watches for silence only. pivot-bot tells. When it is
//! silent, pivot-trading tells of silence, and pivot-auth in its place and of
//! all the rest: exactly one of those who are there.
//!
//! No request to the broker is made here: what is known of it comes with
//! those that trading makes.

pub mod alarm;
pub mod board;
mod hours;
mod judge;
mod keep;
mod logs;
pub mod metrics;
mod patterns;
mod proc;
mod pulse;
mod rate;
mod sample;
pub mod show;
pub mod tell;
mod watchman;

pub use alarm::{Alert, Level, Status, Trouble};
pub use hours::Hours;
pub use judge::{Detail, LogFigures};
pub use pulse::Pulse;
pub use sample::{Folders, Machine, Process, Sample, Sampler};
pub use watchman::{Post, Voice, Watchman};
