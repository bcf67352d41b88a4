use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use chrono::NaiveDate;

use super::*;

fn day(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, day).unwrap()
}

fn limits(folder: &Path) -> Limits {
    Limits {
        folder: folder.join("logs"),
        file_bytes: 1000,
        files: 3,
        days: 7,
        total_bytes: 1_000_000,
    }
}

fn output(limits: &Limits, stem: &str, date: NaiveDate) -> Output {
    let mut output = Output::new(stem, false);
    output.set_header(header(date).as_bytes());
    output.begin(date, limits).unwrap();
    output
}

fn header(date: NaiveDate) -> String {
    format!("{date}T00:00:00.000+05:30 INFO  general - begin\n")
}

/// A line of that day; 99 bytes with its end.
fn line(date: NaiveDate, number: u32) -> String {
    format!("{:<98}\n", format!("{date}T10:00:00.000+05:30 INFO  general - number {number}"))
}

fn write(output: &mut Output, limits: &Limits, date: NaiveDate, number: u32) -> Flushed {
    let mut done = Flushed::default();
    output.push(line(date, number).as_bytes(), Some(2), date, limits, &mut done).unwrap();
    output.flush(limits, &mut done).unwrap();
    done
}

fn names(limits: &Limits) -> Vec<String> {
    let files = list(&limits.folder).unwrap().into_iter();
    files
        .map(|file| file.path.file_name().unwrap().to_str().unwrap().to_string())
        .filter(|name| !name.starts_with('.'))
        .collect()
}

fn read(limits: &Limits, name: &str) -> String {
    let file = File::open(limits.folder.join(name)).unwrap();
    let mut text = String::new();
    match name.ends_with(".gz") {
        true => flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap(),
        false => (&file).read_to_string(&mut text).unwrap(),
    };
    text
}

#[test]
fn a_full_file_is_set_aside_and_the_oldest_of_them_go() {
    let folder = tempfile::tempdir().unwrap();
    let limits = limits(folder.path());
    let mut output = output(&limits, "bot", day(26));
    for number in 0..50 {
        let done = write(&mut output, &limits, day(26), number);
        assert_eq!((done.written, done.lost), ([0, 0, 1, 0, 0], [0; 5]));
    }
    // Nine lines and the first one fill a file.
    let names = names(&limits);
    assert_eq!(names.len(), 4, "{names:?}");
    assert_eq!(names[0], "bot.log");
    let last = names[1..].last().unwrap();
    assert!(last.starts_with("bot_20261126.") && last.ends_with(".log"), "{last}");
    for file in list(&limits.folder).unwrap() {
        assert!(file.bytes <= limits.file_bytes, "{file:?}");
    }
    // What is kept goes on without a gap.
    let text: String =
        names[1..].iter().chain(&names[..1]).map(|name| read(&limits, name)).collect();
    let numbers: Vec<u32> =
        text.lines().filter_map(|line| line.split("number ").nth(1)?.trim().parse().ok()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    assert_eq!(numbers.last(), Some(&49));
}

#[test]
fn a_day_ends_the_file_and_gives_it_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let limits = limits(folder.path());
    let mut output = output(&limits, "bot", day(26));
    write(&mut output, &limits, day(26), 1);
    output.set_header(header(day(27)).as_bytes());
    write(&mut output, &limits, day(27), 2);
    // A line that was late stays where the file is by now.
    write(&mut output, &limits, day(26), 3);
    assert_eq!(names(&limits), ["bot.log", "bot_20261126.1.log"]);
    assert!(read(&limits, "bot_20261126.1.log").contains("number 1"));
    let text = read(&limits, "bot.log");
    assert!(text.contains("number 2") && text.contains("number 3"));
    // A process of the next day finds out by the first line.
    drop(output);
    let mut next = self::output(&limits, "bot", day(28));
    write(&mut next, &limits, day(28), 4);
    assert_eq!(names(&limits), ["bot.log", "bot_20261126.1.log", "bot_20261127.1.log"]);
}

#[test]
fn the_file_of_a_day_has_its_name_from_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let limits = limits(folder.path());
    let mut output = Output::new("system", true);
    for date in [26, 27] {
        write(&mut output, &limits, day(date), date);
    }
    assert_eq!(names(&limits), ["system_20261126.log", "system_20261127.log"]);
    drop(output);
    let done = compress(&limits, day(27)).unwrap();
    assert_eq!((done.files, done.busy), (1, 0));
    assert_eq!(names(&limits), ["system_20261126.log.gz", "system_20261127.log"]);
    assert!(read(&limits, "system_20261126.log.gz").contains("number 26"));
}

