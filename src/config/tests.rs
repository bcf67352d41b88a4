use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::engine::settings::{Ppm, StrategySettings};
use crate::market::time::hms;
use crate::market::{Money, Price};

fn problems(text: &str) -> Vec<String> {
    let error = Config::parse(text).unwrap_err();
    error.problems().iter().map(Problem::to_string).collect()
}

#[test]
fn an_empty_file_is_a_demo() {
    let config = Config::parse("{}").unwrap();
    let settings = config.settings().unwrap();
    assert_eq!(settings.mode, Mode::Demo);
    assert_eq!(settings.risk.max_daily_loss, Money::from_rupees(5_000));
    assert_eq!(settings.risk.trade_risk_budget, Money::from_rupees(2_000));
    assert_eq!(settings.risk.max_spread, Price::from_rupees(6));
    assert_eq!(settings.risk.freeze_quantity, 1_000);
    assert_eq!(settings.risk.min_dte, 1);
    let ladder = [5_000, 20_000, 50_000, 100_000, 200_000].map(Ppm);
    assert_eq!(settings.risk.exit_ladder, ladder);
    assert_eq!(settings.schedule.first_entry, hms(9, 33, 0));
    assert_eq!(settings.schedule.broker_square_off, hms(15, 25, 0));
    let StrategySettings::IndexPivot(index) = settings.strategy else { panic!("index-pivot") };
    assert_eq!((index.buffer, index.cpr_narrow), (Ppm(200), Ppm(1_000)));
}

#[test]
fn the_example_is_valid() {
    let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.json"));
    let config = Config::load(path).unwrap();
    assert_eq!(config.mode().unwrap(), Mode::Demo);
    config.settings().unwrap();
}

#[test]
fn every_key_is_in_the_reference() {
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CONFIGURATION.md"));
    let missing: Vec<_> =
        keys().into_iter().filter(|key| !page.contains(&format!("`{}`", key.path))).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn unknown_keys_are_named_with_their_likely_meaning() {
    assert_eq!(
        problems(
            r#"{"risk_management": {"max_dayly_loss": 1}, "Trading": {}, "zzz": 1, "mode": "live",
                "trading": {"parameters": {"bufer_pct": 1}}, "telegram": {"chat_id": 5}}"#
        ),
        [
            "Trading: there is no such key; did you mean \"trading\"?",
            "mode: there is no such key; did you mean \"trading.mode\"?",
            "risk_management.max_dayly_loss: there is no such key; did you mean \"max_daily_loss\"?",
            "telegram.chat_id: there is no such key; did you mean \"telegram_chat_id\"?",
            "zzz: there is no such key",
        ]
    );
    assert_eq!(
        problems(r#"{"trading": {"parameters": {"bufer_pct": 1}}}"#),
        [
            "trading.parameters.bufer_pct: index-pivot has no parameter \"bufer_pct\"; did you mean buffer_pct?"
        ]
    );
}

#[test]
fn all_mistakes_are_told_together() {
    let wrong_types = problems(
        r#"{"telegram_chat_id": "me", "trading": {"max_lots": -1, "allow_live": [7]},
            "kite": {"timeout_s": "7"}, "logging": []}"#,
    );
    assert_eq!(wrong_types.len(), 5, "{wrong_types:#?}");
    assert_eq!(wrong_types[0], "logging: expected a section in braces: { … }");
    assert!(wrong_types.iter().any(|line| line.starts_with("trading.allow_live[0]: ")));
    let wrong_values = problems(
        r#"{"trading": {"mode": "turbo", "instrument": "GOLD", "max_lots": 0, "pivot_method": "astro"},
            "risk_management": {"max_daily_loss": -5, "capital": 1000.001},
            "market": {"last_entry": "25:00", "extra_holidays": ["tomorrow"]},
            "orders": {"exit_ladder_pct": [5, 2]}, "notifications": {"entri": "off"},
            "kite": {"base_url": "api.kite.trade"}, "auth": {"listen": "8001"}}"#,
    );
    for path in [
        "trading.mode:",
        "trading.instrument:",
        "trading.pivot_method:",
        "market.extra_holidays:",
        "notifications.entri: there is no such kind of message; did you mean \"entry\"?",
        "kite.base_url:",
        "auth.listen:",
    ] {
        assert!(wrong_values.iter().any(|line| line.starts_with(path)), "{path} {wrong_values:#?}");
    }
    let wrong_limits = problems(
        r#"{"trading": {"max_lots": 0}, "risk_management": {"max_daily_loss": -5, "max_premium": 0.001},
            "market": {"last_entry": "25:00"}, "orders": {"exit_ladder_pct": [5, 2]}}"#,
    );
    for path in [
        "trading.max_lots: expected 1 to 500, was 0",
        "risk_management.max_daily_loss: must be above 0, was -5",
        "risk_management.max_premium: expected rupees with at most two decimals, was 0.001",
        "market.last_entry: expected a time such as 09:33, was \"25:00\"",
        "orders.exit_ladder_pct:",
    ] {
        assert!(wrong_limits.iter().any(|line| line.starts_with(path)), "{path} {wrong_limits:#?}");
    }
}

