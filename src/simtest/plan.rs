//! The day that a seed plays: instruments, yesterday, limits.

use chrono::{NaiveDate, NaiveTime, TimeDelta};

use super::dice::Dice;
use super::market::{Pace, premium};
use crate::engine::DayPlan;
use crate::engine::day::History;
use crate::engine::settings::{Mode, Ppm, RiskSettings, Schedule, Settings, StrategySettings};
use crate::engine::strategy::parameters::{self, ParameterError};
use crate::market::time::{from_ist, hms};
use crate::market::{
    Candle, DayCandle, Exchange, Instrument, InstrumentKey, InstrumentKind, Money, Price, Product,
    Timestamp,
};

/// Strikes on each side of the money.
const STRIKES: i64 = 6;
/// Strikes on each side that decide in `premium-pivot`.
const DECIDING_STRIKES: i64 = 1;
const STEP: i64 = 10_000;
const LOT: i64 = 20;
/// Candles of the day before.
const HISTORY: i32 = 24;

/// A day to be played.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) plan: DayPlan,
    pub(super) pace: Pace,
    pub(super) spot: i64,
}

/// Parameters under which a random walk is traded a few times a day.
const INDEX_PIVOT: [(&str, &str); 9] = [
    ("trade_on_wide", "true"),
    ("sig_percentile", "20"),
    ("min_body_ratio", "0.2"),
    ("max_risk_pct", "0.80"),
    ("min_rr_to_T1", "0.3"),
    ("min_history", "5"),
    ("cooldown_candles", "0"),
    ("max_entries_per_level", "4"),
    ("time_stop_candles", "8"),
];
const PREMIUM_PIVOT: [(&str, &str); 5] = [
    ("strike_selection", "range"),
    ("candle_size_percentile", "20"),
    ("max_re_entries", "6"),
    ("max_candles_timeout", "6"),
    ("neutral_band_points", "1"),
];
const LEVEL_BREAKOUT: [(&str, &str); 1] = [("max_entries", "8")];

pub(super) fn date() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 23).unwrap_or_default()
}

pub(super) fn at(time: NaiveTime) -> Timestamp {
    from_ist(date(), time)
}

/// The day of a seed.
pub(super) fn stage(strategy: &str, dice: &mut Dice) -> Result<Stage, ParameterError> {
    let mut settings = parameters::defaults(strategy)?;
    let tuned: &[(&str, &str)] = match &settings {
        StrategySettings::IndexPivot(_) => &INDEX_PIVOT,
        StrategySettings::PremiumPivot(_) => &PREMIUM_PIVOT,
        StrategySettings::LevelBreakout(_) => &LEVEL_BREAKOUT,
    };
    for (key, value) in tuned {
        parameters::set(&mut settings, key, value)?;
    }
    Ok(match settings {
        StrategySettings::LevelBreakout(_) => share_day(settings, dice),
        StrategySettings::IndexPivot(_) | StrategySettings::PremiumPivot(_) => {
            index_day(settings, dice)
        }
    })
}

/// Limits wide enough for a busy day; now and then narrow ones.
pub(super) fn risk(dice: &mut Dice) -> RiskSettings {
    let narrow = dice.percent(15);
    RiskSettings {
        capital: Money::from_rupees(500_000),
        max_daily_loss: Money::from_rupees(if narrow { 2_500 } else { 30_000 }),
        max_weekly_loss: Money::from_rupees(60_000),
        max_monthly_loss: Money::from_rupees(90_000),
        max_trades: 8,
        max_consecutive_losses: 8,
        trade_risk_budget: Money::from_rupees(40_000),
        max_premium: Money::from_rupees(60_000),
        max_lots: u32::try_from(dice.between(1, 3)).unwrap_or(1),
        min_edge_multiple: 0,
        catastrophe: Ppm(if dice.percent(30) { 80_000 } else { 300_000 }),
        catastrophe_gap: Ppm(100_000),
        protect_within_s: 5,
        entry_slip: Ppm(5_000),
        entry_cap: Ppm(30_000),
        entry_ttl_s: 10,
        signal_ttl_s: 15,
        exit_ladder: [5_000, 20_000, 50_000, 100_000, 200_000].map(Ppm).to_vec(),
        exit_step_s: 3,
        max_spread_pct: Ppm(30_000),
        max_spread: Price::from_rupees(12),
        min_depth_multiple: 1,
        min_open_interest: 0,
        min_premium: Price::from_rupees(5),
        max_premium_price: Price::from_rupees(3_000),
        index_stale_s: 10,
        option_stale_s: 15,
        blind_s: 60,
        delta_atm: Ppm(500_000),
        delta_itm: Ppm(600_000),
        min_dte: 1,
        freeze_quantity: 1_000,
        max_order_messages: 5_000,
        require_arm: false,
        drawdown: None,
        events: Vec::new(),
        max_order_to_trade: None,
    }
}

