//! One trade's story as `pivotctl trace` tells it, from the databases that
//! the services left.

use std::process::Output;
use std::time::Duration;

use pivot_trading::clock::Clock;
use pivot_trading::engine::event::OperatorAction;
use pivot_trading::store::{DeliveryState, Role};
use pivot_trading::telemetry::rows::{FILE_NAME, Options, Row, Sink, SqliteBackend};
use serde_json::Value;
use tracing::Level;

use super::world::{World, date};

const DEADLINE: Duration = Duration::from_secs(20);

fn trace(world: &World, arguments: &[&str]) -> Output {
    let arguments = [&["trace"], arguments].concat();
    world.start_ctl(&arguments).wait_with_output().unwrap()
}

/// Rows as the other services log them of this trade.
fn log(world: &World, trade: &str, order: &str) {
    let clock = Clock::system();
    let backend = SqliteBackend::new(&world.data().join(FILE_NAME), &clock);
    let fallback = world.data().join("test_fallback.jsonl");
    let sink = Sink::start(Options::new("test", fallback, &clock), backend).unwrap();
    let row = |service: &'static str, message: &str, data: Value, id: Option<&str>| Row {
        at: world.now(),
        level: Level::INFO,
        service: service.into(),
        component: "api".into(),
        target: "pivot_trading::tests".into(),
        message: message.to_owned(),
        data: data.to_string(),
        correlation_id: id.map(str::to_owned),
        event_type: None,
        duration_us: None,
    };
    let order = serde_json::json!({ "order_id": order });
    let none = serde_json::json!({});
    assert!(sink.offer(row("auth", "a test kept a postback", order.clone(), None)));
    assert!(sink.offer(row("bot", "a test delivered", order, Some(trade))));
    assert!(sink.offer(row("bot", "of another trade", none, Some("20261123_999"))));
    assert!(sink.flush(DEADLINE));
}

#[test]
fn a_trade_is_told_from_its_signal_to_its_last_message() {
    let mut world = World::holding();
    world.start_auth();
    world.ask_in_passing(OperatorAction::Exit);
    let (trade, order) = world.hurry_until("a closed trade that was told", |world| {
        let store = world.store(Role::Reader);
        let trade = store.trades(date(), date()).ok()?.into_iter().find(|it| it.is_closed())?;
        let posts = store.outbox_of(date()).ok()?;
        let of_it = |id: &Option<String>| id.as_deref() == Some(&*trade.trade_id);
        let mut ours = posts.iter().filter(|post| of_it(&post.notice.trade));
        let sent = |post: &pivot_trading::store::Post| {
            post.delivery.as_ref().is_some_and(|it| it.state == DeliveryState::Sent)
        };
        let told = ours.clone().count() > 1 && ours.all(sent);
        let orders = store.orders(date()).ok()?;
        let order = orders.into_iter().find(|order| order.trade_id == trade.trade_id)?;
        Some((trade, order.order_id?)).filter(|_| told)
    });
    let id = &trade.trade_id;
    log(&world, id, &order.0);

    let output = trace(&world, &[id, "--json"]);
    assert!(output.status.success(), "{output:?}");
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["trade"]["exit_reason"], "MANUAL");
    let story = shown["story"].as_array().unwrap();
    let instants: Vec<&str> = story.iter().map(|step| step["at"].as_str().unwrap()).collect();
    assert!(instants.is_sorted(), "{instants:#?}");
    let place = |service: &str, source: &str, words: &str| {
        let found = story.iter().position(|step| {
            step["service"] == service
                && step["source"] == source
                && step["what"].as_str().unwrap().contains(words)
        });
        found.unwrap_or_else(|| panic!("no {words:?} of {service} in {story:#?}"))
    };
    let order = &order.0;
    let in_order = [
        place("trading", "journal", "signal on NSE:RELIANCE: ENTER"),
        place("trading", "journal", "ENTRY order BUY"),
        place("trading", "journal", &format!("the broker took it: order {order}")),
        place("trading", "journal", "filled at"),
        place("trading", "journal", "STOP order SELL"),
        place("trading", "journal", "changes order"),
        place("trading", "journal", "EXIT MANUAL, net"),
    ];
    assert!(in_order.is_sorted(), "{in_order:?} {story:#?}");
    place("bot", "message", "delivered as message");
    place("auth", "log", &format!("a test kept a postback order_id={order}"));
    let twice =
        story.iter().filter(|step| step["what"].as_str().unwrap().contains("a test delivered"));
    assert_eq!(twice.count(), 1);
    assert!(!story.iter().any(|step| step["what"].as_str().unwrap().contains("of another")));

    let output = trace(&world, &[id]);
    let text = String::from_utf8(output.stdout).unwrap();
    let first = text.lines().next().unwrap();
    assert!(first.starts_with(&format!("DEMO {id}: LONG NSE:RELIANCE on NSE:RELIANCE, MANUAL")));
    assert_eq!(text.lines().nth(1), Some("2026-11-23 IST"));
    assert!(text.lines().nth(2).unwrap().starts_with("09:"), "{text}");
    // A slip of the hand.
    let wrong = id.replace("_0", "-0");
    let output = trace(&world, &[&wrong]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("no trade \"{wrong}\"; did you mean {id}")), "{said}");
}
