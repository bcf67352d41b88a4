//! Notices: in order, through refusals and outages, marked when they may
//! have come twice.

use pivot_trading::clock::Clock;
use pivot_trading::config::NotifyLevel;
use pivot_trading::engine::notice::{NoticeKind, Severity};
use pivot_trading::engine::{Mode, Notice};
use pivot_trading::store::{DeliveryState, Role};
use serde_json::json;

use super::stage::{OWNER, Stage};

fn notice(kind: NoticeKind, severity: Severity, headline: &str) -> Notice {
    Notice {
        kind,
        severity,
        mode: Mode::Demo,
        at: Clock::system().now(),
        trade: None,
        once: None,
        headline: headline.into(),
        fields: vec![("P&L".into(), "+1,000.00 <net>".into())],
        footer: None,
    }
}

#[test]
fn a_day_without_levels_is_given_its_reason() {
    let mut stage = Stage::new();
    stage.start();
    stage.write(OWNER, "/pivots");
    stage.expect(OWNER, "Not prepared yet: they come before the market opens.");
    let mut told = notice(NoticeKind::NoTrading, Severity::Warning, "No entries today");
    told.fields = vec![("Why".into(), "woodie levels need <today's> open".into())];
    stage.say(&told);
    stage.expect(OWNER, "No entries today");
    stage.write(OWNER, "/pivots");
    let page = stage.expect(OWNER, "None. No entries today");
    assert!(page.text.contains("woodie levels need <today's> open"), "{}", page.text);
}

impl Stage {
    fn say(&self, notice: &Notice) {
        assert!(self.store(Role::Trading).say(notice).unwrap());
    }

    fn all_delivered(&self) {
        let reader = self.store(Role::Reader);
        self.until("an empty outbox", || {
            reader.outbox_pending(10).unwrap().is_empty().then_some(())
        });
    }
}

#[test]
fn they_arrive_in_order_through_refusals_and_outages() {
    let mut stage = Stage::new();
    for number in 1..=4 {
        stage.say(&notice(NoticeKind::Entry, Severity::Info, &format!("Number {number}")));
    }
    let limited = json!([
        { "method": "sendMessage", "status": 429, "retry_after": 1 },
        { "method": "sendMessage", "status": 502 },
    ]);
    stage.control("faults", limited);
    stage.start();
    stage.all_delivered();
    let texts = stage.texts(OWNER);
    let numbers: Vec<usize> = (1..=4)
        .map(|number| texts.iter().position(|text| text.contains(&format!("Number {number}"))))
        .map(Option::unwrap)
        .collect();
    assert_eq!(numbers, [0, 1, 2, 3], "{texts:?}");
    assert!(texts[1].contains("P&L: +1,000.00 <net>"), "{}", texts[1]);
    assert!(!texts[1].contains("repeated"), "{}", texts[1]);
}

#[test]
fn what_may_have_arrived_is_marked_as_repeated() {
    let mut stage = Stage::new();
    let lost = json!({ "method": "sendMessage", "status": 502, "carried_out": true });
    stage.control("faults", lost);
    stage.say(&notice(NoticeKind::Exit, Severity::Info, "Closed"));
    stage.start();
    stage.expect(OWNER, "Closed");
    stage.expect(OWNER, "Closed (repeated)");
    stage.all_delivered();
    stage.stop();
    // A crash between sending and marking.
    stage.say(&notice(NoticeKind::Exit, Severity::Info, "Later"));
    let post = stage.store(Role::Reader).outbox_pending(1).unwrap().pop().unwrap();
    stage.store(Role::Bot).outbox_sending(post.id, Clock::system().now()).unwrap();
    stage.start();
    stage.expect(OWNER, "Later (repeated)");
}

#[test]
fn kinds_are_loud_silent_or_off_but_what_is_critical_is_heard() {
    let mut stage = Stage::with(|config| {
        config.notifications.insert("data".into(), NotifyLevel::Off);
        config.notifications.insert("entry".into(), NotifyLevel::Silent);
    });
    stage.say(&notice(NoticeKind::Data, Severity::Info, "Unwanted"));
    stage.say(&notice(NoticeKind::Data, Severity::Critical, "Critical"));
    stage.say(&notice(NoticeKind::Entry, Severity::Info, "Softly"));
    stage.say(&notice(NoticeKind::Exit, Severity::Info, "Loudly"));
    stage.start();
    assert!(!stage.expect(OWNER, "Critical").silent);
    assert!(stage.expect(OWNER, "Softly").silent);
    assert!(!stage.expect(OWNER, "Loudly").silent);
    assert!(stage.texts(OWNER).iter().all(|text| !text.contains("Unwanted")));
    stage.all_delivered();
    let now = Clock::system().now();
    let posts = stage.store(Role::Reader).outbox_of(pivot_trading::market::time::ist_date(now));
    let first = posts.unwrap().remove(0).delivery.unwrap();
    assert_eq!(first.state, DeliveryState::Dropped);
}

