use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::engine::event::OperatorAction;
use crate::engine::notice::{Notice, NoticeKind, Severity};
use crate::market::Timestamp;

pub(crate) fn at(text: &str) -> Timestamp {
    format!("2026-11-23T{text}+05:30")
        .parse::<chrono::DateTime<chrono::FixedOffset>>()
        .unwrap()
        .to_utc()
}

fn open(dir: &Path, role: Role) -> Store {
    Store::open(dir, role, Mode::Demo).unwrap()
}

fn notice(once: Option<&str>, at: Timestamp) -> Notice {
    Notice {
        kind: NoticeKind::PreMarket,
        severity: Severity::Info,
        mode: Mode::Demo,
        at,
        trade: None,
        once: once.map(str::to_owned),
        headline: "Levels".into(),
        fields: vec![("R1".into(), "24,512.35".into())],
        footer: None,
    }
}

fn ctl_request(action: OperatorAction, update_id: Option<i64>) -> Request {
    Request {
        source: Source::Ctl,
        update_id,
        chat: None,
        user: None,
        actor: "pivotctl:root".into(),
        ask: Ask::Operator(action),
        asked_at: at("10:00:00"),
    }
}

#[test]
fn folder_and_files_are_private() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let mut store = open(&dir, Role::Trading);
    store.once(chrono::NaiveDate::MIN, "x", at("10:00:00")).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for name in ["trading.db", "trading.db-wal", "trading.db-shm"] {
        assert_eq!(mode(&dir.join(name)), 0o600, "{name}");
    }
}

#[test]
fn shared_folders_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o1777)).unwrap();
    let error = Store::open(dir.path(), Role::Bot, Mode::Demo).unwrap_err();
    assert!(matches!(error, StoreError::SharedFolder { .. }), "{error}");
}

#[test]
fn modes_never_share_a_file() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path(), Role::Bot);
    let error = Store::open(dir.path(), Role::Trading, Mode::Live).unwrap_err().to_string();
    assert!(error.contains("belongs to demo mode and this is live mode"), "{error}");
    assert!(Store::open(dir.path(), Role::Reader, Mode::Live).is_err());
    assert_eq!(Store::open_existing(dir.path(), Role::Reader).unwrap().mode(), Mode::Demo);
}

#[test]
fn readers_create_nothing_and_write_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for role in [Role::Reader, Role::Ctl] {
        let error = Store::open_existing(dir.path(), role).unwrap_err();
        assert!(matches!(error, StoreError::NotThere { .. }), "{error}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    open(dir.path(), Role::Bot);
    let reader = Store::open_existing(dir.path(), Role::Reader).unwrap();
    assert!(reader.connection.execute("DELETE FROM inbox", []).is_err());
}

#[test]
fn each_table_has_one_writer() {
    let dir = tempfile::tempdir().unwrap();
    let mut bot = open(dir.path(), Role::Bot);
    let error = bot.say(&notice(None, at("10:00:00"))).unwrap_err().to_string();
    assert_eq!(error, "bot may not write outbox");
    let mut trading = open(dir.path(), Role::Trading);
    assert!(trading.ask(&ctl_request(OperatorAction::Disable, None)).is_err());
    assert!(trading.login_begin("s", at("10:00:00")).is_err());
    assert!(trading.outbox_sending(1, at("10:00:00")).is_err());
    // Reminders are the bot's own.
    assert!(trading.remind(&[], "x", &serde_json::Value::Null).is_err());
}

#[test]
fn a_reader_sees_commits_of_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut bot = open(dir.path(), Role::Bot);
    let mut reader = Store::open_existing(dir.path(), Role::Reader).unwrap();
    assert!(!reader.changed().unwrap());
    bot.bot_keep("offset", &serde_json::json!(7)).unwrap();
    assert!(reader.changed().unwrap());
    assert!(!reader.changed().unwrap());
    assert!(!bot.changed().unwrap(), "one's own commits are not news");
    assert_eq!(reader.bot_kept("offset").unwrap(), Some(serde_json::json!(7)));
}

#[test]
fn a_notice_is_said_once_a_day() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path(), Role::Trading);
    let morning = at("08:45:00");
    assert!(store.say(&notice(Some("levels"), morning)).unwrap());
    assert!(!store.say(&notice(Some("levels"), morning)).unwrap());
    assert!(store.say(&notice(Some("other"), morning)).unwrap());
    assert!(store.say(&notice(Some("levels"), morning + chrono::TimeDelta::days(1))).unwrap());
    assert!(store.say(&notice(None, morning)).unwrap());
    assert!(store.say(&notice(None, morning)).unwrap());
    assert_eq!(store.outbox_pending(100).unwrap().len(), 5);
}