/// A session before this one, in paise.
struct Yesterday {
    open: i64,
    high: i64,
    low: i64,
    close: i64,
}

impl Yesterday {
    fn draw(base: i64, range_ppm: (i64, i64), dice: &mut Dice) -> Yesterday {
        let range = base / 1_000 * dice.between(range_ppm.0, range_ppm.1) / 1_000;
        let low = base - range * dice.between(10, 90) / 100;
        let at = |share: i64| low + range * share / 100;
        let close = dice.pick(&[12, 25, 50, 75, 88], 50);
        Yesterday { open: at(dice.between(20, 80)), high: low + range, low, close: at(close) }
    }

    fn candle(&self, price: impl Fn(i64) -> i64) -> DayCandle {
        let all = [self.open, self.high, self.low, self.close].map(&price);
        let of = Price::from_paise;
        DayCandle {
            date: date() - TimeDelta::days(3),
            open: of(all[0]),
            high: of(all.into_iter().max().unwrap_or_default()),
            low: of(all.into_iter().min().unwrap_or_default()),
            close: of(all[3]),
        }
    }

    fn history(&self, key: &InstrumentKey, price: impl Fn(i64) -> i64) -> History {
        let start = from_ist(date() - TimeDelta::days(3), hms(14, 0, 0));
        let candles = (0..HISTORY)
            .map(|index| {
                let sway = self.close / 8_000 * i64::from(index % 5 - 2);
                let (open, close) = (price(self.close), price(self.close + sway));
                let of = Price::from_paise;
                Candle {
                    start: start + TimeDelta::minutes(3) * index,
                    open: of(open),
                    high: of(open.max(close) + 5),
                    low: of(open.min(close) - 5),
                    close: of(close),
                    volume: 0,
                }
            })
            .collect();
        History { instrument: key.clone(), previous: self.candle(&price), candles }
    }
}

fn schedule(first: NaiveTime, flatten: NaiveTime) -> Schedule {
    let later = |minutes: i64| flatten + TimeDelta::minutes(minutes);
    Schedule {
        first_entry: first,
        last_entry: hms(14, 30, 0),
        flatten_start: flatten,
        hard_flat: later(5),
        broker_square_off: later(15),
        day_close: hms(15, 45, 0),
    }
}

