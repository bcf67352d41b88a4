//! Gathers the facts of a day from the broker: instruments, yesterday's
//! candles, contracts, funds. Everything is checked; what is missing is said
//! in words a trader can act on, and nothing is guessed.

use chrono::{Days, NaiveDate};

use crate::config::{Config, Traded};
use crate::engine::day::{DayPlan, History};
use crate::engine::ledger::LimitRecord;
use crate::engine::settings::{Settings, StrategySettings};
use crate::kite::{Client, Interval, KiteError};
use crate::market::calendar::Calendar;
use crate::market::time::from_ist;
use crate::market::{
    Candle, DayCandle, Exchange, Instrument, InstrumentKey, InstrumentKind, Money, Price,
    Timestamp, contract, master,
};

/// Candles of the previous session that sizes are compared with.
const HISTORY_CANDLES: usize = 40;

/// Strikes on each side of the money that a plan carries.
const STRIKES_EACH_SIDE: i64 = 15;

/// Calendar days in which the previous session must be found.
const LOOK_BACK_DAYS: u64 = 12;

/// Why a day could not be prepared.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrepareError {
    /// The configuration does not resolve.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// A call to the broker failed.
    #[error("could not read {what} from the broker")]
    Broker {
        /// What was asked for.
        what: String,
        /// What came back.
        #[source]
        source: KiteError,
    },
    /// Something that must be there is not.
    #[error("{0}")]
    Missing(String),
}

/// What the shell knows besides the broker's data.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) date: NaiveDate,
    pub(super) open: Timestamp,
    pub(super) close: Timestamp,
    pub(super) week_net: Money,
    pub(super) month_net: Money,
    pub(super) late: bool,
    pub(super) limits: Vec<LimitRecord>,
}

