//! The configuration file, as people write it.
//!
//! [`Config`] is what the file says, key by key; [`Config::settings`] resolves
//! it to what the engine is told. Unknown keys are refused, with the nearest
//! known one; all mistakes are reported together.
//!
//! Where values come from, later ones first: the environment
//! (`PIVOT_API_SECRET`, `PIVOT_TRADING_MODE`, …), a systemd credential of the
//! key's name, the file, the default. An empty time or a missing limit means
//! "as fits the instrument"; [`Config::settings`] knows what fits.

mod amount;
mod backup;
mod error;
#[cfg(test)]
mod hostile;
mod load;
mod logging;
mod parameters;
mod reminders;
mod schema;
mod settings;
#[cfg(test)]
mod tests;
mod text;
mod traded;
mod twice;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

pub use backup::{BackupConfig, BackupPlan};
pub use error::{ConfigError, Problem};
pub use logging::{LOG_COMPONENTS, LoggingConfig};
pub use parameters::misfits;
pub use reminders::{ReminderPlan, RemindersConfig, Renewal};
pub use schema::{Key, json_schema, keys};
pub use traded::{IndexFacts, Traded};

use crate::engine::Mode;

/// The whole file. Every field has a default but the credentials.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Kite Connect API key.
    pub api_key: String,
    /// Kite Connect API secret.
    #[schemars(with = "String")]
    #[serde(serialize_with = "masked")]
    pub api_secret: SecretString,
    /// Token of the Telegram bot.
    #[schemars(with = "String")]
    #[serde(serialize_with = "masked")]
    pub telegram_token: SecretString,
    /// The owner's chat: where notifications go.
    pub telegram_chat_id: i64,
    /// Login and web server.
    pub auth: AuthConfig,
    /// What is traded and how.
    pub trading: TradingConfig,
    /// Limits.
    pub risk_management: RiskConfig,
    /// How orders are priced, guarded and timed.
    pub orders: OrdersConfig,
    /// The trading day.
    pub market: MarketConfig,
    /// Files and folders.
    pub data: DataConfig,
    /// Kinds of messages: `on`, `silent`, `off`.
    pub notifications: BTreeMap<String, NotifyLevel>,
    /// Addresses of the broker.
    pub kite: KiteConfig,
    /// Telegram: address, operators, viewers.
    pub telegram: TelegramConfig,
    /// Logs.
    pub logging: LoggingConfig,
    /// Backups.
    pub backup: BackupConfig,
    /// Reminders of what is to be renewed.
    pub reminders: RemindersConfig,
    /// When something is told of machine and services.
    pub health: HealthConfig,
}

impl Config {
    /// Which world the orders go to.
    ///
    /// # Errors
    /// When `trading.mode` is not a mode.
    pub fn mode(&self) -> Result<Mode, ConfigError> {
        Mode::parse(&self.trading.mode).ok_or_else(|| {
            let text = &self.trading.mode;
            Problem::new("trading.mode", format!("expected demo, paper or live, was {text:?}"))
                .into()
        })
    }
}

/// A secret is shown as three stars, an absent one as nothing.
fn masked<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if secret.expose_secret().is_empty() { "" } else { "***" })
}

/// How a kind of message is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NotifyLevel {
    /// With sound.
    On,
    /// Without sound.
    Silent,
    /// Not at all.
    Off,
}

/// Login and web server.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Address to listen on.
    pub listen: String,
    /// The redirect URL registered with the broker.
    pub redirect_url: String,
    /// Trade after a login later than 09:00.
    pub allow_late_login: bool,
    /// Bearer secret for the API; empty closes what needs it.
    #[schemars(with = "String")]
    #[serde(serialize_with = "masked")]
    pub api_token: SecretString,
}

/// What is traded and how.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TradingConfig {
    /// `demo`, `paper` or `live`.
    pub mode: String,
    /// `index-pivot`, `premium-pivot` or `level-breakout`.
    pub strategy: String,
    /// Underlying or instrument: `SENSEX`, `NIFTY`, `NSE:RELIANCE`, …
    pub instrument: String,
    /// Pivot family.
    pub pivot_method: String,
    /// Lots of one entry at most.
    pub max_lots: u32,
    /// Live trading needs an operator's word each day.
    pub require_arm: bool,
    /// Strategies that trade live only when they are named here, and are
    /// (`premium-pivot`).
    pub allow_live: Vec<String>,
    /// Strategy parameters by name; see the reference page.
    pub parameters: serde_json::Map<String, serde_json::Value>,
}

/// Limits. Amounts in rupees, parts of something in percent.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RiskConfig {
    /// Account size that percentages refer to, in rupees.
    pub capital: f64,
    /// Largest loss of a day, in rupees.
    pub max_daily_loss: f64,
    /// Largest loss of a week, in rupees.
    pub max_weekly_loss: f64,
    /// Largest loss of a month, in rupees.
    pub max_monthly_loss: f64,
    /// Entries of a day.
    pub max_trades_per_day: u32,
    /// Losing trades in a row.
    pub max_consecutive_losses: u32,
    /// Most that one trade may be expected to lose, in percent of capital.
    pub risk_per_trade_pct: f64,
    /// Most premium in one trade, in rupees.
    pub max_premium: f64,
    /// Highest net of a day, in rupees, from which on a fall from it counts.
    pub drawdown_from: f64,
    /// Percent of that net that may be given back; not set: all of it.
    pub drawdown_give_back_pct: Option<f64>,
}

