//! The limit of the databases, and the care that they get.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing::Level;

use super::super::care::{Care, halve, turn};
use super::super::room::on_disk;
use super::super::{schema, sqlite};
use super::*;
use crate::clock::ManualClock;

const DEADLINE: Duration = Duration::from_secs(120);

/// Records with a kilobyte of text that no other has.
fn records(dice: &mut Dice, numbers: std::ops::Range<u64>, last: &mut i64) -> Vec<Record> {
    let record = |number: u64| {
        let mut message = format!("row {number}:");
        while message.len() < 1_000 {
            message.push_str(&format!(" {:x}", dice.throw(1 << 31)));
        }
        let record = Record::new(Row { message, ..row(dice, number) }, *last, 0);
        *last = record.id;
        record
    };
    numbers.map(record).collect()
}

fn taken(active: &Path) -> u64 {
    on_disk(active) + on_disk(&active.with_file_name(ARCHIVE_NAME))
}

fn store(path: &Path, with_text: bool, records: &[Record]) {
    let (connection, _) = schema::open(path, with_text).unwrap();
    let mut writer = sqlite::Writer::new(connection, with_text);
    records.chunks(500).for_each(|records| writer.store(records).unwrap());
}

/// What is thrown out for this limit.
fn pruned(care: &mut Care, megabytes: u64) -> Pruned {
    let mut pruned = Pruned::default();
    let room = Room::of_megabytes(u32::try_from(megabytes).unwrap());
    care.keep_within(room, &mut pruned).unwrap();
    pruned
}

fn held(path: &Path) -> u64 {
    let reader = Reader::open(path).unwrap();
    reader.count(Table::System).unwrap() + reader.count(Table::Performance).unwrap()
}

#[test]
fn the_files_stay_within_their_limit_whatever_is_logged() {
    const MEGABYTES: u32 = 16;
    const BATCH_BYTES: u64 = 4_000_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let room = Room::of_megabytes(MEGABYTES);
    let pruned = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&pruned);
    let caretaker = Caretaker::start(path.clone(), room, false, move |rows| {
        count.fetch_add(rows, Ordering::Relaxed);
    });
    let caretaker = caretaker.unwrap();
    // As two services: whoever finds no room waits, as a sink does.
    let clock = ManualClock::new(start()).clock();
    let mut backends = [0, 1].map(|_| SqliteBackend::new(&path, &clock).within(room));
    let (mut dice, mut last, mut largest) = (Dice(3), 0, 0);
    let (mut full, mut all) = (0_u32, Vec::new());
    let began = Instant::now();
    for batch in 0..20_u64 {
        let records = records(&mut dice, batch * 250..(batch + 1) * 250, &mut last);
        let backend = &mut backends[usize::try_from(batch % 2).unwrap()];
        while let Err(error) = backend.store(&records) {
            assert!(error.to_string().contains("database_max_mb"), "{error}");
            assert!(began.elapsed() < DEADLINE, "no room is made");
            full += 1;
            std::thread::sleep(Duration::from_millis(20));
        }
        all.extend(records.into_iter().map(|record| (record.id, record.row.message)));
        largest = largest.max(taken(&path));
    }
    assert!(largest <= u64::from(MEGABYTES) * 1_000_000 + BATCH_BYTES, "{largest} bytes");
    println!("{full} times full, {largest} bytes at most, {:?}", began.elapsed());
    // The thread tells of what it did at the end of its turn.
    let total = u64::try_from(all.len()).unwrap();
    while held(&path) + pruned.load(Ordering::Relaxed) != total {
        assert!(began.elapsed() < DEADLINE, "rows went uncounted");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(caretaker);
    // The newest are there, the oldest are not, and so it is with their texts.
    let reader = Reader::open(&path).unwrap();
    let left = held(&path);
    let ids = walk(&reader, &LogQuery::default());
    let newest: Vec<i64> =
        all.iter().rev().map(|(id, _)| *id).take(usize::try_from(left).unwrap()).collect();
    assert!(left > 1_000 && ids == newest, "{left}");
    for (place, wanted) in [(0, 0), (all.len() - 1, 1)] {
        let q = Some(all[place].1.clone().split_off(500).chars().take(100).collect());
        assert_eq!(walk(&reader, &LogQuery { q, ..LogQuery::default() }).len(), wanted);
    }
}

