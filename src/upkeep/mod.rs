//! What keeps the machine's data in order: backups, and what is done by day
//! and week without anybody asking. pivot-bot, which runs day and night,
//! carries it out ([`keep`]); `pivotctl` does it on request.
//!
//! | to change | look in |
//! | --- | --- |
//! | what an archive holds, how it is proved and restored | `backup` |
//! | when something is due, what becomes of what was missed | `schedule` |
//! | what was done when | `ledger` |
//! | what is done | `keeper` |
//! | what people are reminded of, and when | `reminders` |

pub mod backup;
mod files;
mod keeper;
pub mod ledger;
pub mod reminders;
mod report;
pub mod schedule;
#[cfg(test)]
mod tests;

pub use files::size_text;
pub use keeper::{Ended, Keeper, KeeperError, VACUUM_WITHIN, keep, market_is_open};
pub use report::{JobReport, report, report_json};
