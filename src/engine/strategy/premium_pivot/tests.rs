//! Days of options, told candle by candle.

use super::*;
use crate::engine::day::DayPlan;
use crate::engine::ledger::ExitReason;
use crate::engine::strategy::parameters::{defaults, set};
use crate::engine::strategy::rig::{Feed, at, candle, history, option, p, plan, previous, shown};
use crate::market::DayCandle;

/// PP 148.33, R1 176.67, R2 193.33, R3 221.67, R4 238.33, R5 266.67,
/// S1 131.67; 11.67 above neutral.
fn bullish() -> DayCandle {
    previous("165", "120", "160")
}

const SPOT: &str = "81310";

fn day(sets: &[(&str, &str)], options: &[(&str, InstrumentKind, i64, DayCandle)]) -> DayPlan {
    let mut settings = defaults("premium-pivot").unwrap();
    for (key, value) in sets {
        set(&mut settings, key, value).unwrap();
    }
    let mut plan = plan(settings, previous("81200", "80600", "81050"));
    for (symbol, kind, strike, previous) in options {
        let contract = option(symbol, *kind, *strike);
        let key = contract.key.clone();
        plan.histories.push(History { instrument: key, previous: *previous, candles: history() });
        plan.contracts.push(contract);
    }
    plan
}

/// A feed of the call that is one step in the money.
fn call(sets: &[(&str, &str)], previous: DayCandle) -> Feed {
    feed(&day(sets, &[("CE", InstrumentKind::Call, 81_200, previous)]), "CE")
}

fn feed(plan: &DayPlan, symbol: &str) -> Feed {
    let mut feed = Feed::new(plan);
    feed.spot = Some(p(SPOT));
    switch(&mut feed, symbol);
    feed
}

fn switch(feed: &mut Feed, symbol: &str) {
    feed.instrument = option(symbol, InstrumentKind::Call, 0).key;
}

#[test]
fn the_first_candle_may_enter_scenario_one() {
    let mut feed = call(&[], bullish());
    let judgement = feed.take(&candle("09:15", ["140", "180", "138.50", "178"]), true);
    assert_eq!(shown(&judgement), "ENTER SCENARIO_1");
    let signal = judgement.signal.unwrap();
    assert_eq!((signal.stop, signal.target), (p("138.50"), p("221.65")));
    assert_eq!((signal.first_target, signal.time_stop_candles), (None, Some(10)));
    assert_eq!((signal.first_candle, signal.structure.as_str()), (true, "BULLISH"));
    assert_eq!((signal.vehicle, signal.on_ticks), (Vehicle::Itself, true));
    assert_eq!(signal.levels[0], ("R5".to_string(), p("266.67")));
}

#[test]
fn each_scenario_has_its_zone_and_target() {
    let check = |first: [&str; 4], later: Option<[&str; 4]>, expected: &str| {
        let mut feed = call(&[], bullish());
        let mut said = feed.say("09:15", first);
        if let Some(later) = later {
            said = feed.say("09:18", later);
        }
        assert_eq!(said, expected, "{first:?} {later:?}");
    };
    let quiet = ["140", "140", "140", "140"];
    check(["131.67", "180", "131", "178"], None, "ENTER SCENARIO_1");
    check(["131.65", "180", "131", "178"], None, "NO_SCENARIO");
    check(["140", "180", "138", "176.65"], None, "NO_SCENARIO");
    check(["148.33", "180", "138", "176.70"], None, "ENTER SCENARIO_1");
    check(["148.35", "195", "138", "193.35"], None, "ENTER SCENARIO_2");
    check(["148.35", "195", "138", "180"], None, "NO_SCENARIO");
    check(["176.65", "221", "176", "219.65"], None, "ENTER SCENARIO_2");
    check(["176.70", "221", "176", "219.65"], None, "NO_SCENARIO");
    check(["200", "230", "199", "225"], None, "NO_SCENARIO");
    check(quiet, Some(["150", "180", "149", "178"]), "ENTER SCENARIO_1");
    check(["150", "150", "150", "150"], Some(["150", "200", "149", "195"]), "ENTER SCENARIO_2");
    check(["200", "200", "200", "200"], Some(["200", "230", "199", "225"]), "ENTER SCENARIO_3");
    check(["200", "200", "200", "200"], Some(["193.30", "230", "193", "225"]), "NO_SCENARIO");
}