#[test]
fn what_finds_no_room_is_laid_by_and_told_until_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let room = Room::of_megabytes(4);
    let hands = ManualClock::new(start());
    let mut last = 0;
    store(&path, true, &records(&mut Dice(5), 0..1_000, &mut last));
    let mut options = Options::new("trading", folder.path().join("x.jsonl"), &hands.clock());
    options.fallback_bytes_max = room.shelf_bytes();
    let backend = SqliteBackend::new(&path, &hands.clock()).within(room);
    let sink = Sink::start(options, backend).unwrap();
    for number in 0..200 {
        let message = format!("new {number} {}", "x".repeat(1_000));
        assert!(sink.offer(Row { message, level: Level::INFO, ..row(&mut Dice(1), 0) }));
    }
    assert!(sink.flush(DEADLINE));
    let State::Failing { why, .. } = sink.state() else { panic!("{:?}", sink.state()) };
    assert!(why.contains("logging.database_max_mb, 4 MB"), "{why}");
    let figures = sink.figures();
    let (spilled, dropped) = (figures.spilled[2], figures.dropped[2]);
    assert!(spilled > 0 && dropped > 0 && spilled + dropped == 200, "{figures:?}");
    assert!(std::fs::metadata(folder.path().join("x.jsonl")).unwrap().len() <= 80_000);
    let pruned = pruned(&mut Care::open(&path).unwrap(), 4);
    assert!(pruned.active > 0, "{pruned:?}");
    let began = Instant::now();
    while sink.state() != State::Well {
        assert!(began.elapsed() < DEADLINE);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(sink.figures().imported, spilled);
}

/// Else what is aside would come on top of the limit.
#[test]
fn damaged_files_that_are_kept_count_for_the_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let mut backend = SqliteBackend::new(&path, &ManualClock::new(start()).clock());
    backend = backend.within(Room::of_megabytes(4));
    backend.store(&[]).unwrap();
    for name in ["logs.db.corrupt-1Z", "logs_archive.db.corrupt-1Z"] {
        std::fs::write(folder.path().join(name), vec![0; 2_000_000]).unwrap();
    }
    let error = backend.store(&[]).unwrap_err();
    assert!(error.to_string().contains("logging.database_max_mb, 4 MB"), "{error}");
}

#[test]
fn damaged_files_give_way_first_then_the_archive_then_the_oldest_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (active, archive) = (folder.path().join(FILE_NAME), folder.path().join(ARCHIVE_NAME));
    let damaged = folder.path().join("logs.db.corrupt-20261123T000000000000Z");
    std::fs::write(&damaged, vec![0; 3_000_000]).unwrap();
    let (mut dice, mut last) = (Dice(9), 0);
    store(&archive, false, &records(&mut dice, 0..1_500, &mut last));
    store(&active, true, &records(&mut dice, 1_500..2_500, &mut last));
    let mut care = Care::open(&active).unwrap();
    let now = taken(&active) / 1_000_000 + 3;
    assert_eq!(pruned(&mut care, now * 2), Pruned::default());
    let file = pruned(&mut care, now);
    assert_eq!((file.rows(), file.files, damaged.exists()), (0, 1, false));
    let some = pruned(&mut care, now - 3);
    assert!(some.archived > 100 && some.active == 0, "{some:?}");
    assert_eq!(held(&archive) + some.archived, 1_500);
    assert_eq!(held(&active), 1_000);
    let most = pruned(&mut care, 4);
    assert_eq!((held(&archive), most.archived), (0, 1_500 - some.archived));
    assert!(most.active > 100 && held(&active) == 1_000 - most.active, "{most:?}");
    assert!(taken(&active) < 4_500_000, "{}", taken(&active));
}

#[test]
fn an_archive_that_cannot_be_used_does_not_stop_the_pruning() {
    let folder = tempfile::tempdir().unwrap();
    let (active, archive) = (folder.path().join(FILE_NAME), folder.path().join(ARCHIVE_NAME));
    let (mut dice, mut last) = (Dice(9), 0);
    store(&active, true, &records(&mut dice, 0..1_500, &mut last));
    let room = Room::of_megabytes(u32::try_from(taken(&active) / 1_000_000).unwrap());
    // One of a newer program.
    store(&archive, false, &[]);
    let (connection, _) = schema::open(&archive, false).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let (mut open, mut pruned) = (None, Pruned::default());
    let error = turn(&active, room, &mut open, &mut pruned).unwrap_err();
    assert!(matches!(error, RowsError::Newer { found: 99, .. }), "{error}");
    assert!(pruned.active > 100 && pruned.archived == 0, "{pruned:?}");
    // A damaged one is the first to go.
    std::fs::write(&archive, vec![0xa5; 3_000_000]).unwrap();
    let before = held(&active);
    let mut pruned = Pruned::default();
    turn(&active, room, &mut open, &mut pruned).unwrap();
    assert_eq!(pruned, Pruned { files: 1, ..Pruned::default() });
    assert_eq!((held(&active), archive.exists()), (before, false));
    // Also on a disk that is full.
    std::fs::write(&archive, vec![0xa5; 3_000_000]).unwrap();
    assert_eq!(halve(&active, 0).unwrap().files, 1);
}

