use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;

use super::*;
use crate::engine::event::{Event, OperatorAction, OperatorCommand, Stamp};
use crate::engine::{Engine, Mode};
use crate::journal::{Entry, Journal, Run};
use crate::market::Timestamp;
use crate::store::lock::ServiceLock;
use crate::store::{FILE_NAME, Role, Store};

fn now() -> Timestamp {
    "2026-11-23T16:05:00+05:30".parse().unwrap()
}

fn claim(data: &Path) -> Journal {
    let run = Run {
        kind: "trading",
        pid: 1,
        started_at: now(),
        version: env!("CARGO_PKG_VERSION").into(),
        build: option_env!("PIVOT_BUILD").unwrap_or("source").into(),
        config_hash: "0".into(),
    };
    Journal::claim(Store::open(data, Role::Trading, Mode::Demo).unwrap(), &run).unwrap()
}

/// What the engine does with a few events, written down.
fn play(journal: &mut Journal) {
    let mut engine = Engine::new();
    let disable = OperatorCommand {
        request: 1,
        actor: "test:1".into(),
        asked_at: now(),
        action: OperatorAction::Disable,
    };
    let events = [Event::Restarted, Event::Operator(disable), Event::Deadline];
    let mut entries = Vec::new();
    for (seq, event) in (1..).zip(events) {
        let at = now() - TimeDelta::hours(6) + TimeDelta::seconds(i64::try_from(seq).unwrap());
        let mut commands = Vec::new();
        let stamp = Stamp { seq, at };
        engine.step(stamp, &event, &mut commands);
        entries.push(Entry { stamp, seen: Vec::new(), event, commands });
    }
    journal.append(&entries).unwrap();
}

pub(super) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// A data folder after some trading, a configuration, logs.
    pub(super) fn after_a_day() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { folder };
        play(&mut claim(&place.data()));
        place.write("data/paper-book.json", "{\"cash\": 1}");
        place.write("config.json", "{\"api_secret\": \"s3cret\"}");
        for name in ["logs/trading.log", "logs/.hidden", "data/pictures/day-20261123.png"] {
            place.write(name, "x");
        }
        place
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(super) fn order(&self, full: bool) -> Order {
        Order {
            data: self.data(),
            dir: self.path("backups"),
            config: Some(self.path("config.json")),
            logs: full.then(|| self.path("logs")),
            now: now(),
        }
    }

    pub(super) fn backup(&self) -> Made {
        create(&self.order(false), &mut |_, _, _| {}).unwrap()
    }

    pub(super) fn target(&self, name: &str) -> Target {
        Target {
            dir: self.path(name),
            replace: false,
            with_config: false,
            with_logs: false,
            market_is_open: false,
            now: now(),
        }
    }

    /// Names in a folder, in order.
    pub(super) fn names(&self, name: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path(name))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

pub(super) fn checked(archive: &Path) -> Report {
    verify(archive, &mut |_, _, _| {}).unwrap()
}

pub(super) fn put_back(archive: &Path, target: &Target) -> Result<Restored, BackupError> {
    restore(archive, target, &mut |_, _, _| {})
}

#[test]
fn what_was_backed_up_is_verified_and_restored() {
    let place = Place::after_a_day();
    let made = place.backup();
    assert_eq!(made.path, place.path("backups/pivot-20261123-160500-demo.tar.gz"));
    assert!(made.report.is_sound());
    let replay = made.report.steps.iter().find(|step| step.name == "replay").unwrap();
    assert_eq!(replay.outcome, Outcome::Ok, "{replay:?}");
    assert!(replay.text.starts_with("3 entries of 2026-11-23"), "{replay:?}");
    assert_eq!((mode_of(&made.path), mode_of(&place.path("backups"))), (0o600, 0o700));
    assert_eq!(
        place.names("backups"),
        [
            "backup.lock",
            "pivot-20261123-160500-demo.tar.gz",
            "pivot-20261123-160500-demo.tar.gz.sha256",
        ],
        "nothing unfinished is left"
    );
    assert!(checked(&made.path).is_sound());
    let manifest = &made.manifest;
    assert_eq!((manifest.last_seq, manifest.days.len(), manifest.mode.as_str()), (3, 1, "demo"));
    assert_eq!(manifest.rows[FILE_NAME]["journal"], 3);

    let restored = put_back(&made.path, &place.target("second")).unwrap();
    assert_eq!(restored.before, None);
    assert_eq!(place.names("second"), ["paper-book.json", "trading.db"]);
    assert_eq!(mode_of(&place.path("second")), 0o700);
    assert_eq!(mode_of(&place.path("second/trading.db")), 0o600);
    let (one, other) = (claim(&place.data()), claim(&place.path("second")));
    assert_eq!(one.last_seq(), other.last_seq());
    let day = one.last_day(None).unwrap().unwrap();
    assert_eq!(one.replay(day).unwrap(), other.replay(day).unwrap());
    assert_eq!(one.store().state().unwrap(), other.store().state().unwrap());
}