#[test]
fn a_file_that_somebody_writes_to_is_not_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let limits = limits(folder.path());
    let mut slow = output(&limits, "errors", day(26));
    let mut quick = output(&limits, "errors", day(26));
    write(&mut slow, &limits, day(26), 0);
    for number in 1..12 {
        write(&mut quick, &limits, day(26), number);
    }
    assert_eq!(names(&limits), ["errors.log", "errors_20261126.1.log"]);
    let done = compress(&limits, day(26)).unwrap();
    assert_eq!((done.files, done.busy), (0, 1));
    // It notices, and writes where the others do.
    write(&mut slow, &limits, day(26), 12);
    assert!(read(&limits, "errors.log").contains("number 12"));
    let done = compress(&limits, day(26)).unwrap();
    assert_eq!((done.files, done.busy), (1, 0));
    assert_eq!(names(&limits), ["errors.log", "errors_20261126.1.log.gz"]);
}

#[test]
fn a_file_of_an_earlier_day_that_nobody_writes_to_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let limits = limits(folder.path());
    drop(output(&limits, "dashboard", day(20)));
    assert_eq!(compress(&limits, day(20)).unwrap().files, 0);
    assert_eq!(compress(&limits, day(21)).unwrap().files, 1);
    assert_eq!(names(&limits), ["dashboard_20261120.1.log.gz"]);
    assert_eq!(delete_old(&limits.folder, day(27), 7, false).unwrap().len(), 0);
    assert_eq!(delete_old(&limits.folder, day(28), 7, true).unwrap().len(), 1);
    assert_eq!(names(&limits).len(), 1);
    assert_eq!(delete_old(&limits.folder, day(28), 7, false).unwrap().len(), 1);
    assert!(names(&limits).is_empty());
}

#[test]
fn what_was_taken_away_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let limits = limits(folder.path());
    let mut output = output(&limits, "bot", day(26));
    write(&mut output, &limits, day(26), 1);
    fs::remove_dir_all(&limits.folder).unwrap();
    write(&mut output, &limits, day(26), 2);
    assert!(read(&limits, "bot.log").contains("number 2"));
    fs::remove_file(limits.folder.join("bot.log")).unwrap();
    write(&mut output, &limits, day(26), 3);
    let text = read(&limits, "bot.log");
    assert!(text.starts_with("2026-11-26T") && text.contains("number 3"), "{text}");
}

#[test]
fn what_cannot_be_written_waits_and_is_counted_when_it_is_too_much() {
    let folder = tempfile::tempdir().unwrap();
    let limits = limits(folder.path());
    let mut output = output(&limits, "bot", day(26));
    fs::remove_dir_all(&limits.folder).unwrap();
    fs::write(&limits.folder, "in the way").unwrap();
    let mut done = Flushed::default();
    output.push(line(day(26), 1).as_bytes(), Some(1), day(26), &limits, &mut done).unwrap();
    assert!(output.flush(&limits, &mut done).is_err());
    assert_eq!((done.written, done.lost), ([0; 5], [0; 5]));
    fs::remove_file(&limits.folder).unwrap();
    output.flush(&limits, &mut done).unwrap();
    assert_eq!(done.written, [0, 1, 0, 0, 0]);
    assert!(read(&limits, "bot.log").contains("number 1"));

    fs::remove_dir_all(&limits.folder).unwrap();
    fs::write(&limits.folder, "in the way").unwrap();
    let mut done = Flushed::default();
    let many = 20_000;
    for number in 0..many {
        let _ = output.push(line(day(26), number).as_bytes(), Some(2), day(26), &limits, &mut done);
    }
    assert!(output.flush(&limits, &mut done).is_err());
    assert!(done.lost[2] > 0);
    fs::remove_file(&limits.folder).unwrap();
    output.flush(&limits, &mut done).unwrap();
    assert_eq!(done.written[2] + done.lost[2], u64::from(many));
}

#[test]
fn the_folder_keeps_to_its_limit_and_trouble_goes_last() {
    let folder = tempfile::tempdir().unwrap();
    let mut limits = limits(folder.path());
    (limits.total_bytes, limits.files) = (10_000, 100);
    let mut bulk = output(&limits, "api", day(26));
    let mut errors = output(&limits, "errors", day(26));
    for number in 0..20 {
        write(&mut errors, &limits, day(26), number);
    }
    for number in 0..200 {
        write(&mut bulk, &limits, day(26), number);
        let bytes = enforce(&limits).unwrap();
        assert!(bytes <= limits.total_bytes, "{bytes}");
    }
    let names = names(&limits);
    assert!(names.contains(&"errors_20261126.1.log".to_string()), "{names:?}");
    assert!(names.iter().filter(|name| name.starts_with("api_")).count() > 2, "{names:?}");
    // With nothing else left, files that are being written go as well.
    limits.total_bytes = 500;
    assert!(enforce(&limits).unwrap() <= 500);
    write(&mut bulk, &limits, day(26), 1);
    assert!(read(&limits, "api.log").contains("number 1"));
}