/// How orders are priced, guarded and timed. Parts of a price in percent,
/// amounts in rupees, times in seconds. What is absent is as fits the
/// instrument.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OrdersConfig {
    /// How positions are carried: `MIS`, `NRML` or `CNC`.
    pub product: String,
    /// Entry price above the ask at most, in percent.
    pub entry_slip_pct: f64,
    /// Entry price above the last trade at most, in percent.
    pub entry_cap_pct: f64,
    /// How long an entry order may work, in seconds.
    pub entry_ttl_s: u32,
    /// How old a signal may be when its entry is sent, in seconds.
    pub signal_ttl_s: u32,
    /// Exit prices below the bid, attempt by attempt, in percent.
    pub exit_ladder_pct: Vec<f64>,
    /// How long each exit price is tried, in seconds.
    pub exit_step_s: u32,
    /// The stop that rests at the exchange: percent of the premium given up.
    pub catastrophe_pct: f64,
    /// Its limit below its trigger, in percent.
    pub catastrophe_gap_pct: f64,
    /// How soon it must be confirmed, in seconds, or the position is closed.
    pub protect_within_s: u32,
    /// Reward to the first target over the estimated charges, at least.
    pub min_edge_multiple: u32,
    /// Widest spread, in percent of the middle.
    pub max_spread_pct: f64,
    /// Widest spread in rupees.
    pub max_spread: Option<f64>,
    /// Units offered in the top five, in multiples of the order.
    pub min_depth_multiple: u32,
    /// Smallest open interest in units; 0 switches the check off.
    pub min_open_interest: Option<u32>,
    /// Cheapest premium that is bought, in rupees a unit.
    pub min_premium: Option<f64>,
    /// Dearest premium that is bought, in rupees a unit.
    pub max_premium_price: Option<f64>,
    /// Silence of the index that stops entries, in seconds.
    pub index_stale_s: u32,
    /// Silence of the option's quote that stops an entry, in seconds.
    pub option_stale_s: u32,
    /// Time without any trustworthy price that closes a position, in seconds.
    pub blind_s: u32,
    /// Assumed change of an at-the-money option for each point of the index.
    pub delta_atm: Option<f64>,
    /// The same, one step in the money.
    pub delta_itm: Option<f64>,
    /// Days to expiry, at least.
    pub min_dte: Option<u32>,
    /// Units that the exchange takes in one order.
    pub freeze_quantity: Option<u32>,
    /// Order messages (placed, changed, cancelled) in a second.
    pub max_messages_per_second: u32,
    /// Order messages in a minute.
    pub max_messages_per_minute: u32,
    /// Order messages in a day.
    pub max_messages_per_day: u32,
    /// Order messages for each order that was filled.
    pub max_order_to_trade: u32,
}

/// The trading day.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MarketConfig {
    /// First entry: `HH:MM` or `HH:MM:SS`, IST, as all times here. Empty, as
    /// every one of the next four: as fits strategy and instrument.
    pub first_entry: String,
    /// Last entry.
    pub last_entry: String,
    /// Flattening begins.
    pub flatten_start: String,
    /// Flat by.
    pub hard_flat: String,
    /// The broker squares off.
    pub broker_square_off: String,
    /// Width of a candle in minutes.
    pub candle_minutes: u32,
    /// How long after its end a candle waits for its last ticks, in
    /// milliseconds.
    pub candle_grace_ms: u64,
    /// Days without trading beyond the built-in calendar: `YYYY-MM-DD`.
    pub extra_holidays: Vec<String>,
    /// Windows without entries: `YYYY-MM-DD`, `YYYY-MM-DD HH:MM-HH:MM`, each
    /// with `flatten` at its end to close what is held when it begins.
    pub events: Vec<String>,
}

/// Files and folders.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Folder of the database and of everything that must survive.
    pub dir: String,
    /// Folder of the log files.
    pub log_dir: String,
}

/// Addresses of the broker.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KiteConfig {
    /// REST API.
    pub base_url: String,
    /// Login page.
    pub login_url: String,
    /// Ticker.
    pub ticker_url: String,
    /// Seconds until a request is given up.
    pub timeout_s: u64,
}

/// Telegram.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TelegramConfig {
    /// Bot API server.
    pub api_url: String,
    /// User ids that may change things, besides the owner.
    pub operators: Vec<i64>,
    /// User ids that may read.
    pub viewers: Vec<i64>,
    /// Older commands that change something are not carried out.
    pub max_command_age_s: u64,
}

