//! From what the file says to what the engine is told.

use chrono::{NaiveDate, NaiveTime};

use super::amount::Checks;
use super::parameters;
use super::traded::Traded;
use super::{Config, ConfigError};
use crate::engine::settings::{Drawdown, EventWindow, Ppm, RiskSettings, Schedule};
use crate::engine::strategy::parameters::{STRATEGIES, time_of_day as read_time};
use crate::engine::{Mode, Settings};
use crate::market::calendar::Calendar;
use crate::market::time::hms;
use crate::market::{Money, Price, Product};

/// Stands for "no limit" where a limit makes no sense for the instrument.
const NO_PRICE_LIMIT: Price = Price::from_rupees(10_000_000);

/// Units of one order where the exchange publishes no freeze quantity.
const NO_FREEZE: i64 = 1_000_000;

impl Config {
    /// What the engine is told, with all that is absent filled in as fits
    /// mode, strategy and instrument.
    ///
    /// # Errors
    /// Every key whose value cannot be used.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        let mut checks = Checks::default();
        let settings = self.resolve(&mut checks);
        match settings {
            Some(settings) if checks.problems.is_empty() => Ok(settings),
            Some(_) | None => Err(ConfigError::Invalid { problems: checks.problems }),
        }
    }

    /// What is traded.
    ///
    /// # Errors
    /// When `trading.instrument` names nothing that can be traded.
    pub fn traded(&self) -> Result<Traded, ConfigError> {
        Traded::parse(&self.trading.instrument)
            .map_err(|message| super::Problem::new("trading.instrument", message).into())
    }

    /// The exchanges' calendar with `market.extra_holidays`.
    pub fn calendar(&self) -> Calendar {
        let dates = self.market.extra_holidays.iter().filter_map(|text| text.parse().ok());
        let named = dates.map(|date: NaiveDate| (date, "market.extra_holidays".to_string()));
        Calendar::india().with_extra_holidays(named)
    }

    pub(super) fn resolve(&self, checks: &mut Checks) -> Option<Settings> {
        let mode = Mode::parse(&self.trading.mode);
        checks.need(
            mode.is_some(),
            "trading.mode",
            format!("expected demo, paper or live, was {:?}", self.trading.mode),
        );
        let traded = match Traded::parse(&self.trading.instrument) {
            Ok(traded) => Some(traded),
            Err(message) => {
                checks.wrong("trading.instrument", message);
                None
            }
        };
        let strategy = parameters::resolve(
            &self.trading.strategy,
            &self.trading.pivot_method,
            &self.trading.parameters,
            checks,
        );
        if let (Some(mode), Some(traded)) = (mode, &traded) {
            self.check_choice(mode, traded, checks);
        }
        let traded = traded?;
        let product = product(&self.orders.product, checks);
        let risk = self.risk(&traded, checks);
        let schedule = self.schedule(&traded, checks);
        Some(Settings { mode: mode?, strategy: strategy?, risk, schedule, product })
    }

    /// Mode, strategy and instrument must go together.
    fn check_choice(&self, mode: Mode, traded: &Traded, checks: &mut Checks) {
        let strategy = self.trading.strategy.as_str();
        let allowed = self.trading.allow_live.iter().any(|name| name == strategy);
        checks.need(
            mode != Mode::Live || strategy != "premium-pivot" || allowed,
            "trading.strategy",
            "premium-pivot trades live only when trading.allow_live names it",
        );
        for name in &self.trading.allow_live {
            let known = STRATEGIES.contains(&name.as_str());
            let message = format!("{name:?} is not a strategy");
            checks.need(known, "trading.allow_live", message);
        }
        let fits = match traded {
            Traded::Index(_) => strategy != "level-breakout" || mode == Mode::Demo,
            Traded::Share(_) | Traded::Future(_) => strategy == "level-breakout",
        };
        let (kind, other) = match traded {
            Traded::Index(_) => ("an index", "index-pivot"),
            Traded::Share(_) => ("a share", "level-breakout"),
            Traded::Future(_) => ("a future", "level-breakout"),
        };
        let message =
            format!("{strategy} cannot trade {kind} ({}); {other} can", self.trading.instrument);
        let known = STRATEGIES.contains(&strategy);
        checks.need(fits || !known, "trading.strategy", message);
    }

    fn risk(&self, traded: &Traded, checks: &mut Checks) -> RiskSettings {
        let limits = &self.risk_management;
        let at = |name: &str| format!("risk_management.{name}");
        let capital = checks.money(&at("capital"), limits.capital);
        let share = checks.percent(&at("risk_per_trade_pct"), limits.risk_per_trade_pct, 0, 100);
        let mut loss = |name: &str, rupees: f64| {
            let money = checks.money(&at(name), rupees);
            let message = format!("is more than risk_management.capital, {}", capital.grouped());
            checks.need(money <= capital, &at(name), message);
            money
        };
        let max_daily_loss = loss("max_daily_loss", limits.max_daily_loss);
        let max_weekly_loss = loss("max_weekly_loss", limits.max_weekly_loss);
        let max_monthly_loss = loss("max_monthly_loss", limits.max_monthly_loss);
        let ordered = max_daily_loss <= max_weekly_loss && max_weekly_loss <= max_monthly_loss;
        checks.need(
            ordered,
            &at("max_weekly_loss"),
            "the limits of day, week and month must not fall",
        );
        let usual = Usual::of(traded);
        let orders = &self.orders;
        let order = |name: &str| format!("orders.{name}");
        let rupees = |name: &str, value: Option<f64>, usual: Price, checks: &mut Checks| {
            value.map_or(usual, |rupees| checks.price(&order(name), rupees))
        };
        RiskSettings {
            capital,
            max_daily_loss,
            max_weekly_loss,
            max_monthly_loss,
            max_trades: checks.count(&at("max_trades_per_day"), limits.max_trades_per_day, 1, 100),
            max_consecutive_losses: checks.count(
                &at("max_consecutive_losses"),
                limits.max_consecutive_losses,
                1,
                100,
            ),
            trade_risk_budget: share_of(capital, share),
            max_premium: checks.money(&at("max_premium"), limits.max_premium),
            max_lots: checks.count("trading.max_lots", self.trading.max_lots, 1, 500),
            min_edge_multiple: checks.count(
                &order("min_edge_multiple"),
                orders.min_edge_multiple,
                0,
                100,
            ),
            catastrophe: checks.percent(&order("catastrophe_pct"), orders.catastrophe_pct, 1, 95),
            catastrophe_gap: checks.percent(
                &order("catastrophe_gap_pct"),
                orders.catastrophe_gap_pct,
                0,
                20,
            ),
            protect_within_s: checks.count(
                &order("protect_within_s"),
                orders.protect_within_s,
                1,
                60,
            ),
            entry_slip: checks.percent(&order("entry_slip_pct"), orders.entry_slip_pct, 0, 10),
            entry_cap: checks.percent(&order("entry_cap_pct"), orders.entry_cap_pct, 0, 20),
            entry_ttl_s: checks.count(&order("entry_ttl_s"), orders.entry_ttl_s, 1, 180),
            signal_ttl_s: checks.count(&order("signal_ttl_s"), orders.signal_ttl_s, 1, 180),
            exit_ladder: self.exit_ladder(checks),
            exit_step_s: checks.count(&order("exit_step_s"), orders.exit_step_s, 1, 60),
            max_spread_pct: checks.percent(&order("max_spread_pct"), orders.max_spread_pct, 0, 50),
            max_spread: rupees("max_spread", orders.max_spread, usual.max_spread, checks),
            min_depth_multiple: checks.count(
                &order("min_depth_multiple"),
                orders.min_depth_multiple,
                0,
                1000,
            ),
            min_open_interest: orders.min_open_interest.map_or(usual.min_open_interest, i64::from),
            min_premium: rupees("min_premium", orders.min_premium, usual.min_premium, checks),
            max_premium_price: rupees(
                "max_premium_price",
                orders.max_premium_price,
                usual.max_premium_price,
                checks,
            ),
            index_stale_s: checks.count(&order("index_stale_s"), orders.index_stale_s, 2, 600),
            option_stale_s: checks.count(&order("option_stale_s"), orders.option_stale_s, 2, 600),
            blind_s: checks.count(&order("blind_s"), orders.blind_s, 5, 600),
            delta_atm: delta("delta_atm", orders.delta_atm, usual.delta_atm, checks),
            delta_itm: delta("delta_itm", orders.delta_itm, usual.delta_itm, checks),
            min_dte: checks.count(
                &order("min_dte"),
                orders.min_dte.unwrap_or_else(|| self.usual_min_dte(traded)),
                0,
                60,
            ),
            freeze_quantity: match orders.freeze_quantity {
                Some(units) => {
                    checks.count(&order("freeze_quantity"), i64::from(units), 1, NO_FREEZE)
                }
                None => usual.freeze_quantity,
            },
            max_order_messages: self.check_messages(checks),
            require_arm: self.trading.require_arm,
            drawdown: self.drawdown(checks),
            events: self.events(checks),
            max_order_to_trade: Some(checks.count(
                &order("max_order_to_trade"),
                orders.max_order_to_trade,
                2,
                1000,
            )),
        }
    }

    fn drawdown(&self, checks: &mut Checks) -> Option<Drawdown> {
        let limits = &self.risk_management;
        let from = checks.money("risk_management.drawdown_from", limits.drawdown_from);
        let percent = limits.drawdown_give_back_pct?;
        let path = "risk_management.drawdown_give_back_pct";
        let give_back = checks.percent(path, percent, 1, 100);
        Some(Drawdown { from, give_back })
    }

    fn events(&self, checks: &mut Checks) -> Vec<EventWindow> {
        let mut events = Vec::new();
        for text in &self.market.events {
            match event_window(text) {
                Some(event) => events.push(event),
                None => checks.wrong(
                    "market.events",
                    format!(
                        "expected a window such as \"2027-02-01 10:30-13:00 flatten\", was {text:?}"
                    ),
                ),
            }
        }
        events
    }

    fn check_messages(&self, checks: &mut Checks) -> u32 {
        let orders = &self.orders;
        let at = |name: &str| format!("orders.{name}");
        checks.count(&at("max_messages_per_second"), orders.max_messages_per_second, 1, 10);
        checks.count(&at("max_messages_per_minute"), orders.max_messages_per_minute, 4, 400);
        checks.count(&at("max_messages_per_day"), orders.max_messages_per_day, 10, 5000)
    }

    fn exit_ladder(&self, checks: &mut Checks) -> Vec<Ppm> {
        let path = "orders.exit_ladder_pct";
        let steps = &self.orders.exit_ladder_pct;
        checks.need((1..=10).contains(&steps.len()), path, "expected 1 to 10 steps");
        let ladder: Vec<Ppm> =
            steps.iter().map(|percent| checks.percent(path, *percent, 0, 60)).collect();
        checks.need(ladder.is_sorted(), path, "each step must be at least the one before");
        ladder
    }

    /// premium-pivot trades the nearest expiry; index-pivot not on its day.
    fn usual_min_dte(&self, traded: &Traded) -> u32 {
        match traded {
            Traded::Index(_) => u32::from(self.trading.strategy != "premium-pivot"),
            Traded::Share(_) | Traded::Future(_) => 0,
        }
    }

    fn schedule(&self, traded: &Traded, checks: &mut Checks) -> Schedule {
        let market = &self.market;
        let share = matches!(traded, Traded::Share(_));
        let first = match self.trading.strategy.as_str() {
            "index-pivot" => hms(9, 33, 0),
            _ => hms(9, 18, 0),
        };
        let last = match self.trading.strategy.as_str() {
            "premium-pivot" => hms(15, 0, 0),
            _ => hms(14, 45, 0),
        };
        let usual =
            |shares: NaiveTime, derivatives: NaiveTime| if share { shares } else { derivatives };
        let mut time = |name: &str, text: &str, usual: NaiveTime| {
            if text.is_empty() {
                return usual;
            }
            checks.take(&format!("market.{name}"), time_of_day(text))
        };
        let schedule = Schedule {
            first_entry: time("first_entry", &market.first_entry, first),
            last_entry: time("last_entry", &market.last_entry, last),
            flatten_start: time(
                "flatten_start",
                &market.flatten_start,
                usual(hms(15, 0, 0), hms(15, 10, 0)),
            ),
            hard_flat: time("hard_flat", &market.hard_flat, usual(hms(15, 5, 0), hms(15, 15, 0))),
            broker_square_off: time(
                "broker_square_off",
                &market.broker_square_off,
                usual(hms(15, 10, 0), hms(15, 25, 0)),
            ),
            day_close: Schedule::USUAL.day_close,
        };
        check_order(&schedule, checks);
        schedule
    }
}

