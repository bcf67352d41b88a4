//! Commands: who may, what becomes of them, late ones, doubled ones, and
//! those that a crash came between.

use std::time::Duration;

use pivot_trading::clock::Clock;
use pivot_trading::engine::event::OperatorAction;
use pivot_trading::engine::settings::Limit;
use pivot_trading::journal::{Journal, Run};
use pivot_trading::store::{Ask, Role};
use pivot_trading::upkeep::backup::glance;
use serde_json::json;

use super::stage::{DEADLINE, OPERATOR, OWNER, STRANGER, Stage, VIEWER};

fn operator(action: OperatorAction) -> Ask {
    Ask::Operator(action)
}

#[test]
fn a_command_is_asked_answered_and_audited() {
    let mut stage = Stage::new();
    stage.start();
    stage.write(OPERATOR, "/setlots 2");
    let asked = stage.asked(0);
    let set = OperatorAction::Set { limit: Limit::Lots, value: 2 };
    assert_eq!(asked.request.ask, operator(set));
    assert_eq!(asked.request.actor, "telegram:8");
    stage.answer(asked.id, true, "Lots are 2 from now on.");
    let reply = stage.expect(OPERATOR, "Lots are 2 from now on.");
    assert!(reply.text.starts_with("🔵 DEMO · pivot-trading"), "{}", reply.text);
    let reader = stage.store(Role::Reader);
    stage.until("a line in the audit log", || {
        let line = reader.audit_tail(1).unwrap().pop()?;
        (line.outcome == "done" && line.actor == "telegram:8").then_some(())
    });
    stage.stop();
}

#[test]
fn a_command_for_another_bot_is_left_alone() {
    let mut stage = Stage::new();
    stage.start();
    stage.write(OWNER, "/version@Pivot_Sim_Bot");
    stage.expect(OWNER, "pivot-bot");
    // The bot asks for its own name beside everything else.
    std::thread::sleep(Duration::from_millis(500));
    stage.write(OWNER, "/panic@other_bot");
    stage.write(STRANGER, "/start@other_bot");
    stage.write(OWNER, "/health");
    stage.expect(OWNER, "Health");
    let texts = stage.texts(OWNER);
    assert!(texts.iter().all(|text| !text.contains("anic") && !text.contains("stranger")));
    assert!(stage.store(Role::Reader).inbox_after(0, 10).unwrap().is_empty());
}

#[test]
fn only_those_on_the_list_are_heard() {
    let mut stage = Stage::new();
    stage.start();
    stage.write(STRANGER, "/panic");
    stage.expect(OWNER, "A stranger wrote");
    stage.write(STRANGER, "/status");
    stage.write(VIEWER, "/disable");
    stage.expect(VIEWER, "Only operators");
    stage.write(VIEWER, "/status");
    stage.expect(VIEWER, "Status");
    assert!(stage.texts(STRANGER).is_empty());
    let told = stage.texts(OWNER);
    assert_eq!(told.len(), 1, "{told:?}");
    let reader = stage.store(Role::Reader);
    assert!(reader.inbox_after(0, 10).unwrap().is_empty());
    let audit = reader.audit_tail(10).unwrap();
    assert!(audit.iter().any(|line| line.actor == "telegram:666"), "{audit:?}");
    assert!(audit.iter().any(|line| line.outcome == "not allowed"), "{audit:?}");
}

#[test]
fn a_late_command_is_offered_and_a_late_disable_is_done() {
    let mut stage = Stage::new();
    stage.write_late(OWNER, "/exit", 300);
    stage.write_late(OWNER, "/disable", 300);
    stage.start();
    let offer = stage.expect(OWNER, "Not carried out");
    assert!(offer.text.contains("close the open position"), "{}", offer.text);
    let asked = stage.asked(0);
    assert_eq!(asked.request.ask, operator(OperatorAction::Disable));
    stage.answer(asked.id, true, "Entries are disabled.");
    stage.expect(OWNER, "Entries are disabled.");
    stage.press(OWNER, &offer, "Do it now");
    let exit = stage.asked(asked.id);
    assert_eq!(exit.request.ask, operator(OperatorAction::Exit));
    stage.expect_word("Received");
    // The same button a second time does nothing and says so.
    stage.press(OWNER, &offer, "Do it now");
    stage.expect_word("no longer good");
    assert!(stage.store(Role::Reader).inbox_after(exit.id, 10).unwrap().is_empty());
}

