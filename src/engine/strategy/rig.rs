//! Days, candles and a feed for tests of strategies.

use chrono::{NaiveDate, NaiveTime, TimeDelta};

use super::{CandleInput, ClosedTrade, Judgement, Signal, Strategy, build};
use crate::engine::day::{DayPlan, History};
use crate::engine::ledger::{ExitReason, Verdict};
use crate::engine::settings::{Schedule, StrategySettings};
use crate::market::time::from_ist;
use crate::market::{
    Candle, DayCandle, Exchange, Instrument, InstrumentKey, InstrumentKind, Price, Timestamp,
};

pub(super) fn date() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 23).unwrap()
}

pub(super) fn at(text: &str) -> Timestamp {
    let form = if text.len() > 5 { "%H:%M:%S" } else { "%H:%M" };
    from_ist(date(), NaiveTime::parse_from_str(text, form).unwrap())
}

pub(super) fn p(text: &str) -> Price {
    text.parse().unwrap()
}

pub(super) fn index() -> InstrumentKey {
    InstrumentKey::new(Exchange::Bse, "SENSEX")
}

pub(super) fn candle(start: &str, prices: [&str; 4]) -> Candle {
    let [open, high, low, close] = prices.map(p);
    Candle { start: at(start), open, high, low, close, volume: 0 }
}

pub(super) fn previous(high: &str, low: &str, close: &str) -> DayCandle {
    let (high, low, close) = (p(high), p(low), p(close));
    DayCandle { date: date().pred_opt().unwrap(), open: close, high, low, close }
}

/// Twenty candles with bodies from 0.008 to 0.046 %: the 75th percentile of
/// a usual session.
pub(super) fn history() -> Vec<Candle> {
    const BODIES: [i64; 20] =
        [12, 31, 8, 44, 19, 27, 36, 15, 22, 41, 10, 33, 25, 17, 38, 29, 13, 46, 20, 35];
    let open = p("100000");
    let close = |thousandths: i64| open + Price::from_paise(thousandths * 100);
    BODIES
        .map(|body| Candle {
            start: at("09:15") - TimeDelta::days(1),
            open,
            high: close(body),
            low: open,
            close: close(body),
            volume: 0,
        })
        .to_vec()
}

pub(super) fn option(symbol: &str, kind: InstrumentKind, strike: i64) -> Instrument {
    Instrument {
        key: InstrumentKey::new(Exchange::Bfo, symbol),
        token: 1,
        name: "SENSEX".into(),
        kind,
        expiry: NaiveDate::from_ymd_opt(2026, 11, 26),
        strike: Price::from_rupees(strike),
        tick: Price::from_paise(5),
        lot: 20,
    }
}

pub(super) fn plan(strategy: StrategySettings, previous: DayCandle) -> DayPlan {
    let history = History { instrument: index(), previous, candles: history() };
    let day = DayPlan::of_index(date(), strategy, Schedule::USUAL, history);
    DayPlan { strike_step: Price::from_rupees(100), ..day }
}

/// Feeds candles to a strategy and keeps the account that its limits look at.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) strategy: Box<dyn Strategy>,
    pub(super) instrument: InstrumentKey,
    pub(super) spot: Option<Price>,
    pub(super) entries: u32,
    pub(super) losses: u32,
    held: Option<Signal>,
}

impl Feed {
    pub(super) fn new(plan: &DayPlan) -> Feed {
        let strategy = build(plan).unwrap();
        let instrument = plan.signal.key.clone();
        Feed { strategy, instrument, spot: None, entries: 0, losses: 0, held: None }
    }

    pub(super) fn take(&mut self, candle: &Candle, sound: bool) -> Judgement {
        let judgement = self.strategy.on_candle(CandleInput {
            instrument: &self.instrument,
            candle,
            at: candle.start + TimeDelta::seconds(180),
            sound,
            spot: self.spot.unwrap_or(candle.close),
            flat: self.held.is_none(),
            entries_today: self.entries,
            consecutive_losses: self.losses,
            max_trades: 3,
            max_consecutive_losses: 2,
        });
        let enters = judgement.decision.verdict == Verdict::Enter;
        assert_eq!(enters, judgement.signal.is_some(), "{judgement:?}");
        if let Some(signal) = &judgement.signal {
            self.held = Some(signal.clone());
            self.entries += 1;
        }
        judgement
    }

    /// Takes a candle; what was decided, as `REASON` or `REASON LEVEL`.
    pub(super) fn say(&mut self, start: &str, prices: [&str; 4]) -> String {
        shown(&self.take(&candle(start, prices), true))
    }

    /// Takes candles and returns what was decided of the last.
    pub(super) fn say_all(&mut self, candles: &[(&str, [&str; 4])]) -> String {
        let mut last = String::new();
        for (start, prices) in candles {
            last = self.say(start, *prices);
        }
        last
    }

    /// The last signal that is held.
    pub(super) fn held(&self) -> &Signal {
        self.held.as_ref().expect("a position")
    }

    /// Closes the position.
    pub(super) fn close(&mut self, at: Timestamp, reason: ExitReason, loses: bool) {
        let signal = self.held.take().expect("a position");
        self.losses = if loses { self.losses + 1 } else { 0 };
        self.strategy.on_closed(ClosedTrade {
            setup: &signal.setup,
            instrument: &signal.instrument,
            direction: signal.direction,
            reason,
            at,
        });
    }

    /// The entry came to nothing.
    pub(super) fn miss(&mut self) {
        let signal = self.held.take().expect("a position");
        self.entries -= 1;
        self.strategy.on_missed(&signal.setup, signal.direction);
    }
}

pub(super) fn shown(judgement: &Judgement) -> String {
    let decision = &judgement.decision;
    match &decision.level {
        Some(level) => format!("{} {level}", decision.reason),
        None => decision.reason.clone(),
    }
}
