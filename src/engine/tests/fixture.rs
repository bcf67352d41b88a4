//! A day, its chain, its signals, its quotes.

use std::sync::{Arc, Mutex};

use chrono::{NaiveDate, NaiveTime};

use crate::engine::DayPlan;
use crate::engine::ledger::{Decision, Direction, Verdict};
use crate::engine::settings::{
    LevelBreakoutSettings, Mode, Ppm, RiskSettings, Schedule, Settings, StrategySettings,
};
use crate::engine::strategy::{
    CandleInput, ClosedTrade, Judgement, Outlook, Signal, Strategy, Vehicle,
};
use crate::market::time::{from_ist, hms};
use crate::market::{
    BookLevel, Candle, Exchange, Instrument, InstrumentKey, InstrumentKind, Money, Price, Product,
    Quote, Timestamp,
};

pub(super) fn date() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 23).unwrap()
}

pub(super) fn p(text: &str) -> Price {
    text.parse().unwrap()
}

pub(super) fn m(text: &str) -> Money {
    text.parse().unwrap()
}

pub(super) fn clock(text: &str) -> Timestamp {
    let format = if text.len() > 5 { "%H:%M:%S%.f" } else { "%H:%M" };
    from_ist(date(), NaiveTime::parse_from_str(text, format).unwrap())
}

pub(super) fn index() -> InstrumentKey {
    InstrumentKey::new(Exchange::Bse, "SENSEX")
}

pub(super) fn option(symbol: &str) -> InstrumentKey {
    InstrumentKey::new(Exchange::Bfo, symbol)
}

/// An underlying with its chain.
#[derive(Debug, Clone, Copy)]
pub(super) enum Market {
    Sensex,
    Nifty,
}

pub(super) fn risk() -> RiskSettings {
    RiskSettings {
        capital: Money::from_rupees(200_000),
        max_daily_loss: Money::from_rupees(5_000),
        max_weekly_loss: Money::from_rupees(10_000),
        max_monthly_loss: Money::from_rupees(20_000),
        max_trades: 3,
        max_consecutive_losses: 2,
        trade_risk_budget: Money::from_rupees(2_000),
        max_premium: Money::from_rupees(20_000),
        max_lots: 1,
        min_edge_multiple: 3,
        catastrophe: Ppm(300_000),
        catastrophe_gap: Ppm(100_000),
        protect_within_s: 5,
        entry_slip: Ppm(5_000),
        entry_cap: Ppm(30_000),
        entry_ttl_s: 10,
        signal_ttl_s: 15,
        exit_ladder: [5_000, 20_000, 50_000, 100_000, 200_000].map(Ppm).to_vec(),
        exit_step_s: 3,
        max_spread_pct: Ppm(15_000),
        max_spread: Price::from_rupees(6),
        min_depth_multiple: 5,
        min_open_interest: 10_000,
        min_premium: Price::from_rupees(20),
        max_premium_price: Price::from_rupees(1_500),
        index_stale_s: 10,
        option_stale_s: 15,
        blind_s: 60,
        delta_atm: Ppm(500_000),
        delta_itm: Ppm(600_000),
        min_dte: 1,
        freeze_quantity: 1_000,
        max_order_messages: 200,
        require_arm: false,
        drawdown: None,
        events: Vec::new(),
        max_order_to_trade: Some(20),
    }
}

