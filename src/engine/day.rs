//! A trading day as the engine is told of it.

use chrono::NaiveDate;

use super::ledger::{LimitRecord, StateRecord};
use super::settings::{Mode, RiskSettings, Schedule, Settings, StrategySettings};
use crate::market::time::{from_ist, hms};
use crate::market::{
    Candle, DayCandle, Instrument, InstrumentKey, InstrumentKind, Money, Price, Product, Timestamp,
};

/// What earlier days leave behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried {
    /// Reasons not to enter that only a person lifts.
    pub holds: Vec<CarriedHold>,
    /// Contracts of the bot's own that were not proven flat.
    pub open: Vec<InstrumentKey>,
    /// Whether the broker session was alive.
    pub session_alive: bool,
    /// Whether prices came in.
    pub feed_up: bool,
}

/// A reason not to enter that outlives its day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedHold {
    /// The reason's code, as in [`StateRecord::reason`].
    pub reason: String,
    /// Who caused it.
    pub actor: String,
    /// Since when it holds.
    pub since: Timestamp,
}

impl From<StateRecord> for CarriedHold {
    fn from(state: StateRecord) -> CarriedHold {
        CarriedHold { reason: state.reason, actor: state.actor, since: state.since }
    }
}

/// The facts of one trading day, frozen before the market opens (or when a
/// late login allows it). Journaled whole, so that a replay needs no other
/// source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayPlan {
    /// The trading date.
    pub date: NaiveDate,
    /// Continuous trading of the signal instrument begins.
    pub open: Timestamp,
    /// Continuous trading of the signal instrument ends (15:15 for an index
    /// since August 2026).
    pub close: Timestamp,
    /// Width of a candle, in seconds (180).
    pub candle_s: u32,
    /// Settings of the day.
    pub settings: Settings,
    /// The instrument whose candles decide, for `index-pivot` and
    /// `level-breakout`; the index for `premium-pivot`.
    pub signal: Instrument,
    /// Step between strikes; zero without options.
    pub strike_step: Price,
    /// Instruments that decide, with what history says of them. The first is
    /// [`DayPlan::signal`].
    pub histories: Vec<History>,
    /// Everything that may be traded today: the option chain of the expiry
    /// chosen, or the one instrument.
    pub contracts: Vec<Instrument>,
    /// Money free for orders at the time of preparation.
    pub available: Money,
    /// Net result since Monday, without today.
    pub week_net: Money,
    /// Net result since the first of the month, without today.
    pub month_net: Money,
    /// True when the login came too late to see the opening (entries by
    /// candles that history has filled in).
    pub late: bool,
    /// Limits that people set on earlier days, the last of each. They hold
    /// where they are tighter than the configured ones.
    pub limits: Vec<LimitRecord>,
}

impl DayPlan {
    /// An index of which only candles are known: no chain, no account, no
    /// past. Nothing can be bought on such a day; decisions can be judged.
    pub fn of_index(
        date: NaiveDate,
        strategy: StrategySettings,
        schedule: Schedule,
        history: History,
    ) -> DayPlan {
        let key = history.instrument.clone();
        let signal = Instrument {
            name: key.symbol.clone(),
            key,
            token: 0,
            kind: InstrumentKind::Index,
            expiry: None,
            strike: Price::ZERO,
            tick: Price::ZERO,
            lot: 0,
        };
        DayPlan {
            date,
            open: from_ist(date, hms(9, 15, 0)),
            close: from_ist(date, hms(15, 15, 0)),
            candle_s: 180,
            settings: Settings {
                mode: Mode::Paper,
                strategy,
                risk: RiskSettings::NO_ACCOUNT,
                schedule,
                product: Product::Mis,
            },
            signal,
            strike_step: Price::ZERO,
            histories: vec![history],
            contracts: Vec::new(),
            available: Money::ZERO,
            week_net: Money::ZERO,
            month_net: Money::ZERO,
            late: false,
            limits: Vec::new(),
        }
    }
}

/// What history says of an instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// Which instrument.
    pub instrument: InstrumentKey,
    /// The previous trading day's candle; levels come from it.
    pub previous: DayCandle,
    /// The last candles of the previous session, oldest first, for the
    /// percentile of sizes.
    pub candles: Vec<Candle>,
}
