//! Random days: what must hold for all of them.

use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::strategy::{Strategy, ValueTree};

use super::*;
use crate::engine::ledger::ExitReason;
use crate::engine::settings::{Ppm, StrategySettings};
use crate::engine::strategy::Judgement;
use crate::engine::strategy::parameters::defaults;
use crate::engine::strategy::rig::{Feed, at, plan, previous, shown};
use crate::market::DayCandle;

/// One candle of a random walk in whole rupees, and what becomes of a
/// position at its close.
#[derive(Debug, Clone, Copy)]
struct Step {
    gap: i64,
    body: i64,
    up: i64,
    down: i64,
    fate: u8,
}

fn step() -> impl Strategy<Value = Step> {
    (-8_i64..=8, -70_i64..=70, 0_i64..=25, 0_i64..=25, 0_u8..12)
        .prop_map(|(gap, body, up, down, fate)| Step { gap, body, up, down, fate })
}

fn walk(open: i64, steps: &[Step]) -> Vec<Candle> {
    let mut last = open;
    let mut candles = Vec::new();
    for (slot, step) in (0_i64..).zip(steps) {
        let open = last + step.gap;
        let close = open + step.body;
        candles.push(Candle {
            start: at("09:15") + TimeDelta::minutes(3 * slot),
            open: Price::from_rupees(open),
            high: Price::from_rupees(open.max(close) + step.up),
            low: Price::from_rupees(open.min(close) - step.down),
            close: Price::from_rupees(close),
            volume: 0,
        });
        last = close;
    }
    candles
}

/// Feeds candles; positions are missed or closed as the steps say.
fn decide(feed: &mut Feed, candles: &[Candle], steps: &[Step]) -> Vec<Judgement> {
    let mut judged = Vec::new();
    let mut holds = false;
    for (candle, step) in candles.iter().zip(steps) {
        let judgement = feed.take(candle, true);
        let end = judgement.decision.at;
        if judgement.signal.is_some() {
            holds = true;
        }
        judged.push(judgement);
        if !holds {
            continue;
        }
        match step.fate {
            0 => feed.miss(),
            1..=4 => feed.close(end - TimeDelta::seconds(30), ExitReason::StopLoss, true),
            5 => feed.close(end, ExitReason::Target, false),
            6 => feed.close(end, ExitReason::Timeout, true),
            _ => continue,
        }
        holds = false;
    }
    judged
}

/// Reflection of prices around this.
const AXIS: Price = Price::from_rupees(160_000);

fn mirrored(candle: &Candle) -> Candle {
    Candle {
        open: AXIS - candle.open,
        high: AXIS - candle.low,
        low: AXIS - candle.high,
        close: AXIS - candle.close,
        ..*candle
    }
}

/// Settings without a share of a price: shares of a price and of its mirror
/// image differ.
fn without_shares(narrow: bool) -> StrategySettings {
    let StrategySettings::IndexPivot(settings) = defaults("index-pivot").unwrap() else {
        panic!("another strategy")
    };
    StrategySettings::IndexPivot(IndexPivotSettings {
        buffer: Ppm(0),
        min_risk: Ppm(0),
        max_risk: Ppm(Ppm::WHOLE),
        gap_extreme: Ppm(Ppm::WHOLE),
        cpr_narrow: Ppm(if narrow { Ppm::WHOLE } else { 0 }),
        cpr_wide: Ppm(Ppm::WHOLE),
        sig_percentile: 0,
        lookback: 1000,
        ..settings
    })
}

fn feed(settings: StrategySettings, previous: DayCandle) -> Feed {
    let mut plan = plan(settings, previous);
    // Candles without a body: every size is at the lowest percentile or above.
    for candle in &mut plan.histories[0].candles {
        candle.close = candle.open;
    }
    Feed::new(&plan)
}

fn other_side(text: &str) -> String {
    let swapped = match text {
        "OPEN_BEYOND_R2" => "OPEN_BEYOND_S2",
        "OPEN_BEYOND_S2" => "OPEN_BEYOND_R2",
        "CPR_HI" => "CPR_LO",
        "CPR_LO" => "CPR_HI",
        other => match other.split_at_checked(1) {
            Some(("R", digits)) if digits.len() == 1 => return format!("S{digits}"),
            Some(("S", digits)) if digits.len() == 1 => return format!("R{digits}"),
            Some(_) | None => other,
        },
    };
    swapped.to_string()
}