#[test]
fn a_full_archive_has_logs_and_pictures_and_gives_them_out_on_request() {
    let place = Place::after_a_day();
    let logs = rusqlite::Connection::open(place.path("data/logs.db")).unwrap();
    logs.execute_batch("CREATE TABLE system_logs (x); INSERT INTO system_logs VALUES (1)").unwrap();
    let made = create(&place.order(true), &mut |_, _, _| {}).unwrap();
    assert!(made.path.ends_with("pivot-20261123-160500-demo-full.tar.gz"));
    let names: Vec<&str> = made.manifest.files.iter().map(|file| file.name.as_str()).collect();
    let all = [
        "trading.db",
        "paper-book.json",
        "config.json",
        "logs.db",
        "logs/trading.log",
        "pictures/day-20261123.png",
    ];
    assert_eq!(names, all);
    assert_eq!(made.manifest.rows["logs.db"]["system_logs"], 1);
    let target = Target { with_config: true, with_logs: true, ..place.target("second") };
    put_back(&made.path, &target).unwrap();
    let given = ["config.json", "logs", "logs.db", "paper-book.json", "pictures", "trading.db"];
    assert_eq!(place.names("second"), given);
    assert_eq!(mode_of(&place.path("second/config.json")), 0o600);
    assert_eq!(
        fs::read(place.path("second/config.json")).unwrap(),
        b"{\"api_secret\": \"s3cret\"}"
    );
}

#[test]
fn a_second_backup_of_the_same_second_has_a_name_of_its_own() {
    let place = Place::after_a_day();
    let (one, other) = (place.backup(), place.backup());
    assert_ne!(one.path, other.path);
    let listed = list(&place.path("backups"), &mut |_, _, _| {}).unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|archive| archive.soundness == Soundness::Sound));
    let keep = Keep { ordinary: 1, full: 1 };
    let gone = prune(&place.path("backups"), Some("live"), keep, &mut |_, _, _| {}).unwrap();
    assert_eq!(gone, Vec::<String>::new(), "those of another mode are not ours");
    let gone = prune(&place.path("backups"), Some("demo"), keep, &mut |_, _, _| {}).unwrap();
    assert_eq!(gone, ["pivot-20261123-160500-demo.tar.gz"]);
    assert_eq!(place.names("backups").len(), 3, "its checksum goes with it");
}

#[test]
fn a_backup_that_holds_nothing_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place { folder };
    drop(Store::open(&place.data(), Role::Bot, Mode::Demo).unwrap());
    let order = Order { config: None, ..place.order(false) };
    let error = create(&order, &mut |_, _, _| {}).unwrap_err();
    assert!(matches!(error, BackupError::NothingRecorded { .. }), "{error}");
    fs::remove_file(place.path("data/trading.db")).unwrap();
    assert!(create(&order, &mut |_, _, _| {}).is_err(), "no database at all");
    fs::write(place.path("data/trading.db"), "").unwrap();
    assert!(create(&order, &mut |_, _, _| {}).is_err(), "an empty one");
    assert_eq!(list(&place.path("backups"), &mut |_, _, _| {}).unwrap(), []);
}

#[test]
fn a_damaged_database_yields_no_archive() {
    let place = Place::after_a_day();
    let connection = rusqlite::Connection::open(place.path("data/trading.db")).unwrap();
    connection
        .execute_batch(
            "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA foreign_keys = OFF;
             INSERT INTO outbox_delivery VALUES (7, '', 0, '', '', 0, NULL)",
        )
        .unwrap();
    let error = create(&place.order(false), &mut |_, _, _| {}).unwrap_err().to_string();
    assert!(error.contains("row 7 of outbox_delivery"), "{error}");
    assert_eq!(place.names("backups"), ["backup.lock"]);
}