pub(super) fn plan(market: Market) -> DayPlan {
    let (signal, exchange, name, step, lot, strikes, expiry) = match market {
        Market::Sensex => (index(), Exchange::Bfo, "SENSEX", 100, 20, 79_000..83_000, 26),
        Market::Nifty => {
            let key = InstrumentKey::new(Exchange::Nse, "NIFTY 50");
            (key, Exchange::Nfo, "NIFTY", 50, 65, 24_000..26_000, 30)
        }
    };
    let expiry = NaiveDate::from_ymd_opt(2026, 11, expiry);
    let row = |kind: InstrumentKind, strike: i64| Instrument {
        key: InstrumentKey::new(
            exchange,
            format!("{name}26NOV{strike}{}", kind.option_type().unwrap()),
        ),
        token: 1,
        name: name.into(),
        kind,
        expiry,
        strike: Price::from_rupees(strike),
        tick: Price::from_paise(5),
        lot,
    };
    let contracts = strikes
        .step_by(step)
        .flat_map(|strike| [row(InstrumentKind::Call, strike), row(InstrumentKind::Put, strike)])
        .collect();
    DayPlan {
        date: date(),
        open: clock("09:15"),
        close: clock("15:15"),
        candle_s: 180,
        settings: Settings {
            mode: Mode::Paper,
            strategy: StrategySettings::LevelBreakout(LevelBreakoutSettings {
                level_tick: Price::from_paise(5),
                max_entries: 3,
                last_signal: hms(14, 45, 0),
                square_off: hms(15, 15, 0),
            }),
            risk: risk(),
            schedule: Schedule::USUAL,
            product: Product::Mis,
        },
        signal: Instrument {
            key: signal,
            token: 2,
            name: name.into(),
            kind: InstrumentKind::Index,
            expiry: None,
            strike: Price::ZERO,
            tick: Price::ZERO,
            lot: 0,
        },
        strike_step: Price::from_rupees(i64::try_from(step).unwrap()),
        histories: Vec::new(),
        contracts,
        available: Money::from_rupees(200_000),
        week_net: Money::ZERO,
        month_net: Money::ZERO,
        late: false,
        limits: Vec::new(),
    }
}

/// A strategy that asks for the entries it was given, by candle start.
#[derive(Debug)]
pub(super) struct Scripted {
    pub(super) signals: Vec<Signal>,
    pub(super) told: Arc<Mutex<Vec<String>>>,
}

impl Strategy for Scripted {
    fn on_candle(&mut self, input: CandleInput<'_>) -> Judgement {
        let signal = self
            .signals
            .iter()
            .find(|signal| {
                signal.candle.start == input.candle.start && signal.instrument == *input.instrument
            })
            .cloned();
        let decision = Decision {
            instrument: input.instrument.clone(),
            candle: *input.candle,
            at: input.at,
            verdict: if signal.is_some() { Verdict::Enter } else { Verdict::Quiet },
            reason: if signal.is_some() { "ENTER" } else { "NO_CROSS" }.into(),
            direction: signal.as_ref().map(|signal| signal.direction),
            level: signal.as_ref().map(|signal| signal.setup.clone()),
            numbers: Vec::new(),
        };
        Judgement { decision, signal }
    }

    fn on_missed(&mut self, setup: &str, direction: Direction) {
        self.told.lock().unwrap().push(format!("missed {setup} {}", direction.as_str()));
    }

    fn on_closed(&mut self, closed: ClosedTrade<'_>) {
        self.told.lock().unwrap().push(format!(
            "closed {} {}",
            closed.setup,
            closed.reason.as_str()
        ));
    }

    fn outlook(&self) -> Vec<Outlook> {
        Vec::new()
    }

    /// The call at the money, or one step below it.
    fn wants(&self, spot: Price) -> Vec<InstrumentKey> {
        vec![option(&format!("SENSEX26NOV{}CE", spot.paise() / 10_000 * 100))]
    }
}

pub(super) fn candle(start: &str, ohlc: [&str; 4]) -> Candle {
    let [open, high, low, close] = ohlc.map(p);
    Candle { start: clock(start), open, high, low, close, volume: 0 }
}

pub(super) fn signal(
    instrument: &InstrumentKey,
    direction: Direction,
    candle: Candle,
    stop: &str,
    targets: (&str, &str),
) -> Signal {
    Signal {
        instrument: instrument.clone(),
        direction,
        setup: "R1".into(),
        structure: "MODERATE".into(),
        candle,
        reference: candle.close,
        stop: p(stop),
        first_target: Some(p(targets.0)),
        target: p(targets.1),
        time_stop_candles: Some(10),
        on_ticks: true,
        vehicle: Vehicle::Option,
        first_candle: false,
        re_entry: false,
        levels: Vec::new(),
    }
}

pub(super) fn quote(
    key: &InstrumentKey,
    at: Timestamp,
    last: &str,
    book: Option<(&str, &str)>,
) -> Quote {
    let level = |price: &str| BookLevel { price: p(price), quantity: 5_000 };
    Quote {
        instrument: key.clone(),
        at,
        last: p(last),
        bid: book.map(|(bid, _)| level(bid)),
        ask: book.map(|(_, ask)| level(ask)),
        ask_depth: if book.is_some() { 25_000 } else { 0 },
        volume: 0,
        open_interest: if book.is_some() { 500_000 } else { 0 },
        reference: p(last),
    }
}