#[test]
fn files_are_readable_by_the_group_whatever_the_mask() {
    let folder = tempfile::tempdir().unwrap();
    let limits = limits(folder.path());
    drop(output(&limits, "bot", day(25)));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&limits.folder.join("bot.log")), 0o640);
    assert_eq!(mode(&limits.folder), 0o750);
    compress(&limits, day(26)).unwrap();
    assert_eq!(mode(&limits.folder.join("bot_20261125.1.log.gz")), 0o640);
}

#[test]
fn all_logs_can_be_set_aside_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let limits = limits(folder.path());
    let mut bot = output(&limits, "bot", day(26));
    let mut system = Output::new("system", true);
    write(&mut system, &limits, day(26), 1);
    assert_eq!(rotate(&limits, day(26)).unwrap().len(), 2);
    assert_eq!(names(&limits), ["bot_20261126.1.log", "system_20261126.1.log"]);
    write(&mut bot, &limits, day(26), 2);
    assert!(read(&limits, "bot.log").contains("number 2"));
    assert_eq!(rotate(&limits, day(26)).unwrap().len(), 1);
    assert!(names(&limits).contains(&"bot_20261126.2.log".to_string()));
}

#[test]
fn a_line_that_a_killed_process_left_half_written_ends_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let limits = limits(folder.path());
    drop(output(&limits, "bot", day(26)));
    let path = limits.folder.join("bot.log");
    let torn = format!("{}2026-11-26T10:00:00.000+05:30 INFO  gene", header(day(26)));
    // Its next start says so in the file.
    fs::write(&path, &torn).unwrap();
    let mut next = output(&limits, "bot", day(26));
    write(&mut next, &limits, day(26), 1);
    drop(next);
    let wanted = format!("{torn}\n{}{}", header(day(26)), line(day(26), 1));
    assert_eq!(read(&limits, "bot.log"), wanted);
    // A file that is opened for its first line.
    fs::write(&path, &torn).unwrap();
    let mut later = Output::new("bot", false);
    write(&mut later, &limits, day(26), 2);
    assert_eq!(read(&limits, "bot.log"), format!("{torn}\n{}", line(day(26), 2)));
}

#[test]
fn a_rotation_lists_the_folder_once() {
    let folder = tempfile::tempdir().unwrap();
    let limits = limits(folder.path());
    let mut output = output(&limits, "bot", day(26));
    let mut rotations = 0;
    let before = listings();
    for number in 0..50 {
        rotations += u32::from(write(&mut output, &limits, day(26), number).set_aside);
    }
    assert!(rotations > 3);
    assert_eq!(listings() - before, rotations);
    assert_eq!(names(&limits).len(), 1 + limits.files);
    let before = listings();
    assert_eq!(rotate(&limits, day(26)).unwrap().len(), 1);
    assert_eq!(listings() - before, 1);
    assert_eq!(names(&limits).len(), limits.files);
}

/// As root any file can be opened: there this tells nothing.
#[test]
fn a_lock_file_of_somebody_else_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let limits = limits(folder.path());
    drop(output(&limits, "bot", day(25)));
    let lock = limits.folder.join(".janitor.lock");
    for mode in [0o000, 0o444] {
        fs::write(&lock, "").unwrap();
        fs::set_permissions(&lock, Permissions::from_mode(mode)).unwrap();
        compress(&limits, day(26)).unwrap();
        fs::remove_file(&lock).unwrap();
    }
    assert_eq!(names(&limits), ["bot_20261125.1.log.gz"]);
}

#[test]
fn what_root_makes_belongs_to_whom_the_folder_belongs() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root makes files that others cannot use");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let limits = limits(folder.path());
    fs::create_dir(&limits.folder).unwrap();
    std::os::unix::fs::chown(&limits.folder, Some(54_321), Some(54_322)).unwrap();
    drop(output(&limits, "bot", day(25)));
    compress(&limits, day(26)).unwrap();
    drop(output(&limits, "bot", day(26)));
    for name in ["bot.log", "bot_20261125.1.log.gz", ".janitor.lock"] {
        let meta = fs::metadata(limits.folder.join(name)).unwrap();
        assert_eq!(
            (meta.uid(), meta.gid(), meta.mode() & 0o777),
            (54_321, 54_322, 0o640),
            "{name}"
        );
    }
}