fn said(judgement: &Judgement) -> (String, Option<String>, Option<[Price; 4]>) {
    let prices = judgement.signal.as_ref().map(|signal| {
        let first = signal.first_target.expect("two targets");
        [signal.reference, signal.stop, first, signal.target]
    });
    (judgement.decision.reason.clone(), judgement.decision.level.clone(), prices)
}

#[test]
fn random_days_do_trade() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let days = proptest::collection::vec(step(), 100);
    let (mut long, mut short) = (0, 0);
    for _ in 0..20 {
        let steps = days.new_tree(&mut runner).unwrap().current();
        let mut feed = feed(without_shares(true), previous("81200", "80600", "81050"));
        for judgement in decide(&mut feed, &walk(80_950, &steps), &steps) {
            match judgement.signal.map(|signal| signal.direction) {
                Some(Direction::Long) => long += 1,
                Some(Direction::Short) => short += 1,
                None => {}
            }
        }
    }
    assert!(long >= 5 && short >= 5, "{long} longs, {short} shorts");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_day_turned_upside_down_gives_the_same_day_short(
        steps in proptest::collection::vec(step(), 40..125),
        open in 80_300_i64..81_700,
        close in 80_600_i64..=81_200,
        narrow in any::<bool>(),
    ) {
        let day = previous("81200", "80600", &close.to_string());
        let turned = DayCandle {
            open: AXIS - day.open, high: AXIS - day.low, low: AXIS - day.high,
            close: AXIS - day.close, ..day
        };
        let candles = walk(open, &steps);
        let images: Vec<Candle> = candles.iter().map(mirrored).collect();
        let straight = decide(&mut feed(without_shares(narrow), day), &candles, &steps);
        let inverse = decide(&mut feed(without_shares(narrow), turned), &images, &steps);
        for (one, other) in straight.iter().zip(&inverse) {
            let (reason, level, prices) = said(one);
            let expected = (
                other_side(&reason),
                level.map(|level| other_side(&level)),
                prices.map(|prices| prices.map(|price| AXIS - price)),
            );
            prop_assert_eq!(said(other), expected, "{:?}", one);
            prop_assert_eq!(
                one.decision.direction.map(|direction| match direction {
                    Direction::Long => Direction::Short,
                    Direction::Short => Direction::Long,
                }), other.decision.direction
            );
        }
    }

    #[test]
    fn every_candle_has_one_decision_and_every_signal_makes_sense(
        steps in proptest::collection::vec(step(), 1..125),
        open in 80_300_i64..81_700,
        close in 80_600_i64..=81_200,
        retest in any::<bool>(),
    ) {
        let day = previous("81200", "80600", &close.to_string());
        let candles = walk(open, &steps);
        let mut settings = defaults("index-pivot").unwrap();
        if retest {
            crate::engine::strategy::parameters::set(&mut settings, "entry_mode", "BREAKOUT_RETEST")
                .unwrap();
        }
        let run = || decide(&mut Feed::new(&plan(settings.clone(), day)), &candles, &steps);
        let judged = run();
        prop_assert_eq!(judged.len(), candles.len());
        prop_assert_eq!(&judged, &run());
        for (judgement, candle) in judged.iter().zip(&candles) {
            prop_assert_eq!(&judgement.decision.candle, candle);
            let Some(signal) = &judgement.signal else { continue };
            let find = |name: &str| signal.levels.iter().find(|(known, _)| known == name);
            let (_, level) = find(&signal.setup).expect("the level it names");
            let (stop, entry) = (signal.stop, signal.reference);
            let (first, last) = (signal.first_target.expect("two targets"), signal.target);
            let ordered = match signal.direction {
                Direction::Long => *level < entry && stop < entry && entry < first && first <= last,
                Direction::Short => *level > entry && stop > entry && entry > first && first >= last,
            };
            prop_assert!(ordered, "{}: {:?}", shown(judgement), signal);
        }
    }
}