/// Prepares a day.
pub(super) async fn prepare(
    config: &Config,
    client: &Client,
    calendar: &Calendar,
    known: Known,
) -> Result<DayPlan, PrepareError> {
    let settings = config.settings()?;
    let previous = calendar.previous_trading_day(known.date).ok_or_else(|| {
        PrepareError::Missing(format!(
            "the calendar knows no trading day before {}: add the missing year",
            known.date
        ))
    })?;
    let traded = config.traded()?;
    let key = traded.signal();
    let listed = read_instruments(client, key.exchange).await?;
    let signal = find(&listed, &key)?;
    let spot = last_price(client, &key).await?;
    let (contracts, strike_step) = match &traded {
        Traded::Index(facts) => {
            let all = read_instruments(client, facts.options).await?;
            option_chain(&all, facts.name, known.date, spot, &settings)?
        }
        Traded::Share(_) | Traded::Future(_) => (vec![signal.clone()], Price::ZERO),
    };
    let minutes = config.market.candle_minutes;
    let width = Interval::of_minutes(minutes).ok_or_else(|| {
        PrepareError::Missing(format!("the broker has no history of {minutes}-minute candles"))
    })?;
    let mut histories = vec![history(client, &signal, previous, width).await?];
    if let StrategySettings::PremiumPivot(premium) = &settings.strategy {
        let atm = contract::atm(spot, strike_step);
        for option in &contracts {
            let distance = (option.strike - atm).paise().abs();
            if distance <= premium.strike_range.paise() {
                match history(client, option, previous, width).await {
                    Ok(found) => histories.push(found),
                    Err(PrepareError::Missing(reason)) => {
                        tracing::info!(%reason, "contract left out today");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }
    let available = funds(client).await?;
    Ok(DayPlan {
        date: known.date,
        open: known.open,
        close: known.close,
        candle_s: config.market.candle_minutes * 60,
        settings,
        signal,
        strike_step,
        histories,
        contracts,
        available,
        week_net: known.week_net,
        month_net: known.month_net,
        late: known.late,
        limits: known.limits,
    })
}

async fn read_instruments(
    client: &Client,
    exchange: Exchange,
) -> Result<Vec<Instrument>, PrepareError> {
    let bytes = client.instruments_csv(Some(exchange)).await.map_err(|source| {
        PrepareError::Broker { what: format!("the instruments of {exchange}"), source }
    })?;
    let parsed = master::parse_instruments(&bytes);
    if parsed.instruments.is_empty() {
        let text = format!("the broker's list of {exchange} instruments has no readable row");
        return Err(PrepareError::Missing(text));
    }
    if !parsed.bad_rows.is_empty() {
        tracing::warn!(count = parsed.bad_rows.len(), %exchange, "instrument rows left out");
    }
    Ok(parsed.instruments)
}

fn find(all: &[Instrument], key: &InstrumentKey) -> Result<Instrument, PrepareError> {
    all.iter().find(|instrument| instrument.key == *key).cloned().ok_or_else(|| {
        PrepareError::Missing(format!("{key} is not in today's instruments: check its spelling"))
    })
}

async fn last_price(client: &Client, key: &InstrumentKey) -> Result<Price, PrepareError> {
    let what = format!("the last price of {key}");
    let rows = client
        .ltp(std::slice::from_ref(key))
        .await
        .map_err(|source| PrepareError::Broker { what: what.clone(), source })?;
    rows.rows
        .first()
        .map(|(_, row)| row.last)
        .ok_or_else(|| PrepareError::Missing(format!("{what} is not known to the broker")))
}

fn option_chain(
    all: &[Instrument],
    name: &str,
    date: NaiveDate,
    spot: Price,
    settings: &Settings,
) -> Result<(Vec<Instrument>, Price), PrepareError> {
    let earliest =
        date.checked_add_days(Days::new(u64::from(settings.risk.min_dte))).unwrap_or(date);
    let expiry = contract::nearest_expiry(all, name, earliest).ok_or_else(|| {
        PrepareError::Missing(format!("no option expiry of {name} on or after {earliest}"))
    })?;
    let chain = contract::chain(all, name, expiry);
    let step = contract::strike_step(&chain, spot).ok_or_else(|| {
        PrepareError::Missing(format!("the strikes of {name} {expiry} have no regular step"))
    })?;
    let atm = contract::atm(spot, step);
    let reach = STRIKES_EACH_SIDE * step.paise();
    let near: Vec<Instrument> = chain
        .into_iter()
        .filter(|option| matches!(option.kind, InstrumentKind::Call | InstrumentKind::Put))
        .filter(|option| (option.strike - atm).paise().abs() <= reach)
        .collect();
    if near.is_empty() {
        return Err(PrepareError::Missing(format!("no options of {name} {expiry} near {spot}")));
    }
    Ok((near, step))
}

async fn history(
    client: &Client,
    instrument: &Instrument,
    previous: NaiveDate,
    width: Interval,
) -> Result<History, PrepareError> {
    let key = &instrument.key;
    let failed = |what: &str| {
        let what = format!("{what} of {key}");
        move |source| PrepareError::Broker { what, source }
    };
    let from = previous.checked_sub_days(Days::new(LOOK_BACK_DAYS)).unwrap_or(previous);
    let days: Vec<DayCandle> = client
        .day_candles(instrument.token, from, previous)
        .await
        .map_err(failed("day candles"))?;
    let day = days.into_iter().find(|day| day.date == previous).ok_or_else(|| {
        PrepareError::Missing(format!(
            "PIVOT_DATA_MISSING: the broker has no day candle of {key} for {previous}"
        ))
    })?;
    let start = from_ist(previous, chrono::NaiveTime::MIN);
    let end = start + chrono::TimeDelta::hours(24) - chrono::TimeDelta::seconds(1);
    let candles = client
        .historical(instrument.token, width, start, end, false)
        .await
        .map_err(failed("candles"))?;
    let candles: Vec<Candle> = candles.into_iter().map(|row| row.candle).collect();
    let skip = candles.len().saturating_sub(HISTORY_CANDLES);
    Ok(History {
        instrument: key.clone(),
        previous: day,
        candles: candles.into_iter().skip(skip).collect(),
    })
}

async fn funds(client: &Client) -> Result<Money, PrepareError> {
    let margins = client
        .margins()
        .await
        .map_err(|source| PrepareError::Broker { what: "the funds".into(), source })?;
    margins.equity.map(|equity| equity.net).ok_or_else(|| {
        PrepareError::Missing("the account has no equity segment: nothing can be traded".into())
    })
}
