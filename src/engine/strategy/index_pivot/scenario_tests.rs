//! Days of the index, told candle by candle.

use super::*;
use crate::engine::ledger::ExitReason;
use crate::engine::settings::StrategySettings;
use crate::engine::strategy::parameters::{defaults, set};
use crate::engine::strategy::rig::{Feed, at, candle, index, option, p, plan, previous, shown};
use crate::market::DayCandle;

type Told = (&'static str, [&'static str; 4]);

fn base() -> DayCandle {
    previous("81200", "80600", "81050")
}

fn feed(previous: DayCandle, sets: &[(&str, &str)]) -> Feed {
    let mut settings = defaults("index-pivot").unwrap();
    for (key, value) in sets {
        set(&mut settings, key, value).unwrap();
    }
    Feed::new(&plan(settings, previous))
}

/// The base day until 10:00: it stays under R1, whose line is 81,316.26.
const MORNING: [Told; 15] = [
    ("09:15", ["81080", "81150", "81060", "81120"]),
    ("09:18", ["81120", "81185", "81100", "81170"]),
    ("09:21", ["81170", "81240", "81150", "81180"]),
    ("09:24", ["81180", "81215", "81130", "81150"]),
    ("09:27", ["81150", "81200", "81125", "81190"]),
    ("09:30", ["81190", "81230", "81170", "81210"]),
    ("09:33", ["81210", "81250", "81195", "81238"]),
    ("09:36", ["81238", "81262", "81215", "81255"]),
    ("09:39", ["81255", "81275", "81230", "81240"]),
    ("09:42", ["81240", "81270", "81225", "81262"]),
    ("09:45", ["81262", "81285", "81240", "81275"]),
    ("09:48", ["81275", "81300", "81255", "81268"]),
    ("09:51", ["81268", "81295", "81250", "81280"]),
    ("09:54", ["81280", "81305", "81262", "81270"]),
    ("09:57", ["81270", "81290", "81255", "81265"]),
];

const BREAKOUT: Told = ("10:00", ["81265", "81345", "81258", "81335"]);

/// A falling day until its short of S1 (80,700, line 80,683.86) at 10:15.
const FALL: [Told; 20] = [
    ("09:15", ["80980", "81010", "80930", "80950"]),
    ("09:18", ["80950", "80975", "80900", "80915"]),
    ("09:21", ["80915", "80950", "80880", "80930"]),
    ("09:24", ["80930", "80945", "80860", "80885"]),
    ("09:27", ["80885", "80925", "80870", "80905"]),
    ("09:30", ["80905", "80920", "80850", "80870"]),
    ("09:33", ["80870", "80890", "80835", "80850"]),
    ("09:36", ["80850", "80865", "80815", "80830"]),
    ("09:39", ["80830", "80850", "80800", "80840"]),
    ("09:42", ["80840", "80855", "80795", "80810"]),
    ("09:45", ["80810", "80830", "80780", "80800"]),
    ("09:48", ["80800", "80820", "80770", "80785"]),
    ("09:51", ["80785", "80810", "80765", "80790"]),
    ("09:54", ["80790", "80800", "80750", "80770"]),
    ("09:57", ["80770", "80790", "80745", "80760"]),
    ("10:00", ["80760", "80785", "80740", "80755"]),
    ("10:03", ["80755", "80775", "80735", "80765"]),
    ("10:06", ["80765", "80780", "80740", "80750"]),
    ("10:09", ["80750", "80770", "80735", "80752"]),
    ("10:12", ["80752", "80760", "80660", "80668"]),
];