#[test]
fn a_delivery_cut_short_counts_as_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let mut trading = open(dir.path(), Role::Trading);
    let mut bot = open(dir.path(), Role::Bot);
    let now = at("09:00:00");
    let said = notice(None, now);
    trading.say(&said).unwrap();
    let post = bot.outbox_pending(10).unwrap().remove(0);
    assert_eq!((post.notice, post.delivery), (said, None));

    bot.outbox_sending(post.id, now).unwrap();
    bot.outbox_done(post.id, DeliveryState::Failed, &[], Some("offline"), now).unwrap();
    bot.outbox_sending(post.id, now).unwrap();
    let known_lost = bot.outbox_pending(10).unwrap().remove(0).delivery.unwrap();
    assert!(!known_lost.repeated && known_lost.attempts == 2);

    bot.outbox_sending(post.id, now).unwrap();
    let unsure = bot.outbox_pending(10).unwrap().remove(0).delivery.unwrap();
    assert!(unsure.repeated && unsure.attempts == 3);
    bot.outbox_done(post.id, DeliveryState::Sent, &[71, 72], None, now).unwrap();
    assert!(bot.outbox_pending(10).unwrap().is_empty());
    let day = crate::market::time::ist_date(now);
    let sent = bot.outbox_of(day).unwrap().remove(0).delivery.unwrap();
    assert_eq!((sent.state, sent.message_ids), (DeliveryState::Sent, vec![71, 72]));
}

#[test]
fn an_update_is_taken_once_and_answered() {
    let dir = tempfile::tempdir().unwrap();
    let mut trading = open(dir.path(), Role::Trading);
    let mut ctl = Store::open_existing(dir.path(), Role::Ctl).unwrap();
    let request = ctl_request(OperatorAction::Panic { all: true }, Some(5));
    let (id, new) = ctl.ask(&request).unwrap();
    assert!(new);
    assert_eq!(ctl.ask(&request).unwrap(), (id, false));
    let (other, new) = ctl.ask(&ctl_request(OperatorAction::Disable, None)).unwrap();
    assert!(new && other > id);
    assert_eq!(trading.inbox_after(0, 10).unwrap()[0], Receipt { id, request });
    assert_eq!(trading.inbox_after(id, 10).unwrap().len(), 1);
    let answer = Answer { request: id, done: true, text: "done".into(), at: at("10:00:01") };
    trading.answer(&answer).unwrap();
    assert_eq!(ctl.answers(id).unwrap(), [answer]);
    assert_eq!(ctl.inbox_unanswered(10).unwrap()[0].id, other);
}

#[test]
fn a_login_leads_to_one_session() {
    let dir = tempfile::tempdir().unwrap();
    let mut auth = open(dir.path(), Role::Auth);
    let mut trading = open(dir.path(), Role::Trading);
    let now = at("08:10:00");
    let token = secrecy::SecretString::from("request-token");
    let id = auth.login_begin("state-1", now).unwrap();
    assert!(trading.login_pending().unwrap().is_none());
    assert_eq!(auth.login_receive("unknown", &token, now).unwrap(), None);
    assert_eq!(auth.login_receive("state-1", &token, now).unwrap(), Some(id));
    assert_eq!(auth.login_receive("state-1", &token, now).unwrap(), None, "a state is used once");
    let login = trading.login_pending().unwrap().unwrap();
    assert!(!format!("{login:?}").contains("request-token"));

    let session = BrokerSession {
        login_id: Some(login.id),
        day: crate::market::time::ist_date(now),
        status: SessionStatus::Valid,
        access_token: Some("access-token".into()),
        user_id: "AB1234".into(),
        user_name: "A Trader".into(),
        login_time: now,
        valid_until: now + chrono::TimeDelta::hours(20),
        message: None,
    };
    trading.session_keep(&session).unwrap();
    assert!(trading.session_keep(&session).is_err(), "a login is used once");
    assert!(trading.login_pending().unwrap().is_none());
    assert_eq!(auth.logins_used().unwrap(), [id]);
    assert!(auth.login_wipe(id, LoginStatus::Cleared).unwrap());
    assert!(auth.logins_used().unwrap().is_empty());
    assert!(auth.session(now).unwrap().is_some());
    assert!(auth.session(session.valid_until).unwrap().is_none());
    trading.session_end().unwrap();
    assert!(auth.session(now).unwrap().is_none());
    let last = auth.session_last().unwrap().unwrap();
    assert!(last.access_token.is_none() && last.status == SessionStatus::Ended);
}

#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path(), Role::Trading);
    let pages: i64 = store.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    store.connection.pragma_update(None, "max_page_count", pages + 2).unwrap();
    let mut large = notice(None, at("10:00:00"));
    large.footer = Some("x".repeat(100_000));
    let written = store.write("outbox", &[Role::Trading], |transaction| {
        messages::post(transaction, &notice(None, at("10:00:00")))?;
        messages::post(transaction, &large)
    });
    assert!(matches!(written, Err(StoreError::Write { .. })), "{written:?}");
    assert!(store.outbox_pending(10).unwrap().is_empty());
    assert!(store.integrity().unwrap().is_empty());
}

#[test]
fn processes_may_open_a_fresh_folder_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let start = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        for role in [Role::Trading, Role::Auth, Role::Bot, Role::Bot] {
            let (dir, start) = (dir.path(), &start);
            scope.spawn(move || {
                start.wait();
                let mut store = open(dir, role);
                store
                    .beat(&Heartbeat {
                        service: role.as_str().into(),
                        pid: 1,
                        started_at: at("08:00:00"),
                        at: at("08:00:05"),
                        version: "1".into(),
                        phase: "starting".into(),
                        detail: serde_json::json!({"queue": 0}),
                    })
                    .unwrap();
            });
        }
    });
    let reader = Store::open_existing(dir.path(), Role::Reader).unwrap();
    let services: Vec<String> =
        reader.heartbeats().unwrap().into_iter().map(|beat| beat.service).collect();
    assert_eq!(services, ["auth", "bot", "trading"]);
}
