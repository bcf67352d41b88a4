//! What the engine is told at the start of a day: limits and parameters,
//! resolved and checked. [`crate::config`] makes them.

use chrono::NaiveTime;

use crate::market::time::hms;
use crate::market::{Money, Price, Product, Quantity};

/// Which world the orders go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Simulated exchange, scaled clock.
    Demo,
    /// Real prices, simulated fills.
    Paper,
    /// Real orders.
    Live,
}

impl Mode {
    /// `demo`, `paper`, `live`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Demo => "demo",
            Mode::Paper => "paper",
            Mode::Live => "live",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Mode> {
        match text {
            "demo" => Some(Mode::Demo),
            "paper" => Some(Mode::Paper),
            "live" => Some(Mode::Live),
            _ => None,
        }
    }
}

/// A share of something in millionths: 0.02 % is `Ppm(200)`. Exact where a
/// float would not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ppm(pub i64);

impl Ppm {
    /// The parts of a whole.
    pub const WHOLE: i64 = 1_000_000;

    /// From hundredths of a percent.
    pub const fn from_bp(bp: i64) -> Ppm {
        Ppm(bp * 100)
    }
}

/// All that the engine needs to know besides the day's facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which world the orders go to.
    pub mode: Mode,
    /// Which strategy decides.
    pub strategy: StrategySettings,
    /// Limits and order rules.
    pub risk: RiskSettings,
    /// Times of our own schedule, in IST.
    pub schedule: Schedule,
    /// How positions are carried; MIS unless configured otherwise.
    pub product: Product,
}

/// Times of day of our own schedule, in IST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// First instant of an entry signal (09:33 for index-pivot).
    pub first_entry: NaiveTime,
    /// Last instant of an entry signal (14:45).
    pub last_entry: NaiveTime,
    /// Flattening begins (15:10; shares 15:00).
    pub flatten_start: NaiveTime,
    /// Everything must be flat (15:15).
    pub hard_flat: NaiveTime,
    /// When the broker squares off intraday positions itself (15:25
    /// derivatives, 15:10 shares). Our exits stop one minute earlier.
    pub broker_square_off: NaiveTime,
    /// The day is closed and summed up (15:45 at the latest).
    pub day_close: NaiveTime,
}

impl Schedule {
    /// The usual day of an index with options, as nothing configured it.
    pub const USUAL: Schedule = Schedule {
        first_entry: hms(9, 33, 0),
        last_entry: hms(14, 45, 0),
        flatten_start: hms(15, 10, 0),
        hard_flat: hms(15, 15, 0),
        broker_square_off: hms(15, 25, 0),
        day_close: hms(15, 45, 0),
    };
}

/// Parameters of the chosen strategy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StrategySettings {
    /// Index pivots, options bought.
    IndexPivot(IndexPivotSettings),
    /// Premium pivots, options bought.
    PremiumPivot(PremiumPivotSettings),
    /// Level breakout on one instrument, both ways.
    LevelBreakout(LevelBreakoutSettings),
}

impl StrategySettings {
    /// The name in `trading.strategy`.
    pub const fn name(&self) -> &'static str {
        match self {
            StrategySettings::IndexPivot(_) => "index-pivot",
            StrategySettings::PremiumPivot(_) => "premium-pivot",
            StrategySettings::LevelBreakout(_) => "level-breakout",
        }
    }
}

/// Parameters of `index-pivot`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexPivotSettings {
    /// Family of levels.
    pub family: crate::market::pivots::Family,
    /// CPR narrower than this share of P is NARROW (0.10 %).
    pub cpr_narrow: Ppm,
    /// CPR wider than this share of P is WIDE (0.25 %).
    pub cpr_wide: Ppm,
    /// Trade on WIDE days too.
    pub trade_on_wide: bool,
    /// Minutes of the opening range (15).
    pub or_minutes: u32,
    /// A close must pass a level by this share (0.02 %).
    pub buffer: Ppm,
    /// Smallest body / range (0.50).
    pub min_body_ratio: Ppm,
    /// Percentile of body sizes that counts as significant (75).
    pub sig_percentile: u32,
    /// Candles the percentile looks back on (20).
    pub lookback: usize,
    /// Fewest candles for a percentile (10).
    pub min_history: usize,
    /// Smallest risk as a share of the close (0.05 %).
    pub min_risk: Ppm,
    /// Largest risk as a share of the close (0.30 %).
    pub max_risk: Ppm,
    /// Smallest reward to the first target over risk (1.0).
    pub min_rr: Ppm,
    /// A gap of this share or more ends the day (1.5 %).
    pub gap_extreme: Ppm,
    /// How a level is entered.
    pub entry_mode: EntryMode,
    /// On WIDE days, enter where price bounces off the first two levels too.
    pub bounce: bool,
    /// Candles after which a trade that reached nothing is closed (10).
    pub time_stop_candles: u32,
    /// Candles without entries after an exit (2).
    pub cooldown_candles: u32,
    /// Entries for each side and level in a day (2).
    pub max_entries_per_level: u32,
}

/// How `index-pivot` enters at a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryMode {
    /// At the close of the candle that breaks out.
    BreakoutClose,
    /// At the close of a candle that comes back to the level and holds.
    BreakoutRetest,
}