#[test]
fn a_journal_that_does_not_replay_is_told() {
    let place = Place::after_a_day();
    let connection = rusqlite::Connection::open(place.path("data/trading.db")).unwrap();
    connection
        .execute_batch("DROP TRIGGER journal_is_final; UPDATE journal SET commands = '[]'")
        .unwrap();
    let error = create(&place.order(false), &mut |_, _, _| {}).unwrap_err().to_string();
    assert!(error.contains("replay differs"), "{error}");
    // Of another version it is no fault of the backup.
    connection.execute_batch("UPDATE runs SET version = '0.0.9'").unwrap();
    let made = place.backup();
    let replay = made.report.steps.iter().find(|step| step.name == "replay").unwrap();
    assert_eq!(replay.outcome, Outcome::Skipped);
}

#[test]
fn what_a_killed_backup_left_is_not_listed_and_goes() {
    let place = Place::after_a_day();
    let left = place.path("backups/.pivot-unfinished-1-0");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("archive"), "half").unwrap();
    assert_eq!(list(&place.path("backups"), &mut |_, _, _| {}).unwrap(), []);
    let at_work = crate::upkeep::files::Scratch::new(&place.path("backups")).unwrap();
    place.backup();
    assert!(!left.exists());
    assert!(at_work.path().exists(), "what is in use stays");
}

#[test]
fn a_folder_that_somebody_named_keeps_its_permissions() {
    let place = Place::after_a_day();
    let shared = place.path("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o755)).unwrap();
    let order = Order { dir: shared.clone(), ..place.order(false) };
    let made = create(&order, &mut |_, _, _| {}).unwrap();
    assert_eq!((mode_of(&shared), mode_of(&made.path)), (0o755, 0o600));
}

#[test]
fn two_backups_are_not_made_at_once() {
    let place = Place::after_a_day();
    let _other = ServiceLock::acquire(&place.path("backups"), LOCK, 4711).unwrap();
    let error = create(&place.order(false), &mut |_, _, _| {}).unwrap_err();
    assert!(matches!(error, BackupError::Lock(_)), "{error}");
}

#[test]
fn restoring_in_place_keeps_the_old_folder_and_what_people_put_there() {
    let place = Place::after_a_day();
    let made = place.backup();
    place.write("data/HALT", "");
    place.write("data/maintenance.db", "ledger");
    place.write("data/logs.db", "records");
    place.write("data/logs.db-wal", "newer records");
    place.write("data/trading.db-journal", "none of the restored database");
    let error = put_back(&made.path, &place.target("data")).unwrap_err();
    assert!(matches!(error, BackupError::Occupied { .. }), "{error}");
    let target = Target { replace: true, ..place.target("data") };
    for service in ["trading", "auth", "bot"] {
        let lock = ServiceLock::acquire(&place.data(), service, 4711).unwrap();
        let error = put_back(&made.path, &target).unwrap_err().to_string();
        assert!(error.contains(&format!("{service} already runs")), "{error}");
        drop(lock);
    }
    drop(claim(&place.data()));
    let restored = put_back(&made.path, &target).unwrap();
    let before = restored.before.unwrap();
    assert_eq!(before, place.path("data.before-restore-20261123-160500"));
    let contents = |folder: &Path| crate::store::whole::contents(&folder.join(FILE_NAME)).unwrap();
    assert_eq!(contents(&before).rows_of("runs"), 2);
    assert_eq!(contents(&place.data()).rows_of("runs"), 1);
    assert_eq!(
        place.names("data"),
        [
            "HALT",
            "logs.db",
            "logs.db-wal",
            "maintenance.db",
            "paper-book.json",
            "pictures",
            "trading.db"
        ]
    );
    assert_eq!(place.names("").iter().filter(|name| name.starts_with('.')).count(), 0);
}

#[test]
fn live_data_is_not_replaced_while_the_market_is_open_nor_by_another_mode() {
    let place = Place::after_a_day();
    let made = place.backup();
    drop(Store::open(&place.path("live"), Role::Trading, Mode::Live).unwrap());
    let target = Target { replace: true, ..place.target("live") };
    let error = put_back(&made.path, &target).unwrap_err();
    assert!(matches!(error, BackupError::OtherMode { .. }), "{error}");

    let connection = rusqlite::Connection::open(place.path("data/trading.db")).unwrap();
    connection.execute_batch("UPDATE meta SET value = 'live'").unwrap();
    let made = place.backup();
    let error = put_back(&made.path, &Target { market_is_open: true, ..target.clone() });
    assert!(matches!(error, Err(BackupError::MarketOpen)));
    put_back(&made.path, &target).unwrap();
}