#[test]
fn an_index_of_texts_that_cannot_be_merged_does_not_stop_the_pruning() {
    let folder = tempfile::tempdir().unwrap();
    let active = folder.path().join(FILE_NAME);
    let care = Care::open(&active).unwrap();
    let all = records(&mut Dice(4), 0..1_500, &mut 0);
    all.chunks(100).for_each(|records| store(&active, true, records));
    drop(care);
    let (connection, _) = schema::open(&active, true).unwrap();
    // Its segments; what says which there are comes below.
    let sql = "UPDATE system_logs_text_data SET block = x'0000' WHERE id > 1000";
    assert!(connection.execute(sql, []).unwrap() > 0);
    drop(connection);
    let room = Room::of_megabytes(u32::try_from(taken(&active) / 1_000_000).unwrap());
    let (mut open, mut pruned) = (None, Pruned::default());
    let error = turn(&active, room, &mut open, &mut pruned).unwrap_err();
    assert!(matches!(error, RowsError::Write(_)) && error.is_damage(), "{error}");
    assert!(pruned.active > 100, "{pruned:?}");
    assert_eq!(held(&active) + pruned.active, 1_500);
}

#[test]
fn a_damaged_database_is_moved_aside_by_whoever_cares_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let active = folder.path().join(FILE_NAME);
    let (mut open, mut pruned) = (None, Pruned::default());
    std::fs::write(&active, vec![0xa5; 40_000]).unwrap();
    turn(&active, Room::of_megabytes(4), &mut open, &mut pruned).unwrap();
    let aside = |count: usize| {
        let found = super::super::room::damaged(&active).unwrap();
        assert_eq!((found.len(), active.exists()), (count, count == 0), "{found:?}");
    };
    aside(1);
    std::fs::write(&active, vec![0xa5; 40_000]).unwrap();
    assert_eq!(halve(&active, 0).unwrap().files, 2);
    aside(0);
}

/// Rows that are thrown out stay in the log until the reader is done.
#[test]
fn nothing_is_thrown_out_while_a_reader_keeps_the_log_from_being_emptied() {
    let folder = tempfile::tempdir().unwrap();
    let active = folder.path().join(FILE_NAME);
    let (mut dice, mut last) = (Dice(6), 0);
    store(&active, true, &records(&mut dice, 0..500, &mut last));
    let reader = schema::open_reader(&active).unwrap();
    reader.execute_batch("BEGIN; SELECT COUNT(*) FROM system_logs").unwrap();
    store(&active, true, &records(&mut dice, 500..2_500, &mut last));
    let mut care = Care::open(&active).unwrap();
    let limit = taken(&active) / 1_000_000;
    assert_eq!(pruned(&mut care, limit), Pruned::default());
    assert_eq!(held(&active), 2_500);
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(pruned(&mut care, limit), Pruned::default(), "without the log there is room");
    assert!(pruned(&mut care, 3).active > 100);
}

#[test]
fn half_of_the_rows_make_room_on_a_disk_that_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let active = folder.path().join(FILE_NAME);
    assert_eq!(make_room(&active).unwrap(), Pruned::default());
    store(&active, true, &records(&mut Dice(2), 0..2_000, &mut 0));
    let before = taken(&active);
    // What is little stays.
    assert_eq!(make_room(&active).unwrap(), Pruned::default());
    let pruned = halve(&active, 0).unwrap();
    let after = taken(&active);
    assert!((800..1_500).contains(&pruned.active), "{pruned:?}");
    assert!(after < before * 6 / 10, "{before} to {after}");
}

#[test]
fn appenders_leave_the_merging_of_the_index_to_the_caretaker() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    store(&path, true, &[]);
    let care = Care::open(&path).unwrap();
    let (connection, _) = schema::open(&path, true).unwrap();
    let parts = || -> i64 {
        let sql = "SELECT COUNT(DISTINCT segid) FROM system_logs_text_idx";
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let (mut dice, mut last) = (Dice(4), 0);
    for batch in 0..20 {
        store(&path, true, &records(&mut dice, batch * 10..(batch + 1) * 10, &mut last));
    }
    assert_eq!(parts(), 20);
    care.merge().unwrap();
    assert!(parts() < 4, "{}", parts());
    assert_eq!(walk(&Reader::open(&path).unwrap(), &LogQuery::default()).len(), 200);
}