fn index_day(settings: StrategySettings, dice: &mut Dice) -> Stage {
    let base = dice.between(78_000, 84_000) * 100;
    let yesterday = Yesterday::draw(base, (5_000, 9_000), dice);
    let spot = yesterday.close + base / 1_000 * dice.between(-2, 2);
    let pace = Pace {
        noise: 330,
        drift: 45,
        leap: (60, base / 300),
        premium: dice.between(200, 420) * 100,
    };
    let at_money = (spot + STEP / 2) / STEP * STEP;
    let expiry = date() + TimeDelta::days(3);
    let contracts: Vec<Instrument> = (-STRIKES..=STRIKES)
        .flat_map(|away| {
            let strike = at_money + away * STEP;
            [InstrumentKind::Call, InstrumentKind::Put].map(|kind| {
                let word = kind.option_type().unwrap_or_default();
                let symbol = format!("SENSEX26NOV{}{word}", strike / 100);
                Instrument {
                    key: InstrumentKey::new(Exchange::Bfo, symbol),
                    token: 1,
                    name: "SENSEX".into(),
                    kind,
                    expiry: Some(expiry),
                    strike: Price::from_paise(strike),
                    tick: Price::from_paise(5),
                    lot: LOT,
                }
            })
        })
        .collect();
    let signal = Instrument {
        key: InstrumentKey::new(Exchange::Bse, "SENSEX"),
        token: 2,
        name: "SENSEX".into(),
        kind: InstrumentKind::Index,
        expiry: None,
        strike: Price::ZERO,
        tick: Price::ZERO,
        lot: 0,
    };
    let mut histories = vec![yesterday.history(&signal.key, |spot| spot)];
    let is_premium = matches!(settings, StrategySettings::PremiumPivot(_));
    for option in contracts.iter().filter(|_| is_premium) {
        let strike = option.strike.paise();
        if (strike - at_money).abs() <= DECIDING_STRIKES * STEP {
            let price = |spot| premium(spot, strike, option.kind, pace.premium) / 5 * 5;
            histories.push(yesterday.history(&option.key, price));
        }
    }
    let first = if is_premium { hms(9, 18, 0) } else { hms(9, 33, 0) };
    let schedule = schedule(first, hms(15, 10, 0));
    let plan = plan(settings, risk(dice), schedule, signal, contracts, histories);
    Stage { plan: DayPlan { strike_step: Price::from_paise(STEP), ..plan }, pace, spot }
}

fn share_day(settings: StrategySettings, dice: &mut Dice) -> Stage {
    let base = dice.between(800, 2_400) * 100;
    let yesterday = Yesterday::draw(base, (8_000, 14_000), dice);
    let spot = yesterday.close / 5 * 5;
    let pace =
        Pace { noise: base / 9_000, drift: base / 70_000 + 1, leap: (60, base / 80), premium: 0 };
    let signal = Instrument {
        key: InstrumentKey::new(Exchange::Nse, "RELIANCE"),
        token: 2,
        name: "RELIANCE".into(),
        kind: InstrumentKind::Equity,
        expiry: None,
        strike: Price::ZERO,
        tick: Price::from_paise(5),
        lot: 1,
    };
    let other = Instrument {
        key: InstrumentKey::new(Exchange::Nse, "INFY"),
        token: 3,
        name: "INFY".into(),
        ..signal.clone()
    };
    let histories = vec![yesterday.history(&signal.key, |spot| spot / 5 * 5)];
    let risk = RiskSettings {
        max_spread: Price::from_rupees(100_000),
        freeze_quantity: 100_000,
        max_premium: Money::from_rupees(40_000),
        trade_risk_budget: Money::from_rupees(8_000),
        min_premium: Price::ZERO,
        max_premium_price: Price::from_rupees(1_000_000),
        delta_atm: Ppm(Ppm::WHOLE),
        delta_itm: Ppm(Ppm::WHOLE),
        min_dte: 0,
        ..risk(dice)
    };
    let schedule = schedule(hms(9, 18, 0), hms(15, 0, 0));
    let contracts = vec![signal.clone(), other];
    Stage { plan: plan(settings, risk, schedule, signal, contracts, histories), pace, spot }
}

fn plan(
    strategy: StrategySettings,
    risk: RiskSettings,
    schedule: Schedule,
    signal: Instrument,
    contracts: Vec<Instrument>,
    histories: Vec<History>,
) -> DayPlan {
    DayPlan {
        date: date(),
        open: at(hms(9, 15, 0)),
        close: at(hms(15, 15, 0)),
        candle_s: 180,
        settings: Settings { mode: Mode::Live, strategy, risk, schedule, product: Product::Mis },
        signal,
        strike_step: Price::ZERO,
        histories,
        contracts,
        available: Money::from_rupees(500_000),
        week_net: Money::ZERO,
        month_net: Money::ZERO,
        late: false,
        limits: Vec::new(),
    }
}
