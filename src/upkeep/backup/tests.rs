use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tar::{EntryType, Header};

use super::manifest::{Manifest, Member};
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

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// A data folder after some trading, a configuration, logs.
    fn after_a_day() -> Place {
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

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.path("data")
    }

    fn order(&self, full: bool) -> Order {
        Order {
            data: self.data(),
            dir: self.path("backups"),
            config: Some(self.path("config.json")),
            logs: full.then(|| self.path("logs")),
            now: now(),
        }
    }

    fn backup(&self) -> Made {
        create(&self.order(false), &mut |_, _, _| {}).unwrap()
    }

    fn target(&self, name: &str) -> Target {
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
    fn names(&self, name: &str) -> Vec<String> {
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

fn checked(archive: &Path) -> Report {
    verify(archive, &mut |_, _, _| {}).unwrap()
}

fn put_back(archive: &Path, target: &Target) -> Result<Restored, BackupError> {
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
    let left = place.path("backups/.unfinished-1-0");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("archive"), "half").unwrap();
    assert_eq!(list(&place.path("backups"), &mut |_, _, _| {}).unwrap(), []);
    place.backup();
    assert!(!left.exists());
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

#[test]
fn damage_of_any_byte_is_found() {
    let place = Place::after_a_day();
    let made = place.backup();
    let bytes = fs::read(&made.path).unwrap();
    let alone = place.path("alone");
    fs::create_dir(&alone).unwrap();
    let bare = alone.join("bare.tar.gz");
    let config = ProptestConfig { cases: 96, ..ProptestConfig::default() };
    let flips = (0..bytes.len(), 1_u8..=255, any::<bool>());
    TestRunner::new(config)
        .run(&flips, |(at, mask, cut)| {
            let mut damaged = bytes.clone();
            if cut {
                damaged.truncate(at);
            } else {
                damaged[at] ^= mask;
            }
            fs::write(&made.path, &damaged).unwrap();
            let report = checked(&made.path);
            prop_assert_eq!(report.steps.len(), 1);
            prop_assert!(!report.is_sound());
            // Without its checksum: found, or of no consequence (the gzip
            // header has bytes that nobody reads).
            fs::write(&bare, &damaged).unwrap();
            if checked(&bare).is_sound() {
                let target = Target { dir: alone.join("restored"), ..place.target("") };
                let restored = put_back(&bare, &target).unwrap();
                fs::remove_dir_all(&target.dir).unwrap();
                prop_assert_eq!(&restored.manifest, &made.manifest);
                prop_assert!(!cut && at < 10, "a byte at {} of no consequence", at);
            }
            Ok(())
        })
        .unwrap();
    fs::write(&made.path, &bytes).unwrap();
    assert!(checked(&made.path).is_sound());
    fs::write(&bare, [bytes.as_slice(), b"more"].concat()).unwrap();
    assert!(!checked(&bare).is_sound(), "bytes that follow");
}

/// An archive made by somebody else.
struct Forged {
    manifest: serde_json::Value,
    entries: Vec<(Header, Vec<u8>)>,
}

fn forged_header(name: &str, size: u64, kind: EntryType) -> Header {
    let mut header = Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o777);
    header.set_entry_type(kind);
    // Written as it is: the crate refuses such names.
    let field = &mut header.as_old_mut().name;
    field[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    header
}

impl Forged {
    fn of(manifest: &Manifest) -> Forged {
        Forged { manifest: serde_json::to_value(manifest).unwrap(), entries: Vec::new() }
    }

    /// Lists a file and appends it.
    fn with(mut self, name: &str, bytes: &[u8], size: u64, kind: EntryType) -> Forged {
        use sha2::Digest as _;
        let sha256 = crate::service::hex(&sha2::Sha256::digest(bytes));
        let member = Member { name: name.into(), size, sha256 };
        let files = self.manifest["files"].as_array_mut().unwrap();
        files.push(serde_json::to_value(member).unwrap());
        self.unlisted(name, bytes, size, kind)
    }

    fn unlisted(mut self, name: &str, bytes: &[u8], size: u64, kind: EntryType) -> Forged {
        self.entries.push((forged_header(name, size, kind), bytes.to_vec()));
        self
    }

    fn write(&self, path: &Path) {
        let text = self.manifest.to_string();
        let file = fs::File::create(path).unwrap();
        let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::fast()));
        let header = forged_header("manifest.json", text.len() as u64, EntryType::Regular);
        tar.append(&header, text.as_bytes()).unwrap();
        for (header, bytes) in &self.entries {
            tar.append(header, bytes.as_slice()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
    }
}

#[test]
fn hostile_archives_write_nothing_outside_and_are_refused() {
    let place = Place::after_a_day();
    let made = place.backup();
    let mut empty = made.manifest.clone();
    empty.files.clear();
    let database = fs::read(place.path("data/trading.db")).unwrap();
    let size = database.len() as u64;
    let base = || Forged::of(&empty).with("trading.db", &database, size, EntryType::Regular);
    let plain = EntryType::Regular;
    let mut newer = base();
    newer.manifest["format"] = 99.into();
    let mut listless = base();
    listless.manifest["files"] = serde_json::json!([]);
    let mut shapeless = base();
    shapeless.manifest = serde_json::json!([1]);
    let huge = 1 << 50;
    let cases = [
        ("upwards", base().with("../evil", b"x", 1, plain), "no name of ours"),
        ("absolute", base().with("/tmp/evil", b"x", 1, plain), "no name of ours"),
        ("deep", base().with("logs/../../evil", b"x", 1, plain), "no name of ours"),
        ("hidden", base().with("logs/.ssh", b"x", 1, plain), "no name of ours"),
        ("link", base().with("logs/a.log", b"", 0, EntryType::Symlink), "a link"),
        ("hard link", base().with("config.json", b"", 0, EntryType::Link), "a link"),
        ("folder", base().with("logs/a", b"", 0, EntryType::Directory), "a link, a folder"),
        ("device", base().with("logs/a", b"", 0, EntryType::Char), "a device"),
        ("twice", base().with("trading.db", b"x", 1, plain), "lists it twice"),
        ("unlisted", base().unlisted("config.json", b"x", 1, plain), "does not list it"),
        ("giant", base().with("logs.db", b"x", huge, plain), "do not fit"),
        ("shorter", base().with("logs.db", b"x", 5, plain), "its checksum"),
        ("newer", newer, "use the newer program"),
        ("listless", listless, "does not list it"),
        ("shapeless", shapeless, "its manifest cannot be read"),
    ];
    let archive = place.path("forged.tar.gz");
    let before = place.names("");
    for (case, forged, words) in cases {
        forged.write(&archive);
        let found = checked(&archive).first_failure().unwrap_or_default();
        assert!(found.contains(words), "{case}: {found}");
        assert!(put_back(&archive, &place.target("second")).is_err(), "{case}");
        fs::remove_file(&archive).unwrap();
        assert_eq!(place.names(""), before, "{case}");
        assert!(!Path::new("/tmp/evil").exists(), "{case}");
    }
    fs::write(&archive, "no archive at all").unwrap();
    assert!(!checked(&archive).is_sound());
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut gzip, &[0_u8; 4096]).unwrap();
    fs::write(&archive, gzip.finish().unwrap()).unwrap();
    let found = checked(&archive).first_failure().unwrap();
    assert!(found.contains("no backup of this program"), "{found}");
}