#[test]
fn a_close_above_r3_is_never_entered_for_r3() {
    let mut feed = call(&[], bullish());
    feed.say("09:15", ["140", "140", "140", "140"]);
    // Opened below R2: only scenario 1 holds, and its target is behind.
    assert_eq!(feed.say("09:18", ["150", "230", "149", "225"]), "REWARD_TOO_SMALL SCENARIO_1");
    assert_eq!(
        feed.say("09:21", ["180", "221.50", "179", "220.70"]),
        "REWARD_TOO_SMALL SCENARIO_1"
    );
    // Opened in [R2, R3]: scenario 1 does not hide scenario 3.
    assert_eq!(feed.say("09:24", ["200", "230", "199", "225"]), "ENTER SCENARIO_3");
    assert_eq!(feed.held().target, p("266.65"));
    assert_eq!(feed.held().time_stop_candles, None);
}

#[test]
fn the_first_condition_that_fails_is_told() {
    let rise = ["140", "180", "138", "178"];
    let check = |mut feed: Feed, ohlc: [&str; 4], expected: &str| {
        assert_eq!(feed.say("09:15", ohlc), expected);
    };
    check(call(&[], previous("150.50", "138.20", "145.75")), rise, "NOT_BULLISH SCENARIO_1");
    check(call(&[], previous("165", "120", "125")), rise, "NOT_BULLISH");
    check(call(&[("neutral_band_pct", "7.9")], bullish()), rise, "NOT_BULLISH SCENARIO_1");
    check(call(&[("neutral_band_pct", "7.8")], bullish()), rise, "ENTER SCENARIO_1");
    check(call(&[], bullish()), ["178", "178", "138", "140"], "CANDLE_COLOUR");
    check(call(&[], bullish()), ["140", "140.10", "139", "140.05"], "NO_SCENARIO");
    check(call(&[], bullish()), ["140", "140.10", "139", "140.04"], "NOT_SIGNIFICANT");
    check(call(&[], bullish()), ["138", "180", "178", "178"], "NO_RISK SCENARIO_1");

    let mut far = call(&[], bullish());
    far.spot = Some(p("81450"));
    check(far, rise, "NOT_SELECTED SCENARIO_1");

    let mut young = day(&[], &[("CE", InstrumentKind::Call, 81_200, bullish())]);
    young.histories[1].candles.truncate(4);
    check(feed(&young, "CE"), rise, "NO_HISTORY SCENARIO_1");
    check(feed(&young, "PE"), rise, "NO_LEVELS");

    let mut late = call(&[], bullish());
    late.say("09:15", ["140", "140", "140", "140"]);
    assert_eq!(late.say("14:42", rise), "TIME_WINDOW SCENARIO_1");
    let mut torn = call(&[], bullish());
    assert_eq!(shown(&torn.take(&candle("09:15", rise), false)), "CANDLE_INVALID");
    // The day's first candle had a gap: its open counts for nothing.
    torn.say("09:18", ["140", "140", "140", "140"]);
    assert_eq!(torn.say("09:21", rise), "NO_SCENARIO");
    assert_eq!(torn.say("09:24", ["200", "230", "199", "225"]), "ENTER SCENARIO_3");
}

