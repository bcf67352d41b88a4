use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::engine::event::OperatorAction;
use crate::engine::ledger::{
    DaySummary, Decision, ExitReason, Fact, IntentId, OrderRecord, TradeRecord,
};
use crate::engine::settings::Mode;
use crate::market::{Money, OrderRequest, Tag};
use crate::store::DecisionQuery;
use crate::store::wire::sample::Draw;
use crate::store::wire::{Variants, tagged};

const GOLDEN: &str = include_str!("golden.jsonl");

fn at(text: &str) -> Timestamp {
    format!("2026-11-23T{text}+05:30")
        .parse::<chrono::DateTime<chrono::FixedOffset>>()
        .unwrap()
        .to_utc()
}

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 23).unwrap()
}

fn run(kind: &'static str) -> Run {
    Run {
        kind,
        pid: std::process::id(),
        started_at: at("08:01:00"),
        version: "0.1.0".into(),
        build: "test".into(),
        config_hash: "00".into(),
    }
}

fn claim(dir: &std::path::Path) -> Journal {
    let store = Store::open(dir, Role::Trading, Mode::Demo).unwrap();
    Journal::claim(store, &run("trading")).unwrap()
}

fn entry(seq: u64, time: &str, event: Event, commands: Vec<Command>) -> Entry {
    Entry { stamp: Stamp { seq, at: at(time) }, seen: Vec::new(), event, commands }
}

fn submit(tag: &str) -> Command {
    let order = OrderRequest { tag: Tag::new(tag).unwrap(), ..Wire::sample(&mut Draw::new(3)) };
    Command::Submit { intent: IntentId(1), reduces: false, order }
}

#[test]
fn a_record_reads_back_as_it_was() {
    proptest!(ProptestConfig::with_cases(400), |(seed: u64)| {
        let mut draw = Draw::new(seed);
        let event = Event::sample(&mut draw);
        prop_assert_eq!(Event::from_text(&event.to_text()).unwrap(), event);
        let commands: Vec<Command> = Wire::sample(&mut draw);
        prop_assert_eq!(Vec::<Command>::from_text(&commands.to_text()).unwrap(), commands);
    });
}

/// Lines as programs have written them. A line is never edited: a change of
/// the form that cannot read it would lose a trader's day.
#[test]
fn every_record_ever_written_is_still_read_whole() {
    for (number, line) in (1..).zip(GOLDEN.lines()) {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let (kind, body) = variant(&value).unwrap();
        let again = match kind {
            "event" => Event::read(body).map(|event| event.write()),
            "command" => Command::read(body).map(|command| command.write()),
            other => panic!("line {number}: {other}?"),
        };
        let again = again.unwrap_or_else(|error| panic!("line {number}: {error}"));
        assert!(holds(&again, body), "line {number}: {body} became {again}");
    }
}

/// True when everything in `then` is in `now` as well.
fn holds(now: &serde_json::Value, then: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Object};
    match (now, then) {
        (Object(now), Object(then)) => {
            then.iter().all(|(key, then)| now.get(key).is_some_and(|now| holds(now, then)))
        }
        (Array(now), Array(then)) => {
            now.len() == then.len() && now.iter().zip(then).all(|(now, then)| holds(now, then))
        }
        (now, then) => now == then,
    }
}

#[test]
#[expect(clippy::wildcard_enum_match_arm, reason = "only some variants hold another enum")]
fn every_variant_has_a_golden_line() {
    fn missing<T: Wire + Variants>(
        kind: &str,
        name_of: impl Fn(&T) -> Option<String>,
    ) -> Vec<String> {
        let read = |line: &str| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let (found, body) = variant(&value).unwrap();
            if found == kind { T::read(body).ok().and_then(|value| name_of(&value)) } else { None }
        };
        let covered: BTreeSet<String> = GOLDEN.lines().filter_map(read).collect();
        let draws = (0..5_000).map(|seed| T::sample(&mut Draw::new(seed)));
        let mut found = covered;
        let fresh = draws.filter(|value| name_of(value).is_some_and(|name| found.insert(name)));
        fresh.map(|value| tagged(kind, value.write()).to_string()).collect()
    }
    let outer = |value: serde_json::Value| variant(&value).map(|(name, _)| name.to_owned()).ok();
    let mut lines = missing::<Event>("event", |event| match event {
        Event::Operator(command) => outer(command.action.write()),
        Event::Outcome { outcome, .. } => outer(outcome.write()),
        Event::Day(plan) => outer(plan.settings.strategy.write()),
        event => outer(event.write()),
    });
    lines.extend(missing::<Command>("command", |command| match command {
        Command::Record(fact) => outer(fact.write()),
        other => outer(other.write()),
    }));
    assert!(lines.is_empty(), "add to src/journal/golden.jsonl:\n{}", lines.join("\n"));
}

