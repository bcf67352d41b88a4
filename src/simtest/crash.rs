//! Every point at which a process can die: ten short scripted days, each
//! played again and again, dying after the first commit, the second, and so
//! on to the last; then after each order that was sent.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::TimeDelta;

use super::dice::{Dice, Stream};
use super::due::Due;
use super::fault::Faults;
use super::plan::{self, Stage};
use super::world::World;
use crate::engine::event::OperatorAction;
use crate::engine::ledger::{Decision, Direction, Verdict};
use crate::engine::settings::{Mode, RiskSettings, Schedule, Settings};
use crate::engine::strategy::{
    CandleInput, ClosedTrade, Judgement, Outlook, Signal, Strategy, Vehicle,
};
use crate::engine::{DayPlan, Engine};
use crate::market::time::hms;
use crate::market::{InstrumentKey, Money, OrderStatus, Price, Side, Timestamp};
use crate::store::Store;

/// Points of the index between the signal and its stop, and its target.
const AWAY: i64 = 10_000;

/// What happens on a scripted day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    Target,
    Partial,
    Stop,
    Timeout,
    ReEntry,
    Panic,
    DailyLoss,
    EndOfDay,
    ManualSale,
    RestingStop,
}

/// Days, and the points at which the process dies in all of them together, at
/// least.
const DAYS: usize = 10;
const POINTS_MIN: u32 = 477;

/// What the days that were played have added up to.
static PLAYED: Mutex<Vec<(Script, u32)>> = Mutex::new(Vec::new());

fn clock(minute: u32, second: u32) -> Timestamp {
    plan::at(hms(9, minute, second))
}

/// Enters after the candles that begin at these minutes.
#[derive(Debug)]
struct Scripted {
    starts: Vec<Timestamp>,
    time_stop: Option<u32>,
    contracts: Vec<InstrumentKey>,
}

impl Strategy for Scripted {
    fn on_candle(&mut self, input: CandleInput<'_>) -> Judgement {
        let enters = self.starts.contains(&input.candle.start);
        let close = input.candle.close;
        let signal = enters.then(|| Signal {
            instrument: input.instrument.clone(),
            direction: Direction::Long,
            setup: "R1".into(),
            structure: "SCRIPT".into(),
            candle: *input.candle,
            reference: close,
            stop: close - Price::from_paise(AWAY),
            first_target: None,
            target: close + Price::from_paise(AWAY),
            time_stop_candles: self.time_stop,
            on_ticks: true,
            vehicle: Vehicle::Option,
            first_candle: false,
            re_entry: self.starts.first() != Some(&input.candle.start),
            levels: Vec::new(),
        });
        let decision = Decision {
            instrument: input.instrument.clone(),
            candle: *input.candle,
            at: input.at,
            verdict: if enters { Verdict::Enter } else { Verdict::Quiet },
            reason: if enters { "ENTER" } else { "NO_CROSS" }.into(),
            direction: enters.then_some(Direction::Long),
            level: None,
            numbers: Vec::new(),
        };
        Judgement { decision, signal }
    }

    fn on_missed(&mut self, _setup: &str, _direction: Direction) {}

    fn on_closed(&mut self, _closed: ClosedTrade<'_>) {}

    fn outlook(&self) -> Vec<Outlook> {
        Vec::new()
    }

    fn wants(&self, _spot: Price) -> Vec<InstrumentKey> {
        self.contracts.clone()
    }
}

/// Five minutes of trading around one signal.
fn stage(script: Script) -> Stage {
    let mut dice = Dice::new(1, Stream::Plan);
    let Stage { plan, pace, .. } = plan::stage("index-pivot", &mut dice).unwrap();
    let near = |strike: Price| (strike.paise() - plan.contracts[12].strike.paise()).abs() <= 10_000;
    let contracts: Vec<_> = plan.contracts.iter().filter(|row| near(row.strike)).cloned().collect();
    let spot = contracts[2].strike.paise();
    let narrow = script == Script::DailyLoss;
    let risk = RiskSettings {
        max_lots: 3,
        max_daily_loss: Money::from_rupees(if narrow { 1_500 } else { 30_000 }),
        trade_risk_budget: Money::from_rupees(if narrow { 1_400 } else { 40_000 }),
        ..plan.settings.risk.clone()
    };
    let risk = if narrow {
        RiskSettings { delta_atm: crate::engine::settings::Ppm(1), ..risk }
    } else {
        risk
    };
    let schedule = Schedule {
        first_entry: hms(9, 15, 30),
        last_entry: hms(9, 18, 30),
        flatten_start: hms(9, 19, 0),
        hard_flat: hms(9, 20, 0),
        broker_square_off: hms(9, 25, 0),
        day_close: hms(9, 38, 0),
    };
    let settings = Settings { mode: Mode::Live, risk, schedule, ..plan.settings.clone() };
    let mut histories = plan.histories.clone();
    histories[0].candles.clear();
    let plan = DayPlan { settings, contracts, histories, candle_s: 60, ..plan };
    Stage { plan, pace, spot }
}

/// Where the index goes.
fn path(script: Script, spot: i64) -> Vec<(Timestamp, i64)> {
    let calm = vec![(clock(14, 0), spot), (clock(17, 10), spot)];
    let then = match script {
        Script::Target => vec![(clock(17, 30), spot + 2 * AWAY)],
        Script::Stop | Script::ReEntry => {
            vec![(clock(16, 25), spot), (clock(16, 40), spot - AWAY - 500), (clock(17, 10), spot)]
        }
        Script::DailyLoss => vec![(clock(17, 40), spot - AWAY + 500)],
        Script::RestingStop => vec![(clock(17, 11), spot - 60 * AWAY / 10)],
        // The price runs away while the entry fills in parts.
        Script::Partial => {
            let away = spot + AWAY / 2;
            vec![
                (clock(16, 3), spot),
                (clock(16, 4), away),
                (clock(17, 0), away),
                (clock(17, 10), spot),
            ]
        }
        Script::Timeout | Script::Panic | Script::EndOfDay | Script::ManualSale => Vec::new(),
    };
    let early = matches!(script, Script::Stop | Script::ReEntry | Script::Partial);
    let mut all = if early { calm[..1].to_vec() } else { calm };
    all.extend(then);
    all
}

/// When and after what the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    Never,
    Commit(u32),
    Send(u32),
}

