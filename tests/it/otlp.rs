//! Records to an OpenTelemetry collector that is late, busy, silent, or
//! refuses.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use pivot_trading::clock::Clock;
use pivot_trading::telemetry::Figures;
use pivot_trading::telemetry::otlp::{Collector, OtlpBackend, Resource};
use pivot_trading::telemetry::rows::{Options, Sink, State};
use serde_json::Value;

use crate::collector::{Answer, StandIn, attribute};
use crate::elsewhere::{self, DEADLINE, is_failing, offer, until};

fn sink(address: SocketAddr, change: impl FnOnce(&mut Options)) -> Sink {
    let clock = Clock::system();
    let figures = || Figures {
        written: [1, 2, 3, 4, 5],
        sampled: [0; 5],
        dropped: [0; 5],
        lost: [0; 5],
        lost_copies: 0,
        not_shown: 0,
        bytes: 7,
        rows_pruned: 0,
        queued: 8,
        folder_bytes: 9,
        failing: None,
        database_failing: None,
    };
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("authorization", "Bearer k3y".parse().unwrap());
    let collector = Collector { endpoint: format!("http://{address}/"), headers };
    let resource = Resource::of_this_process("bot", "demo");
    let backend = OtlpBackend::new(collector, resource, &clock, figures).unwrap();
    elsewhere::sink(backend, |options| {
        options.is_database = false;
        change(options);
    })
}

/// Numbers of the log records and spans that were taken, in order.
fn numbers(collector: &StandIn) -> Vec<i64> {
    let of = |items: Vec<Value>| -> Vec<i64> {
        let number = |item: &Value| {
            attribute(item, "number").map(|it| it["intValue"].as_str().unwrap().parse().unwrap())
        };
        items.iter().filter_map(number).collect()
    };
    let spans = of(collector.spans());
    assert!(spans.iter().all(|number| number % 10 == 0));
    let mut all = of(collector.logs());
    assert!(all.iter().all(|number| number % 10 != 0));
    all.extend(spans);
    all.sort_unstable();
    all
}

#[test]
fn a_collector_that_comes_late_gets_everything_once() {
    let mut collector = StandIn::prepare();
    let sink = sink(collector.address, |_| {});
    offer(&sink, 0..500);
    until("the failure", || is_failing(&sink));
    offer(&sink, 500..1_000);
    collector.start();
    until("all rows", || numbers(&collector).len() == 1_000);
    until("the collector", || sink.state() == State::Well);
    assert_eq!(numbers(&collector), (0..1_000).collect::<Vec<_>>());
    assert_eq!(sink.figures().dropped, [0; 5]);
    assert!(collector.requests().iter().all(|request| request.authorization == "Bearer k3y"));
    // The figures go at once when the program starts; the next in a minute.
    drop(sink);
}

#[test]
fn figures_are_sums_and_gauges() {
    let collector = StandIn::start_now();
    let sink = sink(collector.address, |_| {});
    until("the figures", || !collector.metrics().is_empty());
    let metrics = collector.metrics();
    let of = |name: &str| metrics.iter().find(|metric| metric["name"] == name).unwrap();
    let lines = of("pivot.log.lines")["sum"]["dataPoints"].as_array().unwrap();
    let written: Vec<&str> = lines
        .iter()
        .filter(|point| attribute(point, "outcome").unwrap()["stringValue"] == "written")
        .map(|point| point["asInt"].as_str().unwrap())
        .collect();
    assert_eq!((lines.len(), written), (20, vec!["1", "2", "3", "4", "5"]));
    assert_eq!(of("pivot.log.bytes")["sum"]["dataPoints"][0]["asInt"], "7");
    assert_eq!(of("pivot.log.queued")["gauge"]["dataPoints"][0]["asInt"], "8");
    assert_eq!(of("pivot.log.folder")["gauge"]["dataPoints"][0]["asInt"], "9");
    drop(sink);
}