#[test]
fn a_close_beyond_r1_enters_with_stop_and_two_targets() {
    let mut feed = feed(base(), &[]);
    assert_eq!(feed.say_all(&MORNING), "NO_CROSS");
    let judgement = feed.take(&candle(BREAKOUT.0, BREAKOUT.1), true);
    assert_eq!(shown(&judgement), "ENTER R1");
    assert_eq!(judgement.decision.at, at("10:03"));
    let signal = judgement.signal.unwrap();
    assert_eq!((signal.direction, signal.reference), (Direction::Long, p("81335")));
    assert_eq!((signal.stop, signal.first_target), (p("81258"), Some(p("81550"))));
    assert_eq!((signal.target, signal.time_stop_candles), (p("81900"), Some(10)));
    assert_eq!((signal.structure.as_str(), signal.re_entry), ("MODERATE", false));
    let numbers = judgement.decision.numbers;
    for expected in [
        ("close", "81335.00"),
        ("previous close", "81265.00"),
        ("level R1 + buffer", "81316.26"),
        ("risk", "77.00"),
        ("body", "0.0861 %"),
        ("reward / risk", "2.7922"),
    ] {
        let expected = (expected.0.to_string(), expected.1.to_string());
        assert!(numbers.contains(&expected), "{expected:?} in {numbers:?}");
    }
}

#[test]
fn a_stop_may_be_re_entered_once_after_a_reset_and_losses_end_the_day() {
    let mut feed = feed(base(), &[]);
    let judged: Vec<String> = FALL.iter().map(|(start, ohlc)| feed.say(start, *ohlc)).collect();
    assert_eq!(judged[5], "CPR_EDGE_NEEDS_NARROW CPR_LO");
    assert_eq!(judged[19], "ENTER S1");
    let held = feed.held();
    assert_eq!(
        (held.direction, held.stop, held.target),
        (Direction::Short, p("80760"), p("80100"))
    );
    feed.say("10:15", ["80668", "80705", "80665", "80700"]);
    feed.say("10:18", ["80700", "80790", "80698", "80782"]);
    // The stop was at 10:20:40, inside the candle that closed at 80,782: the reset.
    feed.close(at("10:20:40"), ExitReason::StopLoss, true);
    feed.say_all(&[
        ("10:21", ["80782", "80785", "80765", "80770"]),
        ("10:24", ["80770", "80775", "80755", "80760"]),
        ("10:27", ["80760", "80765", "80745", "80750"]),
        ("10:30", ["80750", "80755", "80740", "80745"]),
        ("10:33", ["80745", "80750", "80735", "80740"]),
        ("10:36", ["80740", "80745", "80725", "80730"]),
    ]);
    assert_eq!(feed.say("10:39", ["80730", "80735", "80640", "80650"]), "ENTER S1");
    assert_eq!((feed.held().stop, feed.held().re_entry), (p("80735"), true));
    feed.say_all(&[
        ("10:42", ["80650", "80665", "80640", "80660"]),
        ("10:45", ["80660", "80680", "80655", "80675"]),
    ]);
    feed.say("10:48", ["80675", "80738", "80672", "80722"]);
    feed.close(at("10:51:07"), ExitReason::StopLoss, true);
    feed.say_all(&[
        ("10:51", ["80722", "80740", "80715", "80725"]),
        ("10:54", ["80725", "80735", "80715", "80728"]),
    ]);
    assert_eq!(feed.say("10:57", ["80728", "80730", "80600", "80610"]), "REENTRY_LIMIT S1");
    let slide = ["80580", "80555", "80530", "80505", "80480", "80455", "80430", "80405", "80380"];
    let mut open = "80610";
    for (n, close) in slide.into_iter().enumerate() {
        feed.say(&format!("11:{:02}", 3 * n), [open, open, close, close]);
        open = close;
    }
    assert_eq!(feed.say("11:27", ["80380", "80382", "80365", "80368"]), "NO_CROSS");
    assert_eq!(feed.say("11:30", ["80368", "80370", "80300", "80312"]), "MAX_CONSEC_LOSSES S2");
}

