//! What a demo can be asked for, judged before anything starts.

use std::collections::BTreeSet;

use chrono::{NaiveDate, NaiveTime};

use super::Args;
use super::stage::Service;
use crate::config::Traded;
use crate::market::calendar::Calendar;
use crate::market::time::hms;
use crate::market::{Instrument, InstrumentKind};
use crate::ops::WrongUsage;
use crate::sim::model::Market;

/// Fastest clock: a day takes some seconds, whatever is asked for.
const SPEED_MAX: f64 = 100_000.0;

/// A service to kill, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kill {
    pub(super) service: Service,
    pub(super) at: NaiveTime,
}

pub(super) fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse::<f64>().ok().filter(|speed| (1.0..=SPEED_MAX).contains(speed));
    speed.ok_or_else(|| format!("expected a number from 1 to {SPEED_MAX}"))
}

/// A time within the day that is played.
pub(super) fn time_of_demo(text: &str) -> Result<NaiveTime, String> {
    within(time(text)?, hms(7, 58, 0), hms(15, 46, 0))
}

pub(super) fn kill(text: &str) -> Result<Kill, String> {
    let (service, at) = text
        .split_once('@')
        .ok_or_else(|| format!("expected SERVICE@HH:MM such as trading@10:30, was {text:?}"))?;
    let service = Service::parse(service)
        .ok_or_else(|| format!("expected auth, trading or bot, was {service:?}"))?;
    let at = within(time(at)?, hms(8, 1, 0), hms(15, 40, 0))?;
    Ok(Kill { service, at })
}

fn time(text: &str) -> Result<NaiveTime, String> {
    NaiveTime::parse_from_str(text, "%H:%M")
        .map_err(|_| format!("expected a time such as 10:30, was {text:?}"))
}

fn within(at: NaiveTime, first: NaiveTime, last: NaiveTime) -> Result<NaiveTime, String> {
    let [shown, first_shown, last_shown] = [at, first, last].map(|time| time.format("%H:%M"));
    let inside = (first..=last).contains(&at);
    inside.then_some(at).ok_or_else(|| format!("{shown} is outside {first_shown} to {last_shown}"))
}

/// What to trade: what is asked for, else what is usual for the strategy.
pub(super) fn instrument(args: &Args) -> Result<String, WrongUsage> {
    let text = match (&args.instrument, args.strategy.as_str()) {
        (Some(text), _) => text,
        (None, "level-breakout") => return Ok("NSE:RELIANCE".to_string()),
        (None, _) => return Ok("SENSEX".to_string()),
    };
    let market = Market::new(args.seed, args.date, Calendar::india())
        .map_err(|error| WrongUsage(format!("--date: {error}")))?;
    let offered = offered(market.instruments().iter().map(|row| &row.instrument));
    let asked = Traded::parse(text).ok();
    if asked.is_some_and(|asked| offered.iter().any(|one| Traded::parse(one) == Ok(asked.clone())))
    {
        return Ok(text.clone());
    }
    let offered: Vec<String> = offered.into_iter().collect();
    let message = format!(
        "--instrument: the simulated market does not trade {text:?}; it trades {}",
        offered.join(", ")
    );
    Err(WrongUsage(message))
}

/// Indices that have options, shares and futures, as `--instrument` names
/// them.
fn offered<'a>(instruments: impl Iterator<Item = &'a Instrument>) -> BTreeSet<String> {
    let name = |instrument: &Instrument| match instrument.kind {
        InstrumentKind::Call | InstrumentKind::Put => Some(instrument.name.clone()),
        InstrumentKind::Equity | InstrumentKind::Future => Some(instrument.key.to_string()),
        InstrumentKind::Index => None,
    };
    instruments.filter_map(name).filter(|name| Traded::parse(name).is_ok()).collect()
}

/// The days to play, the first of which must be one.
pub(super) fn dates(args: &Args) -> Result<Vec<NaiveDate>, WrongUsage> {
    let calendar = Calendar::india();
    let date = args.date;
    let day = calendar.day(date);
    if !day.is_regular() {
        let reason = day.reason();
        let next = calendar.next_trading_day(date).map(|next| format!("; the next is {next}"));
        let next = next.unwrap_or_default();
        return Err(WrongUsage(format!("--date: {date} is no trading day ({reason}){next}")));
    }
    let following = |date: &NaiveDate| calendar.next_trading_day(*date);
    let count = usize::try_from(args.days).unwrap_or(usize::MAX);
    let dates: Vec<NaiveDate> = std::iter::successors(Some(date), following).take(count).collect();
    if dates.len() < count {
        let known = dates.len();
        let message =
            format!("--days: the calendar knows {known} trading days from {date}, not {count}");
        return Err(WrongUsage(message));
    }
    Ok(dates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_a_number_from_one_on() {
        assert_eq!(speed("600"), Ok(600.0));
        for wrong in ["NaN", "inf", "0", "-1", "0.5", "1e9", "fast", ""] {
            assert!(speed(wrong).unwrap_err().contains("from 1 to 100000"), "{wrong}");
        }
    }

    #[test]
    fn times_are_within_the_day_that_is_played() {
        assert_eq!(time_of_demo("07:58"), Ok(hms(7, 58, 0)));
        assert_eq!(time_of_demo("15:46"), Ok(hms(15, 46, 0)));
        assert_eq!(time_of_demo("03:00").unwrap_err(), "03:00 is outside 07:58 to 15:46");
        assert_eq!(kill("bot@03:00").unwrap_err(), "03:00 is outside 08:01 to 15:40");
        assert!(kill("X@10:00").unwrap_err().contains("auth, trading or bot"));
        assert!(kill("bot").unwrap_err().contains("SERVICE@HH:MM"));
    }
}
