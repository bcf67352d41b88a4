//! The engine's settings in the form of [`super::wire`].

use serde_json::Value;

use super::wire::{Malformed, Wire, wire_enum, wire_struct, wire_words};
use crate::engine::settings::{
    Drawdown, EntryMode, EventWindow, ExitCheck, IndexPivotSettings, LevelBreakoutSettings, Ppm,
    PremiumPivotSettings, RiskSettings, Schedule, Settings, StrategySettings, StrikeSelection,
};
use crate::market::pivots::Family;

impl Wire for Ppm {
    fn write(&self) -> Value {
        self.0.write()
    }
    fn read(value: &Value) -> Result<Ppm, Malformed> {
        Wire::read(value).map(Ppm)
    }
    #[cfg(test)]
    fn sample(draw: &mut super::wire::sample::Draw) -> Ppm {
        Ppm(Wire::sample(draw))
    }
}

wire_words!(Family, "a family of levels", Family::ALL);
wire_enum!(EntryMode { BreakoutClose, BreakoutRetest });
wire_enum!(StrikeSelection { Itm, Range });
wire_enum!(ExitCheck { Tick, Candle });
wire_struct!(Settings { mode, strategy, risk, schedule, product });
wire_struct!(Schedule {
    first_entry,
    last_entry,
    flatten_start,
    hard_flat,
    broker_square_off,
    day_close
});
wire_enum!(StrategySettings {
    IndexPivot(settings),
    PremiumPivot(settings),
    LevelBreakout(settings),
});
wire_struct!(IndexPivotSettings {
    family,
    cpr_narrow,
    cpr_wide,
    trade_on_wide,
    or_minutes,
    buffer,
    min_body_ratio,
    sig_percentile,
    lookback,
    min_history,
    min_risk,
    max_risk,
    min_rr,
    gap_extreme,
    entry_mode,
    bounce,
    time_stop_candles,
    cooldown_candles,
    max_entries_per_level
});
wire_struct!(PremiumPivotSettings {
    neutral_band,
    neutral_band_pct,
    strike_range,
    strike_selection,
    candle_size_percentile,
    candle_window,
    min_reward,
    max_candles_timeout,
    max_re_entries,
    exit_check
});
wire_struct!(LevelBreakoutSettings { level_tick, max_entries, last_signal, square_off });
wire_struct!(RiskSettings {
    capital,
    max_daily_loss,
    max_weekly_loss,
    max_monthly_loss,
    max_trades,
    max_consecutive_losses,
    trade_risk_budget,
    max_premium,
    max_lots,
    min_edge_multiple,
    catastrophe,
    catastrophe_gap,
    protect_within_s,
    entry_slip,
    entry_cap,
    entry_ttl_s,
    signal_ttl_s,
    exit_ladder,
    exit_step_s,
    max_spread_pct,
    max_spread,
    min_depth_multiple,
    min_open_interest,
    min_premium,
    max_premium_price,
    index_stale_s,
    option_stale_s,
    blind_s,
    delta_atm,
    delta_itm,
    min_dte,
    freeze_quantity,
    max_order_messages,
    require_arm,
    drawdown,
    events,
    max_order_to_trade
});
wire_struct!(Drawdown { from, give_back });
wire_struct!(EventWindow { date, from, to, flatten });
