//! What a world is made of: a price, a configuration, a simulated broker.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use chrono::TimeDelta;
use pivot_trading::engine::strategy::level_breakout::rules::DayLevels;
use pivot_trading::market::calendar::Calendar;
use pivot_trading::market::time::{from_ist, hms};
use pivot_trading::market::{DayCandle, Exchange, InstrumentKey, Price};
use pivot_trading::sim::model::{Interval, Market};
use serde_json::{Value, json};

use super::{OWNER, SHARE, date};

/// Minute after 09:00 in which the price crosses first.
const FIRST_MINUTE: u32 = 17;

/// Time from one crossing of the level to the next.
const ROUND_MINUTES: usize = 4;
const ROUND_SECONDS: u32 = 240;

pub(super) fn start_sim(folder: &Path, auth_port: u16) -> (Child, Value) {
    let back = format!("http://127.0.0.1:{auth_port}/callback");
    let mut sim = Command::new(env!("CARGO_BIN_EXE_pivotctl"))
        .current_dir(folder)
        .args(["sim", "--listen", "127.0.0.1:0", "--telegram-listen", "127.0.0.1:0"])
        .args(["--clock-file", "clock", "--script", "script", "--date", "2026-11-23"])
        .args(["--redirect-url", &back])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(sim.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (sim, serde_json::from_str(&line).unwrap())
}

pub(super) fn config(kite: &str, ticker: &str, telegram: &str, auth_port: u16) -> Value {
    json!({
        "api_key": "demo_key",
        "api_secret": "demo_secret",
        "telegram_token": "4242:token",
        "telegram_chat_id": OWNER,
        "trading": {
            "mode": "demo",
            "strategy": "level-breakout",
            "instrument": format!("NSE:{SHARE}"),
            "parameters": { "max_entries": 1000 },
        },
        "risk_management": {
            "max_daily_loss": 100_000,
            "max_weekly_loss": 100_000,
            "max_monthly_loss": 100_000,
            "max_trades_per_day": 100,
            "max_consecutive_losses": 100,
        },
        "orders": {
            "min_edge_multiple": 0,
            "max_messages_per_second": 10,
            "max_messages_per_minute": 400,
            "max_messages_per_day": 5000,
        },
        "market": { "candle_minutes": 1, "candle_grace_ms": 1000 },
        "kite": {
            "base_url": kite,
            "login_url": format!("{kite}/connect/login"),
            "ticker_url": ticker,
        },
        "telegram": { "api_url": telegram },
        "auth": {
            "listen": format!("127.0.0.1:{auth_port}"),
            "redirect_url": format!("http://127.0.0.1:{auth_port}/callback"),
        },
        "data": { "dir": "data", "log_dir": "logs" },
        // How the machine of the test is, is another matter.
        "health": {
            "memory_warning_pct": 100, "memory_critical_pct": 100,
            "disk_warning_pct": 100, "disk_critical_pct": 100,
        },
    })
}

/// A price that crosses the first resistance upwards in one minute, stays
/// there long enough to be looked at by a slow machine, and comes back, all
/// day.
pub(super) fn zigzag() -> String {
    let market = Market::new(1, date(), Calendar::india()).unwrap();
    let key = InstrumentKey::new(Exchange::Nse, SHARE);
    let token = market.by_key(&key).unwrap().instrument.token;
    let midnight = from_ist(date(), hms(0, 0, 0));
    let candles =
        market.history(token, Interval::Day, midnight - TimeDelta::days(7), midnight, midnight);
    let previous = candles.unwrap().into_iter().rfind(|day| day.start < midnight);
    let previous = previous.unwrap();
    let levels = DayLevels::of_day(
        &DayCandle {
            date: date(),
            open: previous.open,
            high: previous.high,
            low: previous.low,
            close: previous.close,
        },
        Price::from_paise(5),
    );
    let reach = (levels.r2 - levels.r1) / 4;
    let (low, high) = (levels.r1 - reach, levels.r1 + reach);
    let mut lines = String::new();
    for minute in (FIRST_MINUTE..330).step_by(ROUND_MINUTES) {
        let mut point = |second: u32, price: i64| {
            let seconds = minute * 60 + second;
            let at = hms(9, 0, 0) + TimeDelta::seconds(i64::from(seconds));
            let price = Price::from_paise(price);
            lines.push_str(&format!("{at} NSE:{SHARE} {price}\n"));
        };
        point(0, low);
        point(5, low);
        point(50, high);
        point(ROUND_SECONDS - 55, high);
        point(ROUND_SECONDS - 5, low);
    }
    lines
}
