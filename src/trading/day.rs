//! The course of a trading day: is it one, log in, prepare, trade, close.
//!
//! What is due is decided from the clock and from what is recorded as done,
//! so that a restart at any minute goes on where the day stands.

use std::time::Duration;

use chrono::{Datelike as _, Days, NaiveDate, NaiveTime};

use super::TradingError;
use super::context::Context;
use super::input::Input;
use super::login::{self, LATE_AFTER, LOGIN_FROM, PREPARE_FROM};
use super::prepare::{Known, PrepareError, prepare};
use crate::engine::notice::{NoticeKind, Severity};
use crate::engine::settings::Schedule;
use crate::market::time::{from_ist, ist_date};
use crate::market::{Money, Timestamp};

/// Pause between attempts to prepare.
const PREPARE_AGAIN: Duration = Duration::from_secs(20);

/// Runs day after day. `planned` is the date that the journal already holds a
/// plan for.
pub(super) async fn run(context: Context, planned: Option<NaiveDate>) -> Result<(), TradingError> {
    loop {
        let today = ist_date(context.clock.now());
        match trading_day(&context, today) {
            Some(day) => one_day(&context, &day, planned == Some(today)).await?,
            None => context.phase("no trading day"),
        }
        let tomorrow = today.checked_add_days(Days::new(1)).unwrap_or(today);
        context.clock.sleep_until(from_ist(tomorrow, NaiveTime::MIN)).await;
    }
}

#[derive(Debug, Clone, Copy)]
struct Day {
    date: NaiveDate,
    open: Timestamp,
    close: Timestamp,
}

fn trading_day(context: &Context, date: NaiveDate) -> Option<Day> {
    let kind = context.calendar.day(date);
    let index = kind.sessions().filter(|_| kind.is_regular()).map(|times| times.index);
    if let Some(session) = index {
        let (open, close) = (from_ist(date, session.open), from_ist(date, session.close));
        return Some(Day { date, open, close });
    }
    let mut notice = context.notice(
        NoticeKind::NoTrading,
        Severity::Info,
        &format!("No trading on {}: {}", date.format("%a %d %b %Y"), kind.reason()),
    );
    notice.once = Some(format!("no-trading:{date}"));
    if let Err(error) = context.store.borrow_mut().say(&notice) {
        tracing::error!(%error, "a notice could not be stored");
    }
    None
}

async fn one_day(context: &Context, day: &Day, planned: bool) -> Result<(), TradingError> {
    let at = |time| from_ist(day.date, time);
    let closes = at(Schedule::USUAL.day_close);
    if context.clock.now() >= closes {
        context.phase("day closed");
        return Ok(());
    }
    context.phase("before the day");
    context.clock.sleep_until(at(LOGIN_FROM)).await;
    if !before(context, closes, login::ensure(context, day.date)).await? {
        return close(context);
    }
    let late = context.clock.now() >= at(LATE_AFTER) && !planned;
    if late && !context.config.auth.allow_late_login {
        say_observing(context, day)?;
        context.clock.sleep_until(closes).await;
        return close(context);
    }
    context.phase("logged in");
    context.clock.sleep_until(at(PREPARE_FROM)).await;
    if !planned && !before(context, closes, prepare_until_done(context, day, late)).await? {
        return close(context);
    }
    watch_session(context, day, closes).await?;
    close(context)
}

/// Does the work, or gives it up when the day closes. Answers whether it was
/// done.
async fn before(
    context: &Context,
    closes: Timestamp,
    work: impl Future<Output = Result<(), TradingError>>,
) -> Result<bool, TradingError> {
    tokio::select! {
        biased;
        done = work => done.map(|()| true),
        () = context.clock.sleep_until(closes) => Ok(false),
    }
}

fn say_observing(context: &Context, day: &Day) -> Result<(), TradingError> {
    let mut notice = context.notice(
        NoticeKind::NoTrading,
        Severity::Warning,
        "Logged in too late to trade today (auth.allow_late_login is false)",
    );
    notice.once = Some(format!("late:{}", day.date));
    context.store.borrow_mut().say(&notice)?;
    Ok(())
}

async fn prepare_until_done(context: &Context, day: &Day, late: bool) -> Result<(), TradingError> {
    context.phase("preparing");
    while context.clock.now() < day.close {
        let (week_net, month_net) = results_before(context, day.date)?;
        let known = Known {
            date: day.date,
            open: day.open,
            close: day.close,
            week_net,
            month_net,
            late,
            limits: context.store.borrow().limits()?,
        };
        match prepare(&context.config, &context.client, &context.calendar, known).await {
            Ok(plan) => {
                context.send(Input::Day(Box::new(plan)));
                return Ok(());
            }
            Err(PrepareError::Broker { source, .. }) if source.is_session_dead() => {
                context.store.borrow_mut().session_end()?;
                login::ensure(context, day.date).await?;
            }
            Err(error) => {
                say_unprepared(context, day, &error)?;
                context.clock.sleep(PREPARE_AGAIN).await;
            }
        }
    }
    Ok(())
}

fn say_unprepared(context: &Context, day: &Day, error: &PrepareError) -> Result<(), TradingError> {
    let reason = crate::service::in_full(error);
    tracing::error!(%reason, "the day cannot be prepared");
    let mut notice = context.notice(
        NoticeKind::NoTrading,
        Severity::Warning,
        "The day is not prepared yet; no trading until it is",
    );
    notice.once = Some(format!("unprepared:{}:{reason}", day.date));
    notice.fields = vec![("Reason".into(), reason)];
    context.store.borrow_mut().say(&notice)?;
    Ok(())
}

/// Net results of the week and the month before today.
fn results_before(context: &Context, today: NaiveDate) -> Result<(Money, Money), TradingError> {
    let into_week = u64::from(today.weekday().num_days_from_monday());
    let monday = today.checked_sub_days(Days::new(into_week)).unwrap_or(today);
    let first = today.with_day(1).unwrap_or(today);
    let yesterday = today.pred_opt().unwrap_or(today);
    let store = context.store.borrow();
    let net_since = |from: NaiveDate| -> Result<Money, TradingError> {
        if from > yesterday {
            return Ok(Money::ZERO);
        }
        Ok(store.summaries(from, yesterday)?.iter().map(|summary| summary.net()).sum())
    };
    Ok((net_since(monday)?, net_since(first)?))
}

/// Sees to the session whenever the broker or its feed refuses it, until the
/// day closes.
async fn watch_session(
    context: &Context,
    day: &Day,
    closes: Timestamp,
) -> Result<(), TradingError> {
    loop {
        context.phase("trading");
        let doubted = async {
            context.session_lost.notified().await;
            Ok(())
        };
        if !before(context, closes, doubted).await? {
            return Ok(());
        }
        if !before(context, closes, login::restore(context, day.date)).await? {
            return Ok(());
        }
    }
}

/// Clears the token; it is of no use until tomorrow's login.
fn close(context: &Context) -> Result<(), TradingError> {
    context.phase("day closed");
    context.ticker.clear_session();
    context.client.clear_session();
    context.store.borrow_mut().session_end()?;
    Ok(())
}