#[test]
fn fields_that_came_later_may_be_missing() {
    let event = Event::sample(&mut Draw::new(1));
    let mut plan = loop_for_plan();
    plan.settings.risk.drawdown = None;
    let mut value = Event::Day(plan.clone()).write();
    let risk = value["Day"]["settings"]["risk"].as_object_mut().unwrap();
    risk.remove("drawdown").unwrap();
    assert_eq!(Event::read(&value).unwrap(), Event::Day(plan));
    value["Day"].as_object_mut().unwrap().remove("signal").unwrap();
    let error = Event::read(&value).unwrap_err().to_string();
    assert_eq!(error, r#"expected a value at "Day.signal""#);
    assert!(Event::from_text(&format!("{}x", event.to_text())).is_err());
}

fn loop_for_plan() -> Box<crate::engine::DayPlan> {
    Wire::sample(&mut Draw::new(11))
}

#[test]
fn what_is_appended_is_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = claim(dir.path());
    let plan = Event::Day(loop_for_plan());
    let mut seen = entry(2, "09:15:01.000000001", Event::Deadline, vec![submit("T1")]);
    seen.seen = vec![Wire::sample(&mut Draw::new(5))];
    let batch = [entry(1, "08:45:00", plan, Vec::new()), seen];
    journal.append(&batch).unwrap();
    assert_eq!(journal.last_seq(), 2);
    assert!(journal.store().has_intent("T1").unwrap());
    assert!(!journal.store().has_intent("T2").unwrap());
    drop(journal);

    let again = claim(dir.path());
    assert_eq!((again.epoch(), again.last_seq()), (2, 2));
    assert_eq!(again.replay(day()).unwrap(), batch);
    assert_eq!(again.last_day(None).unwrap(), Some(day()));
    assert_eq!(again.last_day(Some(day())).unwrap(), None);
}

#[test]
fn an_older_process_is_fenced_off() {
    let dir = tempfile::tempdir().unwrap();
    let mut stalled = claim(dir.path());
    stalled.append(&[entry(1, "09:15:00", Event::Deadline, Vec::new())]).unwrap();
    let mut fresh = claim(dir.path());
    fresh.append(&[entry(2, "09:15:01", Event::Restarted, Vec::new())]).unwrap();
    // What it committed before must not leave any more either.
    let may_send = |journal: &Journal| {
        journal
            .fence(Store::open(dir.path(), Role::Reader, journal.store().mode()).unwrap())
            .check()
    };
    let error = may_send(&stalled);
    assert!(matches!(error, Err(JournalError::Fenced { epoch: 1 })), "{error:?}");
    may_send(&fresh).unwrap();
    let error = stalled.append(&[entry(2, "09:15:02", Event::Deadline, vec![submit("T2")])]);
    assert!(matches!(error, Err(JournalError::Fenced { epoch: 1 })), "{error:?}");
    assert!(!fresh.store().has_intent("T2").unwrap());
    fresh.append(&[entry(3, "09:15:03", Event::Deadline, Vec::new())]).unwrap();
}

#[test]
fn sequences_only_grow() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = claim(dir.path());
    journal.append(&[entry(5, "09:15:00", Event::Deadline, Vec::new())]).unwrap();
    let doubled = [
        entry(6, "09:15:01", Event::Deadline, Vec::new()),
        entry(6, "09:15:01", Event::Deadline, Vec::new()),
    ];
    assert!(matches!(journal.append(&doubled), Err(JournalError::Sequence { found: 6, last: 6 })));
    assert_eq!(journal.replay(day()).unwrap().len(), 1);
}

