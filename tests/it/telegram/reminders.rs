//! Renewals ahead: what is told by itself, and people's own.

use chrono::{Days, NaiveDate};
use pivot_trading::clock::Clock;
use pivot_trading::config::NotifyLevel;
use pivot_trading::market::time::ist_date;
use pivot_trading::store::{DeliveryState, Role};
use serde_json::json;

use super::stage::{OPERATOR, OWNER, Stage, VIEWER};

fn today() -> NaiveDate {
    ist_date(Clock::system().now())
}

fn in_days(days: u64) -> NaiveDate {
    today() + Days::new(days)
}

const UNREAD: &str = "Today: the end of the TLS certificate is not known";

#[test]
fn what_is_near_is_told_once_a_day_across_restarts() {
    let mut stage = Stage::with(|config| {
        config.reminders.time = "00:00".into();
        config.reminders.certificate = "/nowhere/fullchain.pem".into();
        config.reminders.dns_renewal = in_days(7).to_string();
        config.reminders.broker_renewal = in_days(100).to_string();
    });
    stage.start();
    let told = stage.expect(OWNER, UNREAD);
    assert!(told.text.contains("⚠️") && told.text.contains("may read it"), "{}", told.text);
    let told = stage.expect(OWNER, "🗓 In 7 days: renew the dynamic-DNS name");
    assert!(told.text.contains(&in_days(7).to_string()), "{}", told.text);
    stage.crash();
    stage.start();
    stage.write(OWNER, "/reminders");
    let page = stage.expect(OWNER, "🗓 Reminders");
    let places = ["🔴 today", "🟡 in 7 days", "🟢 in 100 days"].map(|mark| page.text.find(mark));
    assert!(places[0].is_some() && places.is_sorted(), "{}", page.text);
    let told = stage.texts(OWNER);
    assert_eq!(told.iter().filter(|text| text.contains(UNREAD)).count(), 1, "{told:?}");
    assert!(told.iter().all(|text| !text.contains("In 100 days")), "{told:?}");
}

#[test]
fn reminders_that_are_switched_off_are_not_told() {
    let mut stage = Stage::with(|config| {
        config.reminders.time = "00:00".into();
        config.reminders.certificate = "/nowhere/fullchain.pem".into();
        config.notifications.insert("reminders".into(), NotifyLevel::Off);
    });
    stage.start();
    let reader = stage.store(Role::Reader);
    let delivery = stage.until("a reminder", || {
        let posts = reader.outbox_of(today()).unwrap();
        let post = posts.into_iter().find(|post| post.notice.headline.contains("TLS"))?;
        post.delivery.filter(|delivery| delivery.state != DeliveryState::Sending)
    });
    assert_eq!(delivery.state, DeliveryState::Dropped);
    assert_eq!(stage.texts(OWNER), [] as [String; 0]);
}

#[test]
fn operators_set_list_and_remove_reminders_of_their_own() {
    let mut stage = Stage::new();
    stage.start();
    let date = in_days(1);
    let written = date.format("%d.%m.%Y");
    let update = stage.write(OPERATOR, &format!("/setreminder {written} Pay <the> server & rest"));
    let set = stage.expect(OPERATOR, "Reminder 1 is set");
    assert!(set.text.contains("Pay <the> server & rest"), "{}", set.text);
    assert!(set.text.contains(&date.to_string()), "{}", set.text);
    stage.control("redeliver", json!({ "update_id": update }));
    stage.write(OWNER, &format!("/setreminder {} two", in_days(20)));
    stage.expect(OWNER, "Reminder 2 is set");
    stage.stop();
    stage.start();
    stage.write(OPERATOR, "/reminders");
    let page = stage.expect(OPERATOR, "🗓 Reminders");
    assert!(page.text.contains("🟡 tomorrow"), "{}", page.text);
    assert!(page.text.contains("1. Pay <the> server & rest"), "{}", page.text);
    assert!(!page.text.contains("3. "), "{}", page.text);
    stage.press(OPERATOR, &page, "🗑 1");
    stage.expect(OPERATOR, "Reminder 1 is removed");
    stage.write(OPERATOR, "/setreminder 1 off");
    stage.expect(OPERATOR, "There is no reminder 1");
    stage.write(OPERATOR, "/setreminder 2 off");
    stage.expect(OPERATOR, "Reminder 2 is removed");
    stage.write(OPERATOR, "/reminders");
    let page = stage.expect(OPERATOR, "🗓 Reminders");
    assert!(page.buttons.is_empty(), "{:?}", page.buttons);
    let audit = stage.store(Role::Reader).audit_tail(20).unwrap();
    let of = |what: &str| audit.iter().filter(|line| line.what.contains(what)).collect::<Vec<_>>();
    let set = of("set a reminder");
    assert_eq!(set.len(), 2, "{audit:?}");
    assert!(set.iter().all(|line| line.outcome == "done"), "{audit:?}");
    let removed = of("remove reminder 1");
    assert_eq!(removed.len(), 2, "{audit:?}");
    assert!(removed[0].outcome.contains("there is none"), "{audit:?}");
    assert!(removed[1].outcome.contains("Pay <the> server"), "{audit:?}");
}

#[test]
fn what_will_not_do_is_answered_with_an_example() {
    let mut stage = Stage::new();
    stage.start();
    for (text, why) in [
        ("/setreminder".to_string(), "it takes a date and a text".to_string()),
        ("/setreminder 2026-02-30 x".to_string(), "expected a date such as".to_string()),
        (format!("/setreminder {} x", today() - Days::new(1)), "is over; today is".to_string()),
        (format!("/setreminder {} x", in_days(9999)), "more than ten years away".to_string()),
        (format!("/setreminder {} {}", in_days(2), "x".repeat(201)), "201 characters".to_string()),
    ] {
        stage.write(OWNER, &text);
        let usage = stage.expect(OWNER, &why);
        assert!(usage.text.contains("Example: /setreminder 2026-12-31"), "{}", usage.text);
    }
    stage.write(VIEWER, "/reminders");
    stage.expect(VIEWER, "Only operators may see this");
    stage.write(VIEWER, &format!("/setreminder {} x", in_days(2)));
    stage.expect(VIEWER, "Only operators may change things");
    stage.write(OWNER, "/reminders");
    let page = stage.expect(OWNER, "🗓 Reminders");
    assert!(page.buttons.is_empty(), "{:?}", page.buttons);
}
