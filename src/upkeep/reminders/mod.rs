//! What is to be renewed outside of this system, or seen to in good time.
//!
//! | to change | look in |
//! | --- | --- |
//! | what there is to be reminded of | `ahead` |
//! | on which days people are told | `telling` |
//! | a person's own reminders | `own` |
//! | how soon a disk is full | `disk` |
//! | when a certificate ends | `certificate` |
//! | where all of it comes from | `gather` |

mod ahead;
mod certificate;
mod disk;
mod gather;
mod own;
mod telling;

pub use ahead::{Facts, Nearness, Reminder, Subject, ahead, report_json};
pub use disk::DiskDay;
pub use gather::{Outside, gather, tell};
pub use own::{Notebook, Own, Refused, TEXT_MAX};

/// Where pivot-bot keeps people's own reminders.
pub const OWN: &str = "reminders";

/// Where it keeps on which day each was told of.
const TOLD: &str = "reminders_told";

/// Where it keeps how much room the disks had, day by day.
const DISK: &str = "disk_days";