#[test]
fn a_failed_commit_leaves_nothing_of_the_batch() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = claim(dir.path());
    let cap = |journal: &Journal, spare: i64| {
        let set = journal.store.read("page_count", |connection| {
            let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            connection.pragma_update(None, "max_page_count", pages + spare)
        });
        set.unwrap();
    };
    cap(&journal, 1);
    let mut huge: crate::engine::Notice = Wire::sample(&mut Draw::new(1));
    huge.footer = Some("x".repeat(100_000));
    let batch = [
        entry(1, "09:15:00", Event::Deadline, vec![submit("T1")]),
        entry(2, "09:15:00", Event::Deadline, vec![Command::Say(huge)]),
    ];
    assert!(matches!(journal.append(&batch), Err(JournalError::Store(StoreError::Write { .. }))));
    assert_eq!(journal.last_seq(), 0);
    assert!(journal.replay(day()).unwrap().is_empty());
    assert!(!journal.store().has_intent("T1").unwrap());
    assert!(journal.store().outbox_pending(10).unwrap().is_empty());
}

#[test]
fn a_replay_that_differs_is_told() {
    let stored = entry(7, "09:15:00", Event::Deadline, vec![submit("T1"), submit("T2")]);
    assert_eq!(compare(&stored, &stored.commands), Ok(()));
    let error = compare(&stored, &[submit("T1")]).unwrap_err();
    assert_eq!((error.seq, error.index, error.regenerated.as_str()), (7, 1, "nothing"));
    assert!(compare(&stored, &[submit("T1"), submit("T3")]).is_err());
}

fn trade() -> TradeRecord {
    TradeRecord {
        trade_id: "20261123_001".into(),
        date: day(),
        setup: "SCENARIO_1".into(),
        quantity: 75,
        entry_value: Money::from_paise(75 * 14_482 + 30),
        entered_at: Some(at("09:18:02")),
        closed_quantity: 75,
        exit_value: Money::from_paise(75 * 15_000),
        exited_at: Some(at("09:48:00")),
        exit_reason: Some(ExitReason::Timeout),
        gross: Money::from_paise(75 * 518 - 30),
        charges: Money::from_paise(5_432),
        ..Wire::sample(&mut Draw::new(2))
    }
}