#[test]
fn a_narrow_day_trades_the_edge_and_a_time_stop_locks_it() {
    let mut feed = feed(previous("81200", "80600", "80915"), &[]);
    let morning: [Told; 9] = [
        ("09:15", ["80870", "80905", "80850", "80880"]),
        ("09:18", ["80880", "80915", "80865", "80900"]),
        ("09:21", ["80900", "80925", "80880", "80890"]),
        ("09:24", ["80890", "80910", "80870", "80905"]),
        ("09:27", ["80905", "80920", "80885", "80895"]),
        ("09:30", ["80895", "80915", "80880", "80900"]),
        ("09:33", ["80900", "80920", "80885", "80895"]),
        ("09:36", ["80895", "80915", "80884", "80902"]),
        ("09:39", ["80900", "80958", "80893", "80950"]),
    ];
    assert_eq!(feed.say_all(&morning), "ENTER CPR_HI");
    assert_eq!((feed.held().stop, feed.held().first_target), (p("80893"), Some(p("81210"))));
    for n in 0..10 {
        let start = format!("{:02}:{:02}", 9 + (42 + 3 * n) / 60, (42 + 3 * n) % 60);
        feed.say(&start, ["80950", "80960", "80945", "80955"]);
    }
    feed.close(at("10:12"), ExitReason::Timeout, true);
    feed.say_all(&[
        ("10:12", ["80955", "80955", "80890", "80895"]),
        ("10:15", ["80895", "80900", "80890", "80898"]),
    ]);
    assert_eq!(feed.say("10:18", ["80898", "80965", "80896", "80960"]), "LEVEL_LOCKED CPR_HI");
}

#[test]
fn an_open_beyond_the_levels_or_a_wide_range_refuses() {
    let check = |previous: DayCandle, open: &str, rise: (&str, &str), expected: &str| {
        let mut feed = feed(previous, &[]);
        for start in ["09:15", "09:18", "09:21", "09:24", "09:27", "09:30", "09:33"] {
            let price = if start == "09:15" { open } else { rise.0 };
            let (high, low) = (p(price).max(p(rise.0)), p(price).min(p(rise.0)));
            feed.say(start, [price, &high.to_string(), &low.to_string(), rise.0]);
        }
        let (from, to) = rise;
        assert_eq!(feed.say("09:36", [from, to, from, to]), expected);
    };
    check(base(), "81600", ("81548", "81652"), "OPEN_BEYOND_R2 R2");
    check(previous("81400", "80400", "81380"), "81390", ("81680", "81790"), "CPR_WIDE R1");
    check(base(), "81950", ("81540", "81640"), "GAP_EXTREME R2");
    check(base(), "79700", ("81240", "81340"), "GAP_EXTREME R1");
    check(base(), "80340", ("80360", "80260"), "OPEN_BEYOND_S2 S2");
}

#[test]
fn the_shape_of_the_candle_is_judged_in_order() {
    let check = |ohlc: [&str; 4], expected: &str| {
        let mut feed = feed(base(), &[]);
        feed.say_all(&MORNING);
        assert_eq!(feed.say("10:00", ohlc), expected);
    };
    check(["81310", "81360", "81240", "81335"], "WEAK_BODY R1");
    check(["81340", "81350", "81310", "81320"], "CANDLE_COLOUR R1");
    check(["81300", "81322", "81296", "81317"], "NOT_SIGNIFICANT R1");
    check(["81320", "81320", "81320", "81320"], "CANDLE_COLOUR R1");
    check(["81250", "81350", "81030", "81345"], "WEAK_BODY R1");
    check(["81100", "81345", "81060", "81335"], "RISK_TOO_WIDE R1");
    check(["81265", "81470", "81262", "81460"], "RR_TOO_LOW R1");
    check(["81265", "81320", "81262", "81316.25"], "NO_CROSS");
    check(["81265", "81320", "81262", "81316.26"], "ENTER R1");
    // R1 and R2 at once: the further one is judged.
    check(["81265", "81580", "81262", "81570"], "RISK_TOO_WIDE R2");
}