/// Parameters of `premium-pivot`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PremiumPivotSettings {
    /// Structure within this distance is NEUTRAL (₹5.00).
    pub neutral_band: Price,
    /// As a share of PP instead, when set.
    pub neutral_band_pct: Option<Ppm>,
    /// Strikes on each side of the money that are watched, in points.
    pub strike_range: Price,
    /// Which contracts may be bought.
    pub strike_selection: StrikeSelection,
    /// Percentile of candle sizes that counts as significant (75).
    pub candle_size_percentile: u32,
    /// Candles the percentile looks back on (20).
    pub candle_window: usize,
    /// Target must be above the close by at least this (₹1.00).
    pub min_reward: Price,
    /// Candles after which a first-candle entry is closed (10).
    pub max_candles_timeout: u32,
    /// Stop-losses after which no further entry is made, less one (1).
    pub max_re_entries: u32,
    /// Whether stop and target act on ticks or at candle closes.
    pub exit_check: ExitCheck,
}

/// Which contracts `premium-pivot` may buy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrikeSelection {
    /// One step in the money, two on expiry day.
    Itm,
    /// Every contract of the range.
    Range,
}

/// When stop and target are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCheck {
    /// On every tick.
    Tick,
    /// At candle closes.
    Candle,
}

/// Parameters of `level-breakout`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelBreakoutSettings {
    /// Levels are rounded to this (₹0.05).
    pub level_tick: Price,
    /// Entries a day (3).
    pub max_entries: u32,
    /// Last candle close that may signal (14:45).
    pub last_signal: NaiveTime,
    /// Square-off time (15:15 in a backtest).
    pub square_off: NaiveTime,
}

/// Limits of the account and the rules of its orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RiskSettings {
    /// Account size that shares refer to.
    pub capital: Money,
    /// Largest loss of a day, realised and unrealised, after charges.
    pub max_daily_loss: Money,
    /// Largest loss of a week (Monday on).
    pub max_weekly_loss: Money,
    /// Largest loss of a month.
    pub max_monthly_loss: Money,
    /// Entries with a fill in a day.
    pub max_trades: u32,
    /// Losing trades in a row.
    pub max_consecutive_losses: u32,
    /// Most that one trade may be expected to lose.
    pub trade_risk_budget: Money,
    /// Most premium in one trade.
    pub max_premium: Money,
    /// Lots of one entry.
    pub max_lots: u32,
    /// Reward to the first target over estimated charges (3).
    pub min_edge_multiple: u32,
    /// Stop resting at the exchange: share of premium given up (30 %).
    pub catastrophe: Ppm,
    /// Its limit below its trigger (10 %).
    pub catastrophe_gap: Ppm,
    /// Seconds until a protective stop must be confirmed (5).
    pub protect_within_s: u32,
    /// Entry price above the ask at most (0.5 %).
    pub entry_slip: Ppm,
    /// Entry price above the last trade at most (3 %).
    pub entry_cap: Ppm,
    /// Seconds an entry order may work (10).
    pub entry_ttl_s: u32,
    /// Seconds after a signal in which an entry may be sent (15).
    pub signal_ttl_s: u32,
    /// Exit prices: share below the bid, attempt by attempt.
    pub exit_ladder: Vec<Ppm>,
    /// Seconds for each attempt (3).
    pub exit_step_s: u32,
    /// Widest spread as a share of the middle (1.5 %).
    pub max_spread_pct: Ppm,
    /// Widest spread in rupees (₹6 SENSEX, ₹2 NIFTY).
    pub max_spread: Price,
    /// Asks in the top five, in multiples of the order (5).
    pub min_depth_multiple: u32,
    /// Smallest open interest, in units (10,000; 0 switches it off).
    pub min_open_interest: Quantity,
    /// Cheapest premium bought (₹40 SENSEX, ₹20 NIFTY).
    pub min_premium: Price,
    /// Dearest premium bought (₹1,500 SENSEX, ₹600 NIFTY).
    pub max_premium_price: Price,
    /// Seconds without an index tick that stop entries (10).
    pub index_stale_s: u32,
    /// Seconds without a change of the option's quote that stop an entry (15).
    pub option_stale_s: u32,
    /// Seconds without any trustworthy price that flatten a position (60).
    pub blind_s: u32,
    /// Delta assumed at the money (0.5) and one step in (0.6).
    pub delta_atm: Ppm,
    /// See [`RiskSettings::delta_atm`].
    pub delta_itm: Ppm,
    /// Days to expiry at least (1).
    pub min_dte: u32,
    /// Units of one order at most at the exchange (freeze quantity).
    pub freeze_quantity: Quantity,
    /// Orders (placed, changed, cancelled) of a day at most (200).
    pub max_order_messages: u32,
    /// In live mode an operator must arm each day.
    pub require_arm: bool,
    /// Stops the day when too much of its gain was given back.
    pub drawdown: Option<Drawdown>,
    /// Windows without entries, as people listed them.
    pub events: Vec<EventWindow>,
    /// Order messages for each order that was filled, at most (20).
    pub max_order_to_trade: Option<u32>,
}

/// When a fall from the day's highest net ends the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawdown {
    /// Highest net from which on the fall counts (₹3,000).
    pub from: Money,
    /// Share of it that may be given back (50 %).
    pub give_back: Ppm,
}

/// A window of a day in which nothing is entered: a budget, a decision on
/// interest rates, the result of an election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventWindow {
    /// Which day.
    pub date: chrono::NaiveDate,
    /// Its beginning, in IST.
    pub from: NaiveTime,
    /// Its end, in IST.
    pub to: NaiveTime,
    /// True when what is held is closed at its beginning.
    pub flatten: bool,
}

impl RiskSettings {
    /// Limits that allow no order at all: for candles that are judged without
    /// an account.
    pub const NO_ACCOUNT: RiskSettings = RiskSettings {
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
        drawdown: None,
        events: Vec::new(),
        max_order_to_trade: None,
    };
}

/// Limits that can be changed while running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// Lots of one entry.
    Lots,
    /// Entries of one day.
    Trades,
    /// Re-entries after a stop.
    ReEntries,
    /// Loss of one day, in paise.
    DailyLoss,
}