#[test]
fn facts_become_rows_that_people_can_query() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = claim(dir.path());
    let decision = Decision {
        at: at("09:36:00"),
        candle: crate::market::Candle { start: at("09:33:00"), ..Wire::sample(&mut Draw::new(4)) },
        verdict: crate::engine::ledger::Verdict::Rejected,
        reason: "NOT_SIGNIFICANT".into(),
        ..Wire::sample(&mut Draw::new(6))
    };
    let order = OrderRecord { date: day(), ..Wire::sample(&mut Draw::new(7)) };
    let summary = DaySummary {
        date: day(),
        trades: 3,
        wins: 2,
        by_setup: vec![("SCENARIO_1".into(), 2), ("SCENARIO_3".into(), 1)],
        ..Wire::sample(&mut Draw::new(8))
    };
    let state = Wire::sample(&mut Draw::new(9));
    let facts = [
        Fact::Decision(decision.clone()),
        Fact::Trade(Box::new(trade())),
        Fact::Order(Box::new(order.clone())),
        Fact::State(state),
        Fact::Answer { request: 4, done: true, text: "enabled".into() },
        Fact::Limit(Wire::sample(&mut Draw::new(10))),
        Fact::Day(Box::new(summary.clone())),
    ];
    let outlook = crate::engine::strategy::Outlook {
        instrument: decision.instrument.clone(),
        structure: "BULLISH".into(),
        levels: vec![("R1".into(), crate::market::Price::from_paise(15_143))],
        facts: Vec::new(),
    };
    journal.store_mut().outlook_keep(day(), &[outlook]).unwrap();
    let Fact::State(state) = facts[3].clone() else { unreachable!() };
    let commands = facts.into_iter().map(Command::Record).collect();
    journal.append(&[entry(1, "09:36:00", Event::Deadline, commands)]).unwrap();

    let store = journal.store();
    assert_eq!(store.trades(day(), day()).unwrap(), [trade()]);
    assert_eq!(store.trade("20261123_001").unwrap(), Some(trade()));
    assert_eq!(store.open_trade().unwrap(), None);
    assert_eq!(store.orders(day()).unwrap(), [order]);
    assert_eq!(store.summaries(day(), day()).unwrap(), [summary]);
    assert_eq!(store.state().unwrap(), Some(state));
    assert_eq!(store.answers(4).unwrap()[0].text, "enabled");
    assert_eq!(store.limits().unwrap().len(), 1);
    let query = |time: Option<&str>| DecisionQuery {
        time: time.map(|time| time.parse().unwrap()),
        limit: 10,
        ..DecisionQuery::default()
    };
    let decisions = |time| store.decisions(day(), &query(time)).unwrap();
    assert_eq!(decisions(None), decisions(Some("09:35:59")));
    assert_eq!(decisions(None), [decision]);
    assert_eq!(decisions(None), decisions(Some("09:36:00")), "closed just then");
    assert!(decisions(Some("09:36:01")).is_empty());

    let check = |sql: &str, expect: &str| {
        let found: String = store
            .read("x", |connection| connection.query_row(sql, [], |row| row.get(0)))
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        assert_eq!(found, expect, "{sql}");
    };
    check("SELECT exit_reason FROM trades WHERE scenario = 1", "10_CANDLE_TIMEOUT");
    check("SELECT entry_time FROM trades", "2026-11-23T09:18:02+05:30");
    check("SELECT printf('%.2f %.2f', entry_price, exit_price) FROM trades", "144.82 150.00");
    check("SELECT printf('%.2f', net_pnl) FROM trades", "333.88");
    check("SELECT printf('%d %d', gross_paise, net_paise) FROM trades", "38820 33388");
    check("SELECT date || time || reason FROM signals", "2026-11-2309:36:00NOT_SIGNIFICANT");
    check(
        "SELECT printf('%s %.2f %d', structure, pivot_r1, is_significant) FROM signals",
        "BULLISH 151.43 0",
    );
    check(
        "SELECT printf('%d %d %.2f', scenario_1_trades, scenario_3_trades, win_rate) FROM daily_summary",
        "2 1 66.67",
    );
}

#[test]
fn a_notice_of_the_engine_is_posted_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = claim(dir.path());
    let notice = crate::engine::Notice {
        once: Some("summary".into()),
        at: at("15:15:00"),
        ..Wire::sample(&mut Draw::new(1))
    };
    for seq in 1..=2 {
        let say = vec![Command::Say(notice.clone())];
        journal.append(&[entry(seq, "15:15:00", Event::Deadline, say)]).unwrap();
    }
    assert_eq!(journal.store().outbox_of(day()).unwrap().len(), 1);
    assert_eq!(journal.replay(day()).unwrap().len(), 2);
}

#[test]
fn an_operator_command_survives_whole() {
    let action = OperatorAction::Panic { all: true };
    let text = action.to_text();
    assert_eq!(text, r#"{"Panic":{"all":true}}"#);
    assert_eq!(OperatorAction::from_text(&text), Ok(action));
}

#[test]
fn m20_each_run_is_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    drop(claim(&dir));
    drop(claim(&dir));
    let store = Store::open(&dir, Role::Reader, Mode::Demo).unwrap();
    let runs = store.read("runs", |connection| {
        let sql = "SELECT epoch, kind, version, build, config_hash, sqlite, mode FROM runs
            ORDER BY epoch";
        let mut statement = connection.prepare(sql)?;
        let row = |row: &rusqlite::Row<'_>| {
            let texts: Vec<String> =
                (1..7).map(|column| row.get(column)).collect::<Result<_, _>>()?;
            Ok((row.get::<_, i64>(0)?, texts))
        };
        statement.query_map([], row)?.collect::<Result<Vec<_>, _>>()
    });
    let runs = runs.unwrap();
    assert_eq!(runs.iter().map(|(epoch, _)| *epoch).collect::<Vec<_>>(), [1, 2]);
    let texts = ["trading", "0.1.0", "test", "00", rusqlite::version(), Mode::Demo.as_str()];
    assert!(runs.iter().all(|(_, run)| run == &texts));
}