#[test]
fn hours_history_and_the_opening_range_are_rules_too() {
    let mut early = feed(base(), &[("or_minutes", "3")]);
    early.say("09:15", ["81080", "81150", "81060", "81120"]);
    assert_eq!(early.say("09:18", ["81240", "81345", "81238", "81335"]), "TIME_WINDOW R1");

    let mut settings = defaults("index-pivot").unwrap();
    set(&mut settings, "min_history", "19").unwrap();
    let mut young = plan(settings, base());
    young.histories[0].candles.truncate(3);
    let mut young = Feed::new(&young);
    young.say_all(&MORNING);
    assert_eq!(young.say(BREAKOUT.0, BREAKOUT.1), "NO_HISTORY R1");

    let mut inside = feed(base(), &[]);
    inside.say("09:15", ["81080", "81400", "81060", "81120"]);
    inside.say_all(&MORNING[1..]);
    assert_eq!(inside.say(BREAKOUT.0, BREAKOUT.1), "INSIDE_OPENING_RANGE R1");

    let mut late = feed(base(), &[]);
    late.say_all(&MORNING);
    for n in 15..111 {
        let minute = 555 + 3 * n;
        let start = format!("{:02}:{:02}", minute / 60, minute % 60);
        late.say(&start, ["81265", "81270", "81260", "81265"]);
    }
    let mut last = late;
    assert_eq!(last.say("14:48", ["81265", "81345", "81258", "81335"]), "TIME_WINDOW R1");
}

#[test]
fn a_gap_in_the_feed_spoils_its_candle_and_the_next() {
    let mut unsound = feed(base(), &[]);
    unsound.say_all(&MORNING[..14]);
    assert_eq!(shown(&unsound.take(&candle(MORNING[14].0, MORNING[14].1), false)), "NO_CROSS");
    assert_eq!(unsound.say(BREAKOUT.0, BREAKOUT.1), "CANDLE_INVALID R1");

    let mut missing = feed(base(), &[]);
    missing.say_all(&MORNING[..13]);
    missing.say(MORNING[14].0, MORNING[14].1);
    assert_eq!(missing.say(BREAKOUT.0, BREAKOUT.1), "CANDLE_INVALID R1");

    let mut blind = feed(base(), &[]);
    blind.say_all(&MORNING[1..]);
    assert_eq!(blind.say(BREAKOUT.0, BREAKOUT.1), "OPEN_UNKNOWN R1");
}

#[test]
fn a_miss_leaves_the_level_open_and_a_position_closes_it() {
    let mut feed = feed(base(), &[]);
    feed.say_all(&MORNING);
    assert_eq!(feed.say(BREAKOUT.0, BREAKOUT.1), "ENTER R1");
    feed.miss();
    feed.say("10:03", ["81335", "81336", "81300", "81305"]);
    assert_eq!(feed.say("10:06", ["81305", "81390", "81300", "81385"]), "ENTER R1");
    assert!(!feed.held().re_entry);
    feed.say("10:09", ["81385", "81386", "81300", "81305"]);
    assert_eq!(feed.say("10:12", ["81305", "81390", "81300", "81385"]), "POSITION_OPEN R1");
    feed.close(at("10:16"), ExitReason::StopLoss, false);
    feed.say("10:15", ["81385", "81386", "81304", "81310"]);
    assert_eq!(feed.say("10:18", ["81310", "81395", "81305", "81390"]), "NO_RESET R1");
    feed.say("10:21", ["81390", "81391", "81285", "81290"]);
    assert_eq!(feed.say("10:24", ["81290", "81400", "81288", "81395"]), "ENTER R1");
}

#[test]
fn an_exit_is_followed_by_a_pause_of_two_candles() {
    let mut feed = feed(base(), &[]);
    feed.say_all(&MORNING);
    feed.say(BREAKOUT.0, BREAKOUT.1);
    feed.close(at("10:04"), ExitReason::StopLoss, false);
    feed.say("10:03", ["81335", "81336", "81280", "81285"]);
    assert_eq!(feed.say("10:06", ["81285", "81370", "81280", "81365"]), "COOLDOWN R1");
    feed.say("10:09", ["81365", "81366", "81285", "81290"]);
    assert_eq!(feed.say("10:12", ["81290", "81375", "81285", "81370"]), "ENTER R1");
}