#[test]
fn a_doubled_update_is_carried_out_once() {
    let mut stage = Stage::new();
    stage.start();
    let update = stage.write(OWNER, "/exit");
    let asked = stage.asked(0);
    stage.control("redeliver", json!({ "update_id": update }));
    stage.answer(asked.id, true, "Nothing is open.");
    stage.expect(OWNER, "Nothing is open.");
    stage.control("redeliver", json!({ "update_id": update }));
    stage.write(OWNER, "/version");
    stage.expect(OWNER, "Version");
    assert_eq!(stage.store(Role::Reader).inbox_after(0, 10).unwrap().len(), 1);
    let replies = stage.texts(OWNER);
    let answers = replies.iter().filter(|text| text.contains("Nothing is open.")).count();
    assert_eq!(answers, 1, "{replies:?}");
}

#[test]
fn a_crash_between_question_and_answer_loses_neither() {
    let mut stage = Stage::new();
    stage.start();
    stage.write(OWNER, "/disable");
    let asked = stage.asked(0);
    stage.crash();
    stage.answer(asked.id, true, "Entries are disabled.");
    stage.start();
    stage.expect(OWNER, "Entries are disabled.");
    assert_eq!(stage.store(Role::Reader).inbox_after(0, 10).unwrap().len(), 1);
    stage.stop();
}

#[test]
fn enabling_after_a_panic_asks_first() {
    let mut stage = Stage::new();
    stage.sql(
        "INSERT INTO state (date, permission, reason, actor, since) VALUES
         ('2026-11-23', 'HALTED', 'PANIC', 'telegram:7', '2026-11-23T05:00:00.000000000Z')",
    );
    stage.start();
    stage.write(OWNER, "/enable");
    let question = stage.expect(OWNER, "Enable entries all the same?");
    assert!(question.text.contains("PANIC by telegram:7"), "{}", question.text);
    stage.press(VIEWER, &question, "Enable all the same");
    stage.expect_word("Only operators");
    stage.write(OWNER, "/enable");
    let question = stage.expect(OWNER, "Enable entries all the same?");
    stage.press(OWNER, &question, "Enable all the same");
    let asked = stage.asked(0);
    assert_eq!(asked.request.ask, operator(OperatorAction::Enable { confirmed: true }));
}

#[test]
fn a_panic_without_acknowledgement_is_carried_out_elsewhere() {
    let mut stage = Stage::new();
    stage.start();
    stage.write(OWNER, "/panic");
    stage.expect(OWNER, "Panic received");
    let asked = stage.asked(0);
    assert_eq!(asked.request.ask, operator(OperatorAction::Panic { all: false }));
    stage.expect(OWNER, "does not acknowledge");
    let order = stage.flattened.recv_timeout(DEADLINE).unwrap();
    assert_eq!((order.request, order.actor.as_str()), (asked.id, "telegram:7"));
    let outcry = stage.expect(OWNER, "act in Kite now");
    assert!(outcry.text.contains("nobody is logged in"), "{}", outcry.text);
}

#[test]
fn a_panic_that_is_acknowledged_is_left_to_pivot_trading() {
    let mut stage = Stage::new();
    stage.start();
    stage.write(OWNER, "/panic all");
    let asked = stage.asked(0);
    assert_eq!(asked.request.ask, operator(OperatorAction::Panic { all: false }));
    stage.answer(asked.id, true, "Entries are stopped.");
    stage.expect(OWNER, "Panic received");
    stage.expect(OWNER, "Entries are stopped.");
    let question = stage.question(OWNER, "opened by hand as well?");
    stage.press(OWNER, &question, "Close everything");
    let all = stage.asked(asked.id);
    assert_eq!(all.request.ask, operator(OperatorAction::Panic { all: true }));
    stage.answer(all.id, true, "Everything is being closed.");
    stage.expect(OWNER, "Everything is being closed.");
    assert!(stage.flattened.recv_timeout(Duration::from_millis(2500)).is_err());
}