#[test]
fn mode_strategy_and_instrument_must_fit() {
    let check = |trading: &str, expect: Option<&str>| {
        let text = format!(
            r#"{{"api_key": "k", "api_secret": "s", "telegram_token": "t", "telegram_chat_id": 1,
                "trading": {trading}}}"#
        );
        match (Config::parse(&text), expect) {
            (Ok(_), None) => {}
            (Err(error), Some(words)) => assert!(error.to_string().contains(words), "{error}"),
            (other, _) => panic!("{trading}: {other:?}"),
        }
    };
    check(r#"{"mode": "live"}"#, None);
    check(r#"{"mode": "live", "strategy": "premium-pivot"}"#, Some("allow_live"));
    check(
        r#"{"mode": "live", "strategy": "premium-pivot", "allow_live": ["premium-pivot"]}"#,
        None,
    );
    check(r#"{"mode": "paper", "strategy": "premium-pivot", "instrument": "NIFTY"}"#, None);
    check(r#"{"mode": "paper", "strategy": "level-breakout"}"#, Some("cannot trade an index"));
    check(r#"{"mode": "paper", "strategy": "level-breakout", "instrument": "NSE:TCS"}"#, None);
    check(r#"{"mode": "paper", "instrument": "NSE:TCS"}"#, Some("level-breakout can"));
    let none = Config::parse(r#"{"trading": {"mode": "paper"}}"#).unwrap_err();
    let paths: Vec<_> = none.problems().iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["api_key", "api_secret", "telegram_token", "telegram_chat_id"]);
}

#[test]
fn the_family_of_levels_must_fit_the_strategy() {
    let check = |trading: &str, expect: Option<&str>| {
        let text = format!(r#"{{"trading": {trading}}}"#);
        match (Config::parse(&text), expect) {
            (Ok(_), None) => {}
            (Err(error), Some(words)) => assert!(error.to_string().contains(words), "{error}"),
            (other, _) => panic!("{trading}: {other:?}"),
        }
    };
    for fits in ["traditional", "kite", "premium", "fibonacci", "woodie-close"] {
        check(&format!(r#"{{"pivot_method": "{fits}"}}"#), None);
    }
    for (unfit, why) in [
        ("camarilla", "they have no R1"),
        ("camarilla-b", "they have no R1"),
        ("woodie", "they need today's open"),
        ("demark", "they have no R2"),
    ] {
        let message = format!("index-pivot cannot trade {unfit} levels: {why}");
        let method = format!(r#"{{"pivot_method": "{unfit}"}}"#);
        check(&method, Some(&format!("trading.pivot_method: {message}")));
        let parameter = format!(r#"{{"parameters": {{"pivot_family": "{unfit}"}}}}"#);
        check(&parameter, Some(&format!("trading.parameters.pivot_family: {message}")));
        check(&parameter, Some("one of traditional, kite, premium, fibonacci, woodie-close"));
        // Others bring levels of their own.
        let other = format!(r#"{{"strategy": "premium-pivot", "pivot_method": "{unfit}"}}"#);
        check(&other, None);
    }
}

#[test]
fn defaults_fit_the_instrument() {
    let settings = |trading: &str| {
        Config::parse(&format!(r#"{{"trading": {trading}}}"#)).unwrap().settings().unwrap()
    };
    let share = settings(r#"{"strategy": "level-breakout", "instrument": "NSE:TCS"}"#);
    assert_eq!(share.schedule.flatten_start, hms(15, 0, 0));
    assert_eq!(share.schedule.broker_square_off, hms(15, 10, 0));
    assert_eq!((share.risk.min_dte, share.risk.min_premium), (0, Price::ZERO));
    let nifty = settings(r#"{"strategy": "premium-pivot", "instrument": "NIFTY"}"#);
    assert_eq!(nifty.risk.max_premium_price, Price::from_rupees(600));
    assert_eq!((nifty.risk.min_dte, nifty.schedule.last_entry), (0, hms(15, 0, 0)));
    let StrategySettings::PremiumPivot(premium) = nifty.strategy else { panic!("premium-pivot") };
    assert_eq!(premium.strike_range, Price::from_rupees(500));
    assert_eq!(premium.neutral_band, Price::from_rupees(5));
}

#[test]
fn live_refuses_a_file_that_everyone_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let text = r#"{"api_key": "k", "api_secret": "s", "telegram_token": "t",
                   "telegram_chat_id": 1, "trading": {"mode": "live"}}"#;
    std::fs::write(&path, text).unwrap();
    let mode =
        |bits| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(bits)).unwrap();
    mode(0o644);
    assert!(matches!(Config::load(&path), Err(ConfigError::WorldReadable { mode: 0o644, .. })));
    mode(0o640);
    Config::load(&path).unwrap();
}

#[test]
fn secrets_are_not_shown() {
    let config = Config::parse(
        r#"{"api_secret": "SECRET-1", "telegram_token": "SECRET-2", "auth": {"api_token": "SECRET-3"}}"#,
    );
    assert!(!format!("{config:?}").contains("SECRET"));
    // A wrong type must not be quoted either.
    let error =
        Config::parse(r#"{"api_secret": ["SECRET-4"], "telegram_token": 777111}"#).unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(!told.contains("SECRET") && !told.contains("777111"), "{told}");
    for (misplaced, expect) in [
        (r#"{"auth": "SECRET-5"}"#, vec!["auth: expected a section in braces: { … }"]),
        (
            r#"{"telegram_chat_id": "SECRET, expected 6"}"#,
            vec!["telegram_chat_id: expected a whole number, was text"],
        ),
        (
            r#"{"notifications": {"entry": "SECRET-7"}}"#,
            vec!["notifications.entry: expected one of `on`, `silent`, `off`, was another word"],
        ),
        (
            r#"{"trading": {"max_lots": -1, "require_arm": "SECRET-8"}}"#,
            vec![
                "trading.max_lots: expected a whole number, 0 or more, was a number out of its range",
                "trading.require_arm: expected true or false, was text",
            ],
        ),
    ] {
        assert_eq!(problems(misplaced), expect);
    }
}

#[test]
fn a_key_stands_once() {
    let text = r#"{"trading": {"max_lots": 1, "max_lots": 5, "parameters": {"lookback": 20, "lookback": 30}},
        "logging": {}, "logging": {"level": "info"}}"#;
    assert_eq!(
        problems(text),
        [
            "logging: stands more than once; keep one of them",
            "trading.max_lots: stands more than once; keep one of them",
            "trading.parameters.lookback: stands more than once; keep one of them",
        ]
    );
}

#[test]
fn addresses_and_levels_are_parsed() {
    let text = r#"{"logging": {"level": "lound"}, "kite": {"base_url": "http:// bad url",
        "ticker_url": "https://ws.kite.trade"}, "auth": {"redirect_url": "http://"}}"#;
    let told = problems(text);
    for path in ["logging.level", "kite.base_url", "kite.ticker_url", "auth.redirect_url"] {
        assert!(told.iter().any(|line| line.starts_with(path)), "{path}: {told:#?}");
    }
    assert_eq!(told.len(), 4, "{told:#?}");
    assert_eq!(problems(r#"{"logging": {"level": "info,=bad=x["}}"#).len(), 1);
}

#[test]
fn windows_of_events_are_read_exactly() {
    let settings = |text: &str| {
        let file = format!(r#"{{"market": {{"events": ["{text}"]}}}}"#);
        Config::parse(&file).map(|config| config.settings().unwrap().risk.events)
    };
    let check = |text: &str, from, to, flatten| {
        let events = settings(text).unwrap();
        let date = chrono::NaiveDate::from_ymd_opt(2027, 2, 1).unwrap();
        let expected = crate::engine::settings::EventWindow { date, from, to, flatten };
        assert_eq!(events, [expected], "{text}");
    };
    check("2027-02-01", hms(0, 0, 0), hms(23, 59, 59), false);
    check("2027-02-01 flatten", hms(0, 0, 0), hms(23, 59, 59), true);
    check("2027-02-01 10:30-13:00", hms(10, 30, 0), hms(13, 0, 0), false);
    check("2027-02-01 10:30:15-13:00 flatten", hms(10, 30, 15), hms(13, 0, 0), true);
    for wrong in [
        "",
        "tomorrow",
        "2027-02-01 13:00-10:30",
        "2027-02-01 close",
        "2027-02-01 10:30-25:00",
        "2027-02-01 10:30-13:00 flatten now",
    ] {
        let error = settings(wrong).unwrap_err().to_string();
        assert!(error.contains("market.events"), "{wrong}: {error}");
    }
}

#[test]
fn a_drawdown_guard_is_off_until_it_is_asked_for() {
    let risk = |text: &str| Config::parse(text).unwrap().settings().unwrap().risk;
    assert_eq!(risk("{}").drawdown, None);
    let on = risk(r#"{"risk_management": {"drawdown_give_back_pct": 50}}"#).drawdown.unwrap();
    assert_eq!((on.from, on.give_back), (Money::from_rupees(3_000), Ppm(500_000)));
}

#[test]
fn health_has_thresholds_in_order_and_keeps_the_address_to_itself() {
    let found = problems(
        r#"{"health": {"cpu_warning_pct": 90, "disk_critical_pct": 101, "patterns": [" "],
            "memory_warning_pct": 0, "errors_per_minute": 0,
            "webhook_url": "ftp://hooks.example/T0KEN"}}"#,
    );
    for path in [
        "health.cpu_critical_pct: must not be below health.cpu_warning_pct, 90",
        "health.disk_critical_pct: expected 1 to 100, was 101",
        "health.memory_warning_pct: expected 1 to 100, was 0",
        "health.errors_per_minute: expected 1 to 100000, was 0",
        "health.patterns: an empty text occurs in every line",
        "health.webhook_url: expected an address with https://",
    ] {
        assert!(found.iter().any(|line| line == path), "{path} {found:#?}");
    }
    assert!(!found.concat().contains("T0KEN"));
    let text = r#"{"health": {"webhook_url": "https://hooks.example/T0KEN"},
        "notifications": {"health": "silent"}}"#;
    let config = Config::parse(text).unwrap();
    let shown = serde_json::to_string(&config).unwrap() + &format!("{config:?}");
    assert!(shown.contains("\"webhook_url\":\"***\"") && !shown.contains("T0KEN"));
}