fn play(script: Script, death: Death, empty: &Store) -> World {
    let stage = stage(script);
    let path = path(script, stage.spot);
    let mut starts = vec![clock(15, 0)];
    if script == Script::ReEntry {
        starts.push(clock(17, 0));
    }
    let time_stop = (script == Script::Timeout).then_some(2);
    let engine = move || {
        let starts = starts.clone();
        Engine::with_strategies(Arc::new(move |plan| {
            let contracts = plan.contracts.iter().map(|row| row.key.clone()).collect();
            Ok(Box::new(Scripted { starts: starts.clone(), time_stop, contracts }))
        }))
    };
    let store = empty.copy_in_memory().unwrap();
    let mut world = World::set(7, stage, Faults::none(), store, path).with_engine(engine);
    world.skip_to(clock(14, 20));
    world.ends_with_summary = true;
    world.story = (death == Death::Never).then(Vec::new);
    match death {
        Death::Never => {}
        Death::Commit(count) => world.weather.dies_after_commits = Some(count),
        Death::Send(count) => world.weather.dies_after_sends = Some(count),
    }
    world.heal = world.now;
    world.later(TimeDelta::zero(), Due::Start);
    world.at(clock(14, 40), Due::Tick);
    match script {
        Script::Panic => world.at(clock(17, 0), Due::Ask(OperatorAction::Panic { all: false })),
        Script::ManualSale => world.at(clock(17, 0), Due::Sale),
        Script::Partial => world.market.thin_until = clock(16, 20),
        Script::Target
        | Script::Stop
        | Script::Timeout
        | Script::ReEntry
        | Script::DailyLoss
        | Script::EndOfDay
        | Script::RestingStop => {}
    }
    world.play().unwrap()
}

fn check(script: Script, death: Death, world: &World) {
    assert_eq!(world.audit.violation, None, "{script:?} {death:?}");
    assert!(!world.left_open, "{script:?} {death:?}");
    assert_eq!(world.audit.summary_flat, Some(true), "{script:?} {death:?}");
}

/// The entry was filled in part and the rest of it cancelled.
fn has_cancelled_remainder(world: &World) -> bool {
    let mut rows = world.books.orders.iter().map(|order| &order.row);
    rows.any(|row| {
        row.side == Side::Buy
            && row.status == OrderStatus::Cancelled
            && (1..row.quantity).contains(&row.filled)
    })
}

/// Plays a day with every death; there are at least so many.
fn die_everywhere(script: Script, least: u32) {
    let empty = Store::in_memory(Mode::Live).unwrap();
    let whole = play(script, Death::Never, &empty);
    check(script, Death::Never, &whole);
    let trades = if script == Script::ReEntry { 2 } else { 1 };
    let story = whole.story.as_deref().unwrap_or_default().join("\n");
    assert_eq!(whole.audit.gross.len(), trades, "{script:?}\n{story}");
    assert_eq!(has_cancelled_remainder(&whole), script == Script::Partial, "{story}");
    let commits = (1..=whole.commits).map(Death::Commit);
    let sends = (1..=whole.sends).map(Death::Send);
    let mut points = 0;
    for death in commits.chain(sends) {
        let world = play(script, death, &empty);
        check(script, death, &world);
        points += world.deaths;
    }
    println!("{script:?}: {points} points at which the process died");
    assert!(points >= least, "{script:?}: {points}");
    let mut played = PLAYED.lock().unwrap_or_else(PoisonError::into_inner);
    played.push((script, points));
    if played.len() == DAYS {
        let points: u32 = played.iter().map(|(_, points)| points).sum();
        println!("{DAYS} days: {points} points at which the process died");
        assert!(points >= POINTS_MIN, "{played:?}");
    }
}

macro_rules! days {
    ($($name:ident: $script:ident, $least:expr;)*) => {
        $(
            #[test]
            fn $name() {
                die_everywhere(Script::$script, $least);
            }
        )*
    };
}

days! {
    dying_anywhere_on_the_way_to_a_target_ends_flat: Target, 44;
    dying_anywhere_in_an_entry_by_parts_ends_flat: Partial, 60;
    dying_anywhere_around_a_stop_ends_flat: Stop, 40;
    dying_anywhere_around_a_timeout_ends_flat: Timeout, 45;
    dying_anywhere_around_a_second_entry_ends_flat: ReEntry, 59;
    dying_anywhere_in_a_panic_ends_flat: Panic, 41;
    dying_anywhere_at_the_days_loss_limit_ends_flat: DailyLoss, 44;
    dying_anywhere_at_the_end_of_the_day_ends_flat: EndOfDay, 51;
    dying_anywhere_around_a_sale_by_hand_ends_flat: ManualSale, 43;
    dying_anywhere_while_the_resting_stop_fills_ends_flat: RestingStop, 50;
}