#[test]
fn every_view_answers_with_the_mode_and_sound_markup() {
    let mut stage = Stage::new();
    stage.start();
    let check = |stage: &mut Stage, text: &str, words: &str| {
        stage.write(VIEWER, text);
        let reply = stage.expect(VIEWER, words);
        assert!(reply.text.contains("DEMO"), "{text}: {}", reply.text);
        assert_ne!(reply.html, reply.text, "{text} was sent plain");
    };
    check(&mut stage, "/status", "Status");
    check(&mut stage, "/position", "No open position");
    check(&mut stage, "/trades", "Trades of");
    check(&mut stage, "/summary 2026-11-20", "Day 2026-11-20");
    check(&mut stage, "/week", "Week");
    check(&mut stage, "/month", "Month");
    check(&mut stage, "/pivots", "Levels of");
    check(&mut stage, "/why", "Why");
    check(&mut stage, "/orders", "Orders of");
    check(&mut stage, "/health", "Health");
    check(&mut stage, "/config", "Settings");
    check(&mut stage, "/version", "Version");
    check(&mut stage, "/help", "/panic [all]");
    check(&mut stage, "/help panic", "Example: /panic");
    check(&mut stage, "/statsu <now> & then", "there is no /statsu");
    check(&mut stage, "/setlots", "Example: /setlots 1");
}

#[test]
fn why_shows_the_last_candle_of_a_day_without_a_setup() {
    let mut stage = Stage::new();
    stage.start();
    stage.sql(
        r#"INSERT INTO decisions (date, exchange, symbol, start, at, verdict, reason, record)
        VALUES ('2026-11-23', 'BSE', 'SENSEX', '2026-11-23T05:42:00.000000000Z',
        '2026-11-23T05:45:00.000000000Z', 'QUIET', 'NO_CROSS', '{"at":"2026-11-23T05:45:00Z",
        "candle":{"close":8104028,"high":8108310,"low":8103415,"open":8104320,
        "start":"2026-11-23T05:42:00Z","volume":0},"direction":null,"instrument":"BSE:SENSEX",
        "level":null,"numbers":[["close","81040.28"]],"reason":"NO_CROSS","verdict":"Quiet"}')"#,
    );
    stage.write(VIEWER, "/why");
    let reply = stage.expect(VIEWER, "No setup so far; the last candle:");
    assert!(reply.text.contains("11:12–11:15 SENSEX · NO_CROSS"), "{}", reply.text);
}

#[test]
fn the_status_is_refreshed_in_place() {
    let mut stage = Stage::new();
    stage.start();
    stage.write(OWNER, "/status");
    let status = stage.expect(OWNER, "Status");
    let labels: Vec<&str> =
        status.buttons.iter().flatten().map(|button| button.text.as_str()).collect();
    assert_eq!(labels.len(), 5, "{labels:?}");
    stage.press(OWNER, &status, "Refresh");
    let again = stage.expect(OWNER, "Status");
    assert_eq!(again.message_id, status.message_id);
    stage.press(OWNER, &again, "Panic");
    assert_eq!(stage.asked(0).request.ask, operator(OperatorAction::Panic { all: false }));
}

#[test]
fn another_poller_is_told_of() {
    let mut stage = Stage::new();
    stage.control("faults", json!({ "method": "getUpdates", "status": 409 }));
    stage.start();
    stage.expect(OWNER, "Another program uses this bot's token");
    stage.write(OWNER, "/status");
    stage.expect(OWNER, "Status");
}

#[test]
fn operators_have_a_backup_made_and_hear_how_it_was_proved() {
    let mut stage = Stage::new();
    let run = Run {
        kind: "trading",
        pid: 1,
        started_at: Clock::system().now(),
        version: "0".into(),
        build: "0".into(),
        config_hash: "0".into(),
    };
    drop(Journal::claim(stage.store(Role::Trading), &run).unwrap());
    stage.start();
    stage.write(VIEWER, "/backup");
    stage.expect(VIEWER, "Only operators may change things.");
    stage.write(OPERATOR, "/backup");
    let reply = stage.expect(OPERATOR, "Backup made and verified");
    for words in ["pivot-", "-demo.tar.gz", "Size", "✓ integrity", "✓ rows", "✓ journal"] {
        assert!(reply.text.contains(words), "{words}: {}", reply.text);
    }
    let reader = stage.store(Role::Reader);
    let outcomes = stage.until("the audit", || {
        let lines = reader.audit_tail(10).unwrap();
        let of = lines.into_iter().filter(|line| line.what == "make a backup");
        let outcomes: Vec<String> = of.map(|line| line.outcome).collect();
        outcomes.iter().any(|outcome| outcome == "done").then_some(outcomes)
    });
    assert_eq!(outcomes.len(), 3, "{outcomes:?}");
    let dir = stage.data().with_file_name("backups");
    let made = glance(&dir).unwrap();
    assert_eq!(made.len(), 1);
    stage.write(VIEWER, "/health");
    let health = stage.expect(VIEWER, "Health");
    assert!(health.text.contains("🟢 Upkeep"), "{}", health.text);
    stage.stop();
}
