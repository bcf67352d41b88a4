//! What a simulated Kite is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use chrono::NaiveDate;
use secrecy::SecretString;

use crate::market::time::{from_ist, hms};
use crate::market::{Money, Timestamp};
use crate::sim::model::ScriptPoint;

/// Everything that can be chosen when a simulated Kite starts.
#[derive(Debug, Clone)]
pub struct SimOptions {
    /// Where REST and the ticker listen; port 0 takes any free one.
    pub kite_listen: SocketAddr,
    /// Where the stand-in for Telegram listens; port 0 takes any free one.
    pub telegram_listen: SocketAddr,
    /// Market time at the start. Ignored when `clock_file` is given.
    pub start: Timestamp,
    /// Market seconds in a second of real time. Ignored when `clock_file` is given.
    pub speed: f64,
    /// A conductor's clock to follow; without it the simulator makes its own.
    pub clock_file: Option<PathBuf>,
    /// Names the day: same seed, same prices, same tokens.
    pub seed: u64,
    /// The app's public key.
    pub api_key: String,
    /// The app's secret, which signs sessions and postbacks.
    pub api_secret: SecretString,
    /// Where the login page sends the browser afterwards.
    pub redirect_url: String,
    /// Where order updates are posted, when anywhere.
    pub postback_url: Option<String>,
    /// The account's user id.
    pub user_id: String,
    /// Cash in the account at the start.
    pub cash: Money,
    /// Prices of the first day that are forced, for tests that need a path.
    pub script: Vec<ScriptPoint>,
    /// Whether requests are counted. `None`: yes at speed 1 on an own clock.
    pub rate_limits: Option<bool>,
}

impl SimOptions {
    /// The defaults, on any two free ports of this machine.
    pub fn local() -> SimOptions {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let date = NaiveDate::from_ymd_opt(2026, 11, 23).unwrap_or_default();
        SimOptions {
            kite_listen: any_port,
            telegram_listen: any_port,
            start: from_ist(date, hms(9, 14, 0)),
            speed: 1.0,
            clock_file: None,
            seed: 1,
            api_key: "demo_key".to_string(),
            api_secret: SecretString::from("demo_secret"),
            redirect_url: "http://127.0.0.1:8001/callback".to_string(),
            postback_url: None,
            user_id: "SIM001".to_string(),
            cash: Money::from_rupees(1_000_000),
            script: Vec::new(),
            rate_limits: None,
        }
    }

    /// Whether requests are counted against the documented limits.
    pub fn counts_requests(&self) -> bool {
        let real_pace = self.clock_file.is_none() && (self.speed - 1.0).abs() < f64::EPSILON;
        self.rate_limits.unwrap_or(real_pace)
    }
}
