//! A day plan for candles that come from a file: no account, no contracts.

use chrono::NaiveDate;

use crate::engine::day::{DayPlan, History};
use crate::engine::settings::{Mode, Ppm, RiskSettings, Schedule, Settings, StrategySettings};
use crate::market::time::{from_ist, hms};
use crate::market::{
    Candle, DayCandle, Exchange, Instrument, InstrumentKey, InstrumentKind, Money, Price, Product,
};

/// Width of the candles that strategies judge, in seconds.
pub(super) const CANDLE_S: u32 = 180;

/// The schedule of a day without configuration.
pub(super) const fn schedule() -> Schedule {
    Schedule {
        first_entry: hms(9, 33, 0),
        last_entry: hms(14, 45, 0),
        flatten_start: hms(15, 10, 0),
        hard_flat: hms(15, 15, 0),
        broker_square_off: hms(15, 25, 0),
        day_close: hms(15, 45, 0),
    }
}

/// The name under which the candles of a file are judged.
pub(super) fn file_instrument() -> InstrumentKey {
    InstrumentKey::new(Exchange::Bse, "INDEX")
}

/// Plans a day of an index for which only candles are known.
pub(super) fn plan(
    date: NaiveDate,
    strategy: StrategySettings,
    schedule: Schedule,
    previous: DayCandle,
    candles: Vec<Candle>,
) -> DayPlan {
    let key = file_instrument();
    let signal = Instrument {
        key: key.clone(),
        token: 0,
        name: key.symbol.clone(),
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
        candle_s: CANDLE_S,
        settings: Settings {
            mode: Mode::Demo,
            strategy,
            risk: risk(),
            schedule,
            product: Product::Mis,
        },
        signal,
        strike_step: Price::ZERO,
        histories: vec![History { instrument: key, previous, candles }],
        contracts: Vec::new(),
        carried: None,
        available: Money::ZERO,
        week_net: Money::ZERO,
        month_net: Money::ZERO,
        late: false,
    }
}

/// Limits of an account that no candle backtest has: nothing reads them.
const fn risk() -> RiskSettings {
    RiskSettings {
        capital: Money::ZERO,
        max_daily_loss: Money::ZERO,
        max_weekly_loss: Money::ZERO,
        max_monthly_loss: Money::ZERO,
        max_trades: 0,
        max_consecutive_losses: 0,
        trade_risk_budget: Money::ZERO,
        max_premium: Money::ZERO,
        max_lots: 0,
        min_edge_multiple: 0,
        catastrophe: Ppm(0),
        catastrophe_gap: Ppm(0),
        protect_within_s: 0,
        entry_slip: Ppm(0),
        entry_cap: Ppm(0),
        entry_ttl_s: 0,
        signal_ttl_s: 0,
        exit_ladder: Vec::new(),
        exit_step_s: 0,
        max_spread_pct: Ppm(0),
        max_spread: Price::ZERO,
        min_depth_multiple: 0,
        min_open_interest: 0,
        min_premium: Price::ZERO,
        max_premium_price: Price::ZERO,
        index_stale_s: 0,
        option_stale_s: 0,
        blind_s: 0,
        delta_atm: Ppm(0),
        delta_itm: Ppm(0),
        min_dte: 0,
        freeze_quantity: 0,
        max_order_messages: 0,
        require_arm: false,
    }
}