#[test]
fn a_flood_of_old_ones_is_summed_up() {
    let mut stage = Stage::new();
    let old = Clock::system().now() - chrono::TimeDelta::hours(3);
    for number in 0..12 {
        let mut news = notice(NoticeKind::Control, Severity::Info, &format!("News {number}"));
        news.at = old;
        stage.say(&news);
    }
    let mut exit = notice(NoticeKind::Exit, Severity::Info, "An old exit");
    exit.at = old;
    stage.say(&exit);
    stage.start();
    let sum = stage.expect(OWNER, "12 messages while Telegram was out of reach");
    assert!(sum.text.contains("News 0") && sum.text.contains("News 11"), "{}", sum.text);
    stage.expect(OWNER, "An old exit");
    stage.all_delivered();
    assert_eq!(stage.texts(OWNER).len(), 2);
}

#[test]
fn a_summary_comes_with_the_picture_of_its_day() {
    let mut stage = Stage::new();
    let summary = notice(NoticeKind::Summary, Severity::Info, "The day");
    let day = pivot_trading::market::time::ist_date(summary.at).format("%Y%m%d").to_string();
    let folder = stage.data().join("pictures");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("day-{day}.png")), vec![1_u8; 5000]).unwrap();
    stage.say(&summary);
    stage.start();
    let sent = stage.expect(OWNER, "The day");
    assert_eq!((sent.bytes, sent.file), (5000, Some(format!("day-{day}.png"))));
    stage.all_delivered();
}

#[test]
fn mute_silences_routine_only() {
    let mut stage = Stage::new();
    stage.start();
    stage.write(OWNER, "/mute 5");
    stage.expect(OWNER, "silent for 5 minutes");
    stage.say(&notice(NoticeKind::Entry, Severity::Info, "Routine"));
    stage.say(&notice(NoticeKind::Data, Severity::Warning, "A warning"));
    assert!(stage.expect(OWNER, "Routine").silent);
    assert!(!stage.expect(OWNER, "A warning").silent);
}

#[test]
fn what_the_upkeep_cannot_do_is_told_to_the_owner_once() {
    let mut stage = Stage::new();
    // Old logs are looked after at the first start, and this is no folder.
    std::fs::write(stage.data().with_file_name("logs"), "in the way").unwrap();
    stage.start();
    // It is tried again before anybody is told.
    let ledger = stage.data().join("maintenance.db");
    let waiting = "SELECT COUNT(*) FROM jobs WHERE job = 'cleanup' AND state = 'waiting'";
    stage.until("a first attempt", || {
        let ledger = rusqlite::Connection::open(&ledger).ok()?;
        let count: i64 = ledger.query_row(waiting, [], |row| row.get(0)).ok()?;
        (count == 1).then_some(())
    });
    stage.write(OWNER, "/health");
    let health = stage.expect(OWNER, "tried again");
    assert!(health.text.contains("old logs deleted"), "{}", health.text);
    stage.stop();
    // Hours later, with one attempt left.
    let earlier =
        (pivot_trading::clock::Clock::system().now() - chrono::TimeDelta::hours(3)).to_rfc3339();
    let passed =
        "UPDATE jobs SET attempts = 4, started_at = ?1, ended_at = ?1 WHERE job = 'cleanup'";
    assert_eq!(rusqlite::Connection::open(&ledger).unwrap().execute(passed, [earlier]), Ok(1));
    stage.start();
    let told = stage.expect(OWNER, "Not done: old logs deleted");
    assert!(told.text.contains("could not clear"), "{}", told.text);
    stage.stop();
    stage.start();
    stage.write(OWNER, "/health");
    let health = stage.expect(OWNER, "Health");
    assert!(health.text.contains("🔴 Upkeep"), "{}", health.text);
    let texts = stage.texts(OWNER);
    let told = texts.iter().filter(|text| text.contains("Not done"));
    assert_eq!(told.count(), 1, "{texts:#?}");
}
