//! A service that is stopped is told of by another one, at the pace of real
//! life: within half a minute, by one of them, and once.

use std::time::Duration;

use chrono::TimeDelta;
use pivot_trading::market::Timestamp;
use pivot_trading::sim::telegram::Sent;
use pivot_trading::store::Role;
use rustix::process::Signal;
use serde_json::json;

use super::world::World;
use crate::hook::Hook;

/// How soon after it was stopped a service must have been told of.
const TOLD_WITHIN: TimeDelta = TimeDelta::seconds(30);

/// All three at work in market hours, and a webhook.
fn world() -> (World, Hook) {
    let hook = Hook::start(0);
    let mut world = World::open_with(|config| {
        config["health"]["webhook_url"] = json!(hook.url);
    });
    world.start_auth();
    world.start_trading();
    world.start_bot();
    // Two signs of life of each, so that the others have seen one come.
    let first = world.wait_for("three signs of life", |world| {
        let beats = beats(world);
        (beats.len() == 3).then_some(beats)
    });
    world.wait_for("further signs of life", |world| {
        let moved = |(name, at): &(String, Timestamp)| {
            first.iter().all(|one| one.0 != *name || one.1 < *at)
        };
        beats(world).iter().all(moved).then_some(())
    });
    (world, hook)
}

fn beats(world: &World) -> Vec<(String, Timestamp)> {
    let beats = world.store(Role::Reader).heartbeats().unwrap();
    beats.into_iter().map(|beat| (beat.service, beat.at)).collect()
}

fn said(world: &World, words: &str) -> Vec<Sent> {
    world.messages().into_iter().filter(|sent| sent.text.contains(words)).collect()
}

/// Waits until the chat and the webhook have heard of a silence; answers with
/// the message.
fn told_of(world: &World, hook: &Hook, service: &str, stopped_at: Timestamp) -> String {
    let told = world.told(&format!("pivot-{service} is silent"));
    let took = world.now() - stopped_at;
    println!("pivot-{service}: told of {took} after it was stopped");
    assert!(took <= TOLD_WITHIN, "{took}: {}", world.report());
    let alert = hook.wait_for(&format!("silent.{service}"), "firing");
    assert_eq!(alert["severity"], "critical");
    assert_eq!((&alert["mode"], &alert["threshold"]), (&json!("demo"), &json!(20.0)));
    assert!(alert["value"].as_f64().unwrap() >= 20.0 && alert["host"].is_string(), "{alert}");
    let message = alert["message"].as_str().unwrap();
    assert!(message.contains("is silent") && message.contains("Last sign of life"), "{alert}");
    told.text
}

/// Wakes services; both doors must hear once that they are back.
fn back(world: &World, hook: &Hook, services: &[&str]) {
    for service in services {
        world.signal(service, Signal::CONT);
    }
    for service in services {
        world.told(&format!("pivot-{service} is back"));
        hook.wait_for(&format!("silent.{service}"), "resolved");
    }
    // Whoever else could have told would have done so within a few looks.
    std::thread::sleep(Duration::from_secs(3));
    for service in services {
        for words in ["silent", "back"] {
            let words = format!("pivot-{service} is {words}");
            assert_eq!(said(world, &words).len(), 1, "{words}: {}", world.report());
        }
        assert_eq!(hook.of(&format!("silent.{service}")).len(), 2);
    }
}

#[test]
fn the_bot_tells_of_the_others() {
    let (world, hook) = world();
    let stopped_at = world.now();
    world.stop("trading");
    world.stop("auth");
    let trading = told_of(&world, &hook, "trading", stopped_at);
    assert!(trading.contains("Stops rest at the exchange"), "{trading}");
    told_of(&world, &hook, "auth", stopped_at);
    let status = world.wait_for("the silence in pivotctl status", |world| {
        let output = world.start_ctl(&["status"]).wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.contains("critical: pivot-trading is silent").then_some(text)
    });
    assert!(status.contains("machine    CPU ") && status.contains("Memory "), "{status}");
    back(&world, &hook, &["trading", "auth"]);
}

#[test]
fn pivot_trading_tells_of_the_bot() {
    let (world, hook) = world();
    let stopped_at = world.now();
    world.stop("bot");
    let text = told_of(&world, &hook, "bot", stopped_at);
    assert!(text.contains("Told by pivot-trading") && text.contains("[DEMO]"), "{text}");
    back(&world, &hook, &["bot"]);
}

#[test]
fn pivot_auth_tells_of_both_when_they_are_silent() {
    let (world, hook) = world();
    let stopped_at = world.now();
    world.stop("bot");
    world.stop("trading");
    for service in ["bot", "trading"] {
        let text = told_of(&world, &hook, service, stopped_at);
        assert!(text.contains("Told by pivot-auth"), "{text}");
    }
    back(&world, &hook, &["bot", "trading"]);
}