fn check_order(schedule: &Schedule, checks: &mut Checks) {
    let times = [
        ("09:15, when trading begins", hms(9, 15, 0)),
        ("market.first_entry", schedule.first_entry),
        ("market.last_entry", schedule.last_entry),
        ("market.flatten_start", schedule.flatten_start),
        ("market.hard_flat", schedule.hard_flat),
        ("market.broker_square_off", schedule.broker_square_off),
        ("15:40, when trading ends", hms(15, 40, 0)),
    ];
    for pair in times.windows(2) {
        if let [(before, earlier), (after, later)] = pair {
            let message = format!("{after} ({later}) must not be before {before} ({earlier})");
            let path = if after.starts_with("market") { after } else { before };
            checks.need(earlier <= later, path, message);
        }
    }
}

/// What is usual for an instrument.
struct Usual {
    max_spread: Price,
    min_open_interest: i64,
    min_premium: Price,
    max_premium_price: Price,
    freeze_quantity: i64,
    delta_atm: Ppm,
    delta_itm: Ppm,
}

impl Usual {
    fn of(traded: &Traded) -> Usual {
        match traded {
            Traded::Index(facts) => Usual {
                max_spread: facts.max_spread,
                min_open_interest: 10_000,
                min_premium: facts.min_premium,
                max_premium_price: facts.max_premium_price,
                freeze_quantity: facts.freeze_quantity,
                delta_atm: Ppm(500_000),
                delta_itm: Ppm(600_000),
            },
            Traded::Share(_) | Traded::Future(_) => Usual {
                max_spread: NO_PRICE_LIMIT,
                min_open_interest: 0,
                min_premium: Price::ZERO,
                max_premium_price: NO_PRICE_LIMIT,
                freeze_quantity: traded.index().map_or(NO_FREEZE, |facts| facts.freeze_quantity),
                delta_atm: Ppm(1_000_000),
                delta_itm: Ppm(1_000_000),
            },
        }
    }
}