#[test]
fn a_busy_collector_is_left_alone_for_as_long_as_it_asks_and_gets_nothing_twice() {
    let collector = StandIn::start_now();
    let sink = sink(collector.address, |_| {});
    // Log records are taken meanwhile, and not sent again with the spans.
    collector.answer("/v1/traces", Answer::Busy { status: 503, pause_s: Some(3) });
    offer(&sink, 0..1_000);
    until("the failure", || is_failing(&sink));
    offer(&sink, 1_000..2_000);
    let refused_at = collector.requests().iter().find(|it| it.path == "/v1/traces").unwrap().at;
    collector.answer("/v1/traces", Answer::Take);
    until("all rows", || numbers(&collector).len() >= 2_000);
    let after = collector.requests().into_iter().filter(|it| it.path != "/v1/metrics");
    let next = after.map(|it| it.at).filter(|at| *at > refused_at).min().unwrap();
    assert!(next - refused_at >= Duration::from_secs(3), "{:?}", next - refused_at);
    for status in [429, 502, 504] {
        collector.answer("/v1/logs", Answer::Busy { status, pause_s: None });
        let from = 2_000 + i64::from(status) * 100;
        offer(&sink, from..from + 50);
        until("the failure", || is_failing(&sink));
        collector.answer("/v1/logs", Answer::Take);
        until("the collector", || sink.state() == State::Well);
    }
    assert!(sink.flush(DEADLINE));
    let wanted: Vec<i64> = (0..2_000)
        .chain([429, 502, 504].into_iter().flat_map(|it| {
            let from = 2_000 + it * 100;
            from..from + 50
        }))
        .collect();
    until("the rest", || numbers(&collector).len() >= wanted.len());
    assert_eq!(numbers(&collector), wanted);
    assert_eq!(sink.figures().dropped, [0; 5]);
}

#[test]
fn what_memory_has_no_room_for_is_dropped_oldest_first_and_counted() {
    let mut collector = StandIn::prepare();
    let sink = sink(collector.address, |options| options.held_rows_max = 100);
    until("the failure", || is_failing(&sink));
    offer(&sink, 0..1_000);
    until("the drops", || sink.figures().dropped.iter().sum::<u64>() == 900);
    collector.start();
    until("what was held", || numbers(&collector).len() >= 100);
    assert_eq!(numbers(&collector), (900..1_000).collect::<Vec<_>>());
    // It is told there as well.
    until("the word", || {
        let said = |log: &Value| log["body"]["stringValue"] == "log rows were dropped";
        collector.logs().iter().any(said)
    });
}

#[test]
fn what_is_refused_is_never_sent_again_and_holds_nothing_up() {
    let collector = StandIn::start_now();
    let sink = sink(collector.address, |_| {});
    for (from, answer) in [(0, Answer::Refuse(400)), (100, Answer::Refuse(404))] {
        collector.answer("/v1/logs", answer);
        offer(&sink, from + 1..from + 10);
        assert!(sink.flush(DEADLINE));
        assert_eq!(sink.state(), State::Well);
    }
    collector.answer("/v1/logs", Answer::Partial);
    offer(&sink, 201..210);
    assert!(sink.flush(DEADLINE));
    collector.answer("/v1/logs", Answer::Take);
    offer(&sink, 301..310);
    assert!(sink.flush(DEADLINE));
    assert_eq!(numbers(&collector), (201..210).chain(301..310).collect::<Vec<_>>());
}

#[test]
fn an_answer_that_never_comes_delays_neither_rows_nor_the_end() {
    let collector = StandIn::start_now();
    collector.answer("/v1/logs", Answer::Never);
    let sink = sink(collector.address, |_| {});
    offer(&sink, 0..2_000);
    until("the failure", || is_failing(&sink));
    let State::Failing { why, .. } = sink.state() else { panic!("{:?}", sink.state()) };
    assert!(why.contains("does not answer") && !why.contains("k3y"), "{why}");
    offer(&sink, 2_000..3_000);
    let began = Instant::now();
    drop(sink);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
