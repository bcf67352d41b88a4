//! The configuration file, as people write it.
//!
//! [`Config`] is what the file says, key by key; [`Config::settings`] resolves
//! it to what the engine is told. Unknown keys are refused.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::Deserialize;

/// The whole file. Every field has a default but the credentials.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Kite Connect API key.
    pub api_key: String,
    /// Kite Connect API secret.
    pub api_secret: SecretString,
    /// Token of the Telegram bot.
    pub telegram_token: SecretString,
    /// The owner's chat: where notifications go.
    pub telegram_chat_id: i64,
    /// Login and web server.
    pub auth: AuthConfig,
    /// What is traded and how.
    pub trading: TradingConfig,
    /// Limits.
    pub risk_management: RiskConfig,
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
}

/// How a kind of message is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
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
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Address to listen on.
    pub listen: String,
    /// The redirect URL registered with the broker.
    pub redirect_url: String,
    /// Trade after a login later than 09:00.
    pub allow_late_login: bool,
    /// Bearer secret for the API; empty closes what needs it.
    pub api_token: SecretString,
}

/// What is traded and how.
#[derive(Debug, Clone, Deserialize)]
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
    /// Strategies allowed to trade live besides the default one.
    pub allow_live: Vec<String>,
    /// Strategy parameters by name; see the reference page.
    pub parameters: serde_json::Map<String, serde_json::Value>,
}

/// Limits. Amounts in rupees, shares in percent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RiskConfig {
    /// Account size that shares refer to.
    pub capital: f64,
    /// Largest loss of a day.
    pub max_daily_loss: f64,
    /// Largest loss of a week.
    pub max_weekly_loss: f64,
    /// Largest loss of a month.
    pub max_monthly_loss: f64,
    /// Entries of a day.
    pub max_trades_per_day: u32,
    /// Losing trades in a row.
    pub max_consecutive_losses: u32,
    /// Most that one trade may be expected to lose, in percent of capital.
    pub risk_per_trade_pct: f64,
    /// Most premium in one trade.
    pub max_premium: f64,
}

/// The trading day.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MarketConfig {
    /// First entry, last entry, flattening, flat by: `HH:MM[:SS]`, IST.
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
}

/// Files and folders.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Folder of the database and of everything that must survive.
    pub dir: String,
    /// Folder of the log files.
    pub log_dir: String,
}

/// Addresses of the broker.
#[derive(Debug, Clone, Deserialize)]
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
#[derive(Debug, Clone, Deserialize)]
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

/// Logs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoggingConfig {
    /// `error`, `warn`, `info`, `debug`, or a tracing filter.
    pub level: String,
    /// `text` or `json`.
    pub format: String,
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
        }
    }
}

impl Default for MarketConfig {
    fn default() -> MarketConfig {
        MarketConfig {
            first_entry: "09:33".into(),
            last_entry: "14:45".into(),
            flatten_start: "15:10".into(),
            hard_flat: "15:15".into(),
            broker_square_off: "15:25".into(),
            candle_minutes: 3,
            candle_grace_ms: 2000,
            extra_holidays: Vec::new(),
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

impl Default for LoggingConfig {
    fn default() -> LoggingConfig {
        LoggingConfig { level: "info".into(), format: "text".into() }
    }
}
