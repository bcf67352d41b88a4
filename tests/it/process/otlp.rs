//! What a collector sees of services at work, and that they do not mind when
//! it fails.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::world::World;
use crate::collector::{Answer, StandIn, attribute};

const KEY: &str = "c0llector-key-0123456789";

fn world(collector: &StandIn) -> World {
    World::open_with(|config| {
        config["logging"]["otlp_endpoint"] = json!(format!("http://{}", collector.address));
        config["logging"]["otlp_headers"] = json!(format!("Authorization=Bearer {KEY}"));
    })
}

fn services(items: &[Value], wanted: &[&str]) -> bool {
    wanted.iter().all(|name| {
        let of = |item: &Value| attribute(&item["resource"], "service.name");
        items.iter().any(|item| of(item).is_some_and(|it| it["stringValue"] == *name))
    })
}

fn log(world: &World, name: &str) -> String {
    let file = world.data().parent().unwrap().join("logs").join(name);
    std::fs::read_to_string(file).unwrap_or_default()
}

#[test]
fn a_collector_sees_logs_spans_and_figures_of_a_trade() {
    let collector = StandIn::start_now();
    let mut world = world(&collector);
    world.start_auth();
    world.start_trading();
    world.start_bot();
    world.enter();
    let all = ["pivot-auth", "pivot-trading", "pivot-bot"];
    world.wait_for("figures of all services", |_| {
        services(&collector.metrics(), &all).then_some(())
    });
    world.wait_for("logs of all services", |_| services(&collector.logs(), &all).then_some(()));
    world.wait_for("spans", |_| (!collector.spans().is_empty()).then_some(()));
    // The records of the trade, told apart by its id, are one trace.
    let traces = world.wait_for("the trade", |_| {
        let logs = collector.logs();
        let of_trade = logs.iter().filter(|log| {
            let id = attribute(log, "correlation_id");
            id.is_some_and(|id| id["stringValue"].as_str().unwrap().starts_with("2026"))
        });
        let traces: Vec<Value> = of_trade.map(|log| log["traceId"].clone()).collect();
        (traces.len() > 2).then_some(traces)
    });
    assert!(traces.iter().all(|trace| *trace == traces[0]), "{traces:?}");
    let said = format!("{:?}", collector.logs()) + &format!("{:?}", collector.spans());
    assert!(!said.contains(KEY));
    for request in collector.requests() {
        assert_eq!(request.authorization, format!("Bearer {KEY}"));
    }
    let log = collector.logs().remove(0);
    let mode = attribute(&log["resource"], "deployment.environment").unwrap();
    assert_eq!(mode["stringValue"], "demo");
}

#[test]
fn a_collector_that_never_answers_stops_no_trade_and_no_end() {
    let collector = StandIn::start_now();
    for path in ["/v1/logs", "/v1/traces", "/v1/metrics"] {
        collector.answer(path, Answer::Never);
    }
    let mut world = world(&collector);
    world.start_trading();
    world.enter();
    let said = world.wait_for("the failure in the file", |world| {
        let said = log(world, "trading.log");
        said.contains("collector does not answer").then_some(said)
    });
    assert!(!said.contains(KEY));
    let began = std::time::Instant::now();
    world.signal_trading(Signal::TERM);
    world.trading_ended();
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn a_refusal_that_repeats_the_key_is_told_without_it() {
    let collector = StandIn::start_now();
    collector.answer("/v1/logs", Answer::Refuse(401));
    let mut world = world(&collector);
    world.start_auth();
    let said = world.wait_for("the refusal in the file", |world| {
        let said = log(world, "auth_server.log");
        said.contains("collector refuses: 401").then_some(said)
    });
    assert!(said.contains("no key: ***!") && !said.contains(KEY), "{said}");
}