fn delta(name: &str, value: Option<f64>, usual: Ppm, checks: &mut Checks) -> Ppm {
    value.map_or(usual, |ratio| checks.ratio(&format!("orders.{name}"), ratio, 0, 1))
}

fn product(word: &str, checks: &mut Checks) -> Product {
    let product = Product::parse(word);
    let known = matches!(product, Product::Mis | Product::Nrml | Product::Cnc);
    checks.need(known, "orders.product", format!("expected MIS, NRML or CNC, was {word:?}"));
    product
}

/// A share of an amount, rounded down to the paisa.
fn share_of(amount: Money, share: Ppm) -> Money {
    let product = i128::from(amount.paise()) * i128::from(share.0);
    Money::from_paise(i64::try_from(product.div_euclid(1_000_000)).unwrap_or(i64::MAX))
}

/// `2027-02-01`, `2027-02-01 10:30-13:00`, and `flatten` after either.
fn event_window(text: &str) -> Option<EventWindow> {
    let mut words = text.split_whitespace().peekable();
    let date = words.next()?.parse().ok()?;
    let (mut from, mut to) = (hms(0, 0, 0), hms(23, 59, 59));
    if let Some((begin, end)) = words.peek().and_then(|word| word.split_once('-')) {
        (from, to) = (time_of_day(begin).ok()?, time_of_day(end).ok()?);
        words.next();
    }
    let flatten = match words.next() {
        None => false,
        Some("flatten") => true,
        Some(_) => return None,
    };
    (words.next().is_none() && from < to).then_some(EventWindow { date, from, to, flatten })
}

fn time_of_day(text: &str) -> Result<NaiveTime, String> {
    read_time(text).ok_or_else(|| format!("expected a time such as 09:33, was {text:?}"))
}