/// When something is told of machine and services. Shares in percent.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HealthConfig {
    /// Load of all processors, averaged over a minute, that is warned of.
    pub cpu_warning_pct: u32,
    /// The same, critical.
    pub cpu_critical_pct: u32,
    /// Memory in use that is warned of.
    pub memory_warning_pct: u32,
    /// The same, critical.
    pub memory_critical_pct: u32,
    /// Use of the disk with the data or the log folder that is warned of.
    pub disk_warning_pct: u32,
    /// The same, critical: old logs are deleted.
    pub disk_critical_pct: u32,
    /// Size of the database that is warned of, in megabytes.
    pub database_warning_mb: u32,
    /// Errors of one service in a minute that are never too many.
    pub errors_per_minute: u32,
    /// Warnings of one service in a minute that are never too many.
    pub warnings_per_minute: u32,
    /// Text that must not occur in a service's log.
    pub patterns: Vec<String>,
    /// Where alerts are posted to as JSON, besides Telegram; may hold a token.
    #[schemars(with = "String")]
    #[serde(serialize_with = "masked")]
    pub webhook_url: SecretString,
}

impl Default for AuthConfig {
    fn default() -> AuthConfig {
        AuthConfig {
            listen: "127.0.0.1:8001".into(),
            redirect_url: "http://127.0.0.1:8001/callback".into(),
            allow_late_login: true,
            api_token: SecretString::default(),
        }
    }
}

impl Default for TradingConfig {
    fn default() -> TradingConfig {
        TradingConfig {
            mode: "demo".into(),
            strategy: "index-pivot".into(),
            instrument: "SENSEX".into(),
            pivot_method: "traditional".into(),
            max_lots: 1,
            require_arm: true,
            allow_live: Vec::new(),
            parameters: serde_json::Map::new(),
        }
    }
}

impl Default for RiskConfig {
    fn default() -> RiskConfig {
        RiskConfig {
            capital: 200_000.0,
            max_daily_loss: 5_000.0,
            max_weekly_loss: 10_000.0,
            max_monthly_loss: 20_000.0,
            max_trades_per_day: 3,
            max_consecutive_losses: 2,
            risk_per_trade_pct: 1.0,
            max_premium: 20_000.0,
            drawdown_from: 3_000.0,
            drawdown_give_back_pct: None,
        }
    }
}

impl Default for OrdersConfig {
    fn default() -> OrdersConfig {
        OrdersConfig {
            product: "MIS".into(),
            entry_slip_pct: 0.5,
            entry_cap_pct: 3.0,
            entry_ttl_s: 10,
            signal_ttl_s: 15,
            exit_ladder_pct: vec![0.5, 2.0, 5.0, 10.0, 20.0],
            exit_step_s: 3,
            catastrophe_pct: 30.0,
            catastrophe_gap_pct: 10.0,
            protect_within_s: 5,
            min_edge_multiple: 3,
            max_spread_pct: 1.5,
            max_spread: None,
            min_depth_multiple: 5,
            min_open_interest: None,
            min_premium: None,
            max_premium_price: None,
            index_stale_s: 10,
            option_stale_s: 15,
            blind_s: 60,
            delta_atm: None,
            delta_itm: None,
            min_dte: None,
            freeze_quantity: None,
            max_messages_per_second: 3,
            max_messages_per_minute: 30,
            max_messages_per_day: 200,
            max_order_to_trade: 20,
        }
    }
}

impl Default for MarketConfig {
    fn default() -> MarketConfig {
        MarketConfig {
            first_entry: String::new(),
            last_entry: String::new(),
            flatten_start: String::new(),
            hard_flat: String::new(),
            broker_square_off: String::new(),
            candle_minutes: 3,
            candle_grace_ms: 2000,
            extra_holidays: Vec::new(),
            events: Vec::new(),
        }
    }
}

impl Default for DataConfig {
    fn default() -> DataConfig {
        DataConfig { dir: "data".into(), log_dir: "logs".into() }
    }
}

impl Default for KiteConfig {
    fn default() -> KiteConfig {
        KiteConfig {
            base_url: "https://api.kite.trade".into(),
            login_url: "https://kite.zerodha.com/connect/login".into(),
            ticker_url: "wss://ws.kite.trade".into(),
            timeout_s: 7,
        }
    }
}

impl Default for TelegramConfig {
    fn default() -> TelegramConfig {
        TelegramConfig {
            api_url: "https://api.telegram.org".into(),
            operators: Vec::new(),
            viewers: Vec::new(),
            max_command_age_s: 60,
        }
    }
}

impl Default for HealthConfig {
    fn default() -> HealthConfig {
        HealthConfig {
            cpu_warning_pct: 70,
            cpu_critical_pct: 80,
            memory_warning_pct: 75,
            memory_critical_pct: 85,
            disk_warning_pct: 80,
            disk_critical_pct: 90,
            database_warning_mb: 2048,
            errors_per_minute: 10,
            warnings_per_minute: 60,
            patterns: Vec::new(),
            webhook_url: SecretString::default(),
        }
    }
}