#[test]
fn a_stop_allows_one_re_entry_and_other_exits_use_the_scenario_up() {
    let rise = ["140", "180", "138", "178"];
    let mut feed = call(&[], bullish());
    assert_eq!(feed.say("09:15", rise), "ENTER SCENARIO_1");
    assert_eq!(feed.say("09:18", rise), "POSITION_OPEN SCENARIO_1");
    feed.close(at("09:22"), ExitReason::StopLoss, true);
    assert_eq!(feed.say("09:21", rise), "ENTER SCENARIO_1");
    assert!(feed.held().re_entry);
    feed.close(at("09:25"), ExitReason::StopLoss, false);
    assert_eq!(feed.say("09:24", rise), "REENTRY_LIMIT SCENARIO_1");

    let mut once = call(&[], bullish());
    once.say("09:15", rise);
    once.close(at("09:19"), ExitReason::Target, false);
    assert_eq!(once.say("09:18", rise), "SCENARIO_USED SCENARIO_1");
    assert_eq!(once.say("09:21", ["200", "230", "199", "225"]), "ENTER SCENARIO_3");
    once.miss();
    assert_eq!(once.say("09:24", ["200", "230", "199", "225"]), "ENTER SCENARIO_3");
}

#[test]
fn the_range_prefers_what_is_nearest_to_the_money() {
    let call = |symbol, strike| (symbol, InstrumentKind::Call, strike, bullish());
    let put = |symbol, strike| (symbol, InstrumentKind::Put, strike, bullish());
    let contracts = [call("C1", 81_000), put("P1", 81_400), call("C2", 81_200), call("C3", 81_300)];
    let plan = day(&[("strike_selection", "range")], &contracts);
    let mut feed = feed(&plan, "C2");
    let wanted: Vec<String> =
        feed.strategy.wants(p(SPOT)).into_iter().map(|key| key.symbol).collect();
    assert_eq!(wanted, ["C2", "P1", "C3", "C1"]);
    let rise = ["140", "180", "138", "178"];
    assert_eq!(feed.say("09:15", rise), "ENTER SCENARIO_1");
    feed.miss();
    switch(&mut feed, "P1");
    assert_eq!(feed.say("09:15", rise), "ENTER SCENARIO_1");
    switch(&mut feed, "C1");
    assert_eq!(feed.say("09:15", rise), "POSITION_OPEN SCENARIO_1");
    assert_eq!(feed.strategy.outlook().len(), 4);
}

#[test]
fn expiry_day_buys_two_steps_in_the_money() {
    let contracts = [
        ("C1", InstrumentKind::Call, 81_200, bullish()),
        ("C2", InstrumentKind::Call, 81_100, bullish()),
        ("P2", InstrumentKind::Put, 81_500, bullish()),
    ];
    let mut plan = day(&[], &contracts);
    for contract in &mut plan.contracts {
        contract.expiry = Some(plan.date);
    }
    let rise = ["140", "180", "138", "178"];
    for (symbol, expected) in
        [("C1", "NOT_SELECTED SCENARIO_1"), ("C2", "ENTER SCENARIO_1"), ("P2", "ENTER SCENARIO_1")]
    {
        assert_eq!(feed(&plan, symbol).say("09:15", rise), expected, "{symbol}");
    }
}

#[test]
fn a_quiet_yesterday_is_told_before_the_market_opens() {
    let feed = call(&[], previous("150.50", "138.20", "145.75"));
    let outlook = feed.strategy.outlook().remove(0);
    assert_eq!(outlook.structure, "NEUTRAL");
    assert!(outlook.facts.iter().any(|(name, _)| name == "can qualify"));
    let shown: Vec<String> =
        outlook.levels.iter().map(|(name, price)| format!("{name} {price}")).collect();
    assert_eq!(
        shown,
        [
            "R5 176.03",
            "R4 169.42",
            "R3 163.73",
            "R2 157.12",
            "R1 151.43",
            "PP 144.82",
            "S1 139.13",
            "S2 132.52",
            "S3 126.83"
        ]
    );
    let none = day(&[], &[]);
    assert_eq!(
        PremiumPivot::new(&none).unwrap_err().to_string(),
        "the day plan lacks an option with a candle of the previous day"
    );
}
