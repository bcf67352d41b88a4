//! What is done at night, when no exchange is open: logs that are old are
//! deleted, and the database looks after its statistics. The scheduler only
//! wakes it; which logs are due follows from dates, so a night that was missed
//! is made up for at the next start.

use std::path::Path;

use chrono_tz::Asia::Kolkata;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use super::context::Context;
use crate::market::time::ist_date;
use crate::telemetry;

/// Second, minute, hour, day, month, weekday: at two every night in India.
const AT: &str = "0 0 2 * * *";

/// Tidies up now and every night, for ever.
pub(super) async fn run(context: Context) {
    if context.clock.is_scaled() {
        // A day that takes a minute has no night.
        return;
    }
    let (wake, mut woken) = unbounded_channel();
    let _scheduler = match scheduler(wake).await {
        Ok(scheduler) => scheduler,
        Err(error) => return tracing::error!(%error, "nothing is scheduled for the night"),
    };
    tidy_logs(&context);
    while woken.recv().await.is_some() {
        tidy_logs(&context);
        if let Err(error) = context.store.borrow().tidy() {
            tracing::warn!(%error, "the database could not be tidied");
        }
    }
}

async fn scheduler(wake: UnboundedSender<()>) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    let job = Job::new_tz(AT, Kolkata, move |_, _| {
        // Nobody listens only while the process ends.
        let _ = wake.send(());
    })?;
    scheduler.add(job).await?;
    scheduler.start().await?;
    Ok(scheduler)
}

fn tidy_logs(context: &Context) {
    let (folder, keep) = (&context.config.data.log_dir, context.config.logging.keep_days);
    let today = ist_date(context.clock.now());
    match telemetry::delete_old(Path::new(folder), today, keep, false) {
        Ok(deleted) => {
            tracing::info!(deleted = deleted.len(), keep_days = keep, "old logs deleted");
        }
        Err(error) => tracing::warn!(%error, "old logs could not be deleted"),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::clock::real_now;
    use crate::market::time::{hms, ist_time};

    #[tokio::test]
    async fn it_wakes_at_two_in_india() {
        let mut scheduler = scheduler(unbounded_channel().0).await.unwrap();
        let next = scheduler.time_till_next_job().await.unwrap().unwrap();
        let at = real_now() + TimeDelta::from_std(next).unwrap();
        let off = (ist_time(at) - hms(2, 0, 0)).num_seconds().abs();
        assert!(off <= 2, "{at}");
    }
}