#[test]
fn a_retest_enters_where_price_comes_back_and_holds() {
    let mut feed = feed(base(), &[("entry_mode", "BREAKOUT_RETEST")]);
    feed.say_all(&MORNING);
    assert_eq!(feed.say(BREAKOUT.0, BREAKOUT.1), "ARMED R1");
    assert_eq!(feed.say("10:03", ["81335", "81362", "81318", "81350"]), "RETEST_WAIT R1");
    assert_eq!(feed.say("10:06", ["81350", "81355", "81296", "81312"]), "RETEST_WAIT R1");
    assert_eq!(feed.say("10:09", ["81312", "81348", "81305", "81344"]), "ENTER R1");
    let held = feed.held();
    assert_eq!((held.stop, held.reference - held.stop), (p("81259.35"), p("84.65")));
}

#[test]
fn a_retest_fails_below_the_level_and_expires() {
    let armed = || {
        let mut feed = feed(base(), &[("entry_mode", "BREAKOUT_RETEST")]);
        feed.say_all(&MORNING);
        feed.say(BREAKOUT.0, BREAKOUT.1);
        feed
    };
    let mut failed = armed();
    assert_eq!(failed.say("10:03", ["81335", "81340", "81250", "81259.34"]), "RETEST_FAILED R1");
    assert_eq!(failed.say("10:06", ["81259", "81260", "81250", "81255"]), "NO_CROSS");

    let mut expired = armed();
    for start in ["10:03", "10:06", "10:09", "10:12"] {
        assert_eq!(expired.say(start, ["81340", "81360", "81330", "81350"]), "RETEST_WAIT R1");
    }
    assert_eq!(expired.say("10:15", ["81340", "81360", "81330", "81350"]), "RETEST_EXPIRED R1");
    assert_eq!(expired.say("10:18", ["81340", "81350", "81300", "81345"]), "NO_CROSS");

    let mut broken = armed();
    broken.take(&candle("10:03", ["81335", "81362", "81318", "81350"]), false);
    assert_eq!(broken.say("10:06", ["81320", "81355", "81305", "81350"]), "NO_CROSS");
}

/// A day with a range of 0.39 % that stays where it opens: S1 80,720,
/// CPR 80,900 to 81,220, R1 81,720.
fn wide_day(at: &str, sets: &[(&str, &str)]) -> Feed {
    let mut feed = feed(previous("81400", "80400", "81380"), sets);
    for start in ["09:15", "09:18", "09:21", "09:24", "09:27", "09:30", "09:33"] {
        assert!(!feed.say(start, [at; 4]).contains("BOUNCE"));
    }
    feed
}

#[test]
fn a_wide_day_may_be_entered_where_price_bounces() {
    const ON: [(&str, &str); 1] = [("bounce", "true")];
    let check = |sets: &[(&str, &str)], at: &str, ohlc: [&str; 4], expected: &str| {
        let mut feed = wide_day(at, sets);
        assert_eq!(feed.say("09:36", ohlc), expected);
        feed
    };
    let long = ["80760", "80790", "80722", "80785"];
    let held = check(&ON, "80760", long, "ENTER BOUNCE_S1");
    let signal = held.held();
    assert_eq!((signal.stop, signal.reference - signal.stop), (p("80705.85"), p("79.15")));
    assert_eq!((signal.first_target, signal.target), (Some(p("80900")), p("80900")));
    check(&[], "80760", long, "NO_CROSS");
    check(&ON, "80760", ["80742", "80790", "80722", "80785"], "WEAK_WICK BOUNCE_S1");
    check(&ON, "80760", ["80760", "80790", "80722", "80755"], "CANDLE_COLOUR BOUNCE_S1");
    check(&ON, "80760", ["80760", "80790", "80737", "80785"], "NO_CROSS");
    let second = ["80090", "80115", "80062", "80112"];
    let signal_at_s2 = check(&ON, "80160", second, "ENTER BOUNCE_S2");
    assert_eq!(signal_at_s2.held().first_target, Some(p("80720")));

    let short = check(&ON, "81640", ["81670", "81710", "81635", "81640"], "ENTER BOUNCE_R1");
    assert_eq!((short.held().stop, short.held().target), (p("81726.35"), p("81220")));
}

#[test]
fn a_level_that_did_not_hold_is_not_bounced_off_again() {
    let mut feed = wide_day("80760", &[("bounce", "true")]);
    feed.say("09:36", ["80760", "80790", "80722", "80785"]);
    feed.close(at("09:40"), ExitReason::StopLoss, true);
    for start in ["09:39", "09:42", "09:45", "09:48"] {
        feed.say(start, ["80750"; 4]);
    }
    let again = feed.say("09:51", ["80760", "80790", "80722", "80785"]);
    assert_eq!(again, "NO_RESET BOUNCE_S1");
}

#[test]
fn the_outlook_names_the_family_and_orders_the_levels() {
    let mut feed = feed(base(), &[]);
    feed.say_all(&MORNING[..5]);
    let outlook = feed.strategy.outlook().remove(0);
    assert_eq!(outlook.structure, "MODERATE");
    let names: Vec<&str> = outlook.levels.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["R5", "R4", "R3", "R2", "R1", "CPR_HI", "PP", "CPR_LO", "S1", "S2", "S3", "S4", "S5"]
    );
    let fact = |name: &str| {
        outlook.facts.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    };
    assert_eq!(fact("family"), Some("traditional"));
    assert_eq!(fact("CPR width"), Some("0.1235 %"));
    assert_eq!(fact("R3 on a Kite chart"), Some("82150.00"));
    assert_eq!(fact("gap"), Some("0.04 %"));
    assert_eq!(fact("opening range high"), Some("81240.00"));
    assert_eq!(fact("no entries"), None);
}

#[test]
fn quotes_are_wanted_two_strikes_around_the_money() {
    let mut plan = plan(defaults("index-pivot").unwrap(), base());
    plan.contracts = (80_500..=82_000)
        .step_by(100)
        .flat_map(|strike| {
            [
                option(&format!("{strike}CE"), InstrumentKind::Call, strike),
                option(&format!("{strike}PE"), InstrumentKind::Put, strike),
            ]
        })
        .collect();
    let strategy = IndexPivot::new(&plan).unwrap();
    let wanted: Vec<String> =
        strategy.wants(p("81350")).into_iter().map(|key| key.symbol).collect();
    assert_eq!(wanted.len(), 10);
    assert_eq!(wanted[..4], ["81400CE", "81400PE", "81300CE", "81300PE"]);
    assert!(wanted.contains(&"81200PE".to_string()) && wanted.contains(&"81600CE".to_string()));
}

#[test]
fn a_plan_that_does_not_suffice_is_refused_in_words() {
    let check = |settings: StrategySettings, change: fn(&mut DayPlan), expected: &str| {
        let mut plan = plan(settings, base());
        change(&mut plan);
        assert_eq!(IndexPivot::new(&plan).unwrap_err().to_string(), expected);
    };
    let with = |family: &str| {
        let mut settings = defaults("index-pivot").unwrap();
        set(&mut settings, "pivot_family", family).unwrap();
        settings
    };
    check(
        with("traditional"),
        |plan| plan.histories.clear(),
        "the day plan lacks the previous day's candle of BSE:SENSEX",
    );
    check(
        with("demark"),
        |_| {},
        "the day plan is unusable: index-pivot needs R2, which demark levels do not have",
    );
    check(with("woodie"), |_| {}, "the day plan is unusable: woodie levels need today's open");
    let other = defaults("level-breakout").unwrap();
    check(other, |_| {}, "the day plan is unusable: the settings are not of index-pivot");
    let mut plan = plan(with("fibonacci"), base());
    plan.signal.key = index();
    assert!(IndexPivot::new(&plan).is_ok());
}
