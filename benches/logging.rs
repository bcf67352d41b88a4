//! Logging under a flood: several processes with several threads each log as
//! fast as they can into one folder, across midnight in India. Afterwards
//! every promise is checked: sizes, names, archives, whole lines, no warning
//! lost, every line counted. `cargo bench --bench logging`; the environment
//! may set `FLOOD_SECONDS`, and `LOGURU_PYTHON` for a Python that has loguru.
//! `cargo test` runs a short one in a small folder.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench, not a service"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{NaiveDate, TimeDelta};
use flate2::read::GzDecoder;
use pivot_trading::clock::{CLOCK_FILE_ENV, Clock, Conductor};
use pivot_trading::config::LoggingConfig;
use pivot_trading::market::time::{from_ist, hms};
use pivot_trading::telemetry::{self, Limits};

const SERVICES: [&str; 4] = ["trading", "auth", "bot", "ctl"];
const THREADS: u64 = 5;

/// One of so many calls is timed.
const TIMED_EACH: u64 = 8;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["flood", service, folder, seconds, size] => {
            flood_worker(service, Size::of(size).limits(Path::new(folder)), seconds);
        }
        ["alone", name, folder, lines] => alone_worker(name, Path::new(folder), lines),
        words if words.contains(&"--bench") => {
            compare();
            flood(Size::Real, 10.0);
        }
        // Somebody looks for another test.
        words if words.iter().any(|word| !word.starts_with("--") || *word == "--list") => {}
        _ => flood(Size::Small, 2.0),
    }
}

/// How large folder and files may be.
#[derive(Clone, Copy)]
enum Size {
    Real,
    Small,
}

fn myself() -> Command {
    Command::new(std::env::current_exe().expect("a path"))
}

impl Size {
    const fn word(self) -> &'static str {
        match self {
            Size::Real => "real",
            Size::Small => "small",
        }
    }

    fn of(word: &str) -> Size {
        if word == Size::Real.word() { Size::Real } else { Size::Small }
    }

    fn limits(self, folder: &Path) -> Limits {
        let (file_bytes, files, total_bytes) = match self {
            Size::Real => (10_000_000, 10, 500_000_000),
            Size::Small => (400_000, 100, 6_000_000),
        };
        Limits { folder: folder.to_owned(), file_bytes, files, days: 7, total_bytes }
    }
}

/// Durations in buckets of a sixteenth of their power of two.
struct Histogram {
    buckets: Vec<u64>,
    max_ns: u64,
}

impl Histogram {
    fn new() -> Histogram {
        Histogram { buckets: vec![0; 64 * 16], max_ns: 0 }
    }

    fn add(&mut self, ns: u64) {
        let ns = ns.max(16);
        let power = 63 - ns.leading_zeros();
        let place = power * 16 + u32::try_from((ns >> (power - 4)) & 15).expect("four bits");
        self.buckets[usize::try_from(place).expect("small")] += 1;
        self.max_ns = self.max_ns.max(ns);
    }

    fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// The upper end of the bucket that holds this part of all.
    fn quantile(&self, part: f64) -> u64 {
        let all: u64 = self.buckets.iter().sum();
        let wanted = (all as f64 * part).ceil() as u64;
        let mut seen = 0;
        for (place, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                let (power, step) = (place / 16, place as u64 % 16);
                return (1 << power) + ((step + 1) << power.saturating_sub(4));
            }
        }
        self.max_ns
    }
}

// ---- one thread alone, beside other libraries ----

/// A line as a busy market makes them.
macro_rules! tick {
    ($n:expr) => {
        tracing::info!(
            target: "ticker",
            "tick NIFTY24DEC24000CE token={} ltp={:.2} vol={} oi={} seq={}",
            10_756_098,
            123.45 + ($n % 100) as f64,
            $n * 75,
            1_234_500,
            $n
        )
    };
}

fn alone_worker(name: &str, folder: &Path, lines: &str) {
    let lines: u64 = lines.parse().expect("a number");
    let mut took = Histogram::new();
    let start = Instant::now();
    let mut run = |n| {
        let begin = Instant::now();
        tick!(n);
        took.add(u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX));
    };
    let written = if name == "tracing-appender" {
        std::fs::create_dir_all(folder).expect("a folder");
        let file = tracing_appender::rolling::never(folder, "bench.log");
        let (writer, guard) =
            tracing_appender::non_blocking::NonBlockingBuilder::default().lossy(false).finish(file);
        let format = tracing_subscriber::fmt().with_ansi(false).with_writer(writer);
        format.init();
        (0..lines).for_each(&mut run);
        drop(guard);
        lines
    } else {
        let clock = Clock::system();
        let config = LoggingConfig::default();
        let limits = Size::Real.limits(&folder.join("logs"));
        let guard =
            telemetry::start("trading", &config, limits, folder, &clock, "bench").expect("logging");
        (0..lines).for_each(&mut run);
        guard.flush(Duration::from_secs(60)).expect("all lines written");
        let figures = guard.figures();
        drop(guard);
        figures.written.iter().sum()
    };
    let seconds = start.elapsed().as_secs_f64();
    let logs = if name == "pivot-trading" { folder.join("logs") } else { folder.to_owned() };
    let bytes: u64 = files(&logs).iter().map(|path| bytes_of(path)).sum();
    println!(
        "{} {} {} {} {} {} {}",
        written,
        seconds,
        bytes,
        took.quantile(0.5),
        took.quantile(0.99),
        took.max_ns,
        lines - written
    );
}

fn compare() {
    let heads = ["lines/s", "MB in files", "p50 us", "p99 us", "max us", "not written"];
    println!("one thread, as fast as it can");
    print!("{:<22}", "");
    heads.iter().for_each(|head| print!("{head:>13}"));
    println!();
    for name in ["pivot-trading", "tracing-appender", "pivot-trading", "tracing-appender"] {
        let folder = tempfile::tempdir().expect("a folder");
        let output = myself()
            .args(["alone", name, &folder.path().display().to_string(), "2000000"])
            .stderr(Stdio::null())
            .output()
            .expect("the worker");
        row(name, &String::from_utf8_lossy(&output.stdout));
    }
    let Some(python) = std::env::var_os("LOGURU_PYTHON") else {
        println!("(loguru and RotatingFileHandler: set LOGURU_PYTHON to a Python that has loguru)");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/logging_peers.py");
    for name in ["loguru", "RotatingFileHandler", "loguru", "RotatingFileHandler"] {
        let folder = tempfile::tempdir().expect("a folder");
        let output = Command::new(&python)
            .arg(&script)
            .args([name, &folder.path().display().to_string(), "100000"])
            .output()
            .expect("python");
        row(name, &String::from_utf8_lossy(&output.stdout));
    }
}

fn row(name: &str, answer: &str) {
    let numbers: Vec<f64> =
        answer.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [written, seconds, bytes, p50, p99, max, lost] = numbers.as_slice() else {
        println!("{name:<22} failed: {answer}");
        return;
    };
    println!(
        "{name:<22}{:>13.0}{:>13.1}{:>13.2}{:>13.2}{:>13.0}{lost:>13}",
        written / seconds,
        bytes / 1e6,
        p50 / 1e3,
        p99 / 1e3,
        max / 1e3
    );
}

// ---- the flood ----

/// Lines of each kind that one thread emitted.
#[derive(Default)]
struct Emitted {
    all: u64,
    warnings: u64,
    errors: u64,
}

fn flood_thread(thread: u64, until: Instant) -> (Emitted, Histogram) {
    let (mut emitted, mut took) = (Emitted::default(), Histogram::new());
    let mut n = 0_u64;
    while !n.is_multiple_of(64) || Instant::now() < until {
        let begin = n.is_multiple_of(TIMED_EACH).then(Instant::now);
        match n % 1000 {
            0 => {
                let id = emitted.errors;
                tracing::error!(target: "pivot_trading::kite", thread, id, "order refused end");
                emitted.errors += 1;
            }
            250 | 500 | 750 => {
                let id = emitted.warnings;
                tracing::warn!(target: "pivot_trading::trading", thread, id, "late answer end");
                emitted.warnings += 1;
            }
            rest if rest % 10 == 9 => {
                tracing::info!(target: "pivot_trading::trading::feed", "nothing new end");
            }
            rest if rest % 4 == 3 => tracing::info!(
                target: "pivot_trading::trading::executor",
                thread, n, price = 123.45, "order looked at end"
            ),
            _ => tick!(n),
        }
        if let Some(begin) = begin {
            took.add(u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
        emitted.all += 1;
        n += 1;
    }
    (emitted, took)
}

fn flood_worker(service: &str, limits: Limits, seconds: &str) {
    let service = SERVICES.into_iter().find(|known| *known == service).expect("a service");
    let clock = Clock::from_env().expect("a clock");
    let config = LoggingConfig::default();
    let data = limits.folder.parent().expect("a folder around it").to_owned();
    let guard = telemetry::start(service, &config, limits, &data, &clock, "bench").expect("logs");
    let until = Instant::now() + Duration::from_secs_f64(seconds.parse().expect("a number"));
    let mut took = Histogram::new();
    let mut emitted = Emitted::default();
    let mut ids = Vec::new();
    let start = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS).map(|thread| scope.spawn(move || flood_thread(thread, until))).collect();
        for thread in threads {
            let (mine, times) = thread.join().expect("a thread");
            took.merge(&times);
            ids.push(format!("{}:{}", mine.warnings, mine.errors));
            emitted.all += mine.all;
        }
    });
    let flushed = guard.flush(Duration::from_secs(30)).is_ok();
    let seconds = start.elapsed().as_secs_f64();
    let figures = guard.figures();
    drop(guard);
    let sum = |counts: [u64; 5]| counts.iter().sum::<u64>();
    println!(
        "{} {} {} {} {} {} {} {} {} {} {} {}",
        emitted.all,
        sum(figures.written),
        sum(figures.sampled),
        sum(figures.dropped),
        sum(figures.lost),
        figures.bytes,
        seconds,
        took.quantile(0.5),
        took.quantile(0.99),
        took.max_ns,
        u8::from(flushed),
        figures.dropped[0] + figures.dropped[1] + figures.lost[0] + figures.lost[1],
    );
    println!("{}", ids.join(" "));
}

fn flood(size: Size, usual_seconds: f64) {
    let seconds = std::env::var("FLOOD_SECONDS").unwrap_or_else(|_| usual_seconds.to_string());
    let length: f64 = seconds.parse().expect("FLOOD_SECONDS is a number");
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join("logs");
    let clock_file = home.path().join("clock");
    let date = NaiveDate::from_ymd_opt(2026, 11, 26).expect("a date");
    let midnight = from_ist(date.succ_opt().expect("a day"), hms(0, 0, 0));
    let half = TimeDelta::milliseconds((length * 500.0) as i64);
    let mut conductor = Conductor::create(&clock_file, midnight - half).expect("a clock");
    conductor.run(1.0, midnight + TimeDelta::hours(1)).expect("a clock that runs");
    println!();
    println!("{} processes, {THREADS} threads each, {length} s, across midnight", SERVICES.len());
    let children: Vec<_> = SERVICES
        .iter()
        .map(|service| {
            myself()
                .args(["flood", service, &folder.display().to_string(), &seconds, size.word()])
                .env(CLOCK_FILE_ENV, &clock_file)
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("a worker")
        })
        .collect();
    let (mut largest, mut at_its_largest) = (0, Vec::new());
    let deadline = Instant::now() + Duration::from_secs_f64(length);
    while Instant::now() < deadline {
        let sizes: Vec<(PathBuf, u64)> =
            files(&folder).into_iter().map(|path| (path.clone(), bytes_of(&path))).collect();
        let total: u64 = sizes.iter().map(|(_, bytes)| bytes).sum();
        if total > largest {
            (largest, at_its_largest) = (total, sizes);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut answers = BTreeMap::new();
    for (service, child) in SERVICES.iter().zip(children) {
        let output = child.wait_with_output().expect("the worker's answer");
        answers.insert(*service, String::from_utf8(output.stdout).expect("text"));
    }
    largest = largest.max(files(&folder).iter().map(|path| bytes_of(path)).sum());
    report(&answers);
    let limits = size.limits(&folder);
    println!(
        "folder at its largest {:.1} MB of {:.1}",
        largest as f64 / 1e6,
        limits.total_bytes as f64 / 1e6
    );
    let most = limits.total_bytes + limits.file_bytes;
    assert!(largest <= most, "more than a file above the limit: {at_its_largest:?}");
    check(&limits, &answers, date);
}

fn report(answers: &BTreeMap<&str, String>) {
    let mut all = [0.0; 7];
    println!(
        "{:<10}{:>12}{:>12}{:>12}{:>12}{:>8}{:>10}{:>10}{:>9}{:>9}{:>10}",
        "process",
        "emitted",
        "written",
        "sampled",
        "dropped",
        "lost",
        "MB",
        "lines/s",
        "p50 us",
        "p99 us",
        "max us"
    );
    for (service, answer) in answers {
        let first = answer.lines().next().unwrap_or_default();
        let numbers: Vec<f64> = first.split(' ').filter_map(|word| word.parse().ok()).collect();
        let &[
            emitted,
            written,
            sampled,
            dropped,
            lost,
            bytes,
            seconds,
            p50,
            p99,
            max,
            flushed,
            warnings,
        ] = numbers.as_slice()
        else {
            panic!("{service}: {answer}");
        };
        println!(
            "{service:<10}{emitted:>12}{written:>12}{sampled:>12}{dropped:>12}{lost:>8}{:>10.1}\
             {:>10.0}{:>9.2}{:>9.2}{:>10.0}",
            bytes / 1e6,
            written / seconds,
            p50 / 1e3,
            p99 / 1e3,
            max / 1e3
        );
        assert!((emitted - written - sampled - dropped - lost).abs() < 0.5, "not all is counted");
        assert!(flushed > 0.5, "the last lines took too long");
        assert!(warnings < 0.5, "{service}: {warnings} warnings and errors were not written");
        for (sum, number) in
            all.iter_mut().zip([emitted, written, sampled, dropped, lost, bytes, written / seconds])
        {
            *sum += number;
        }
    }
    let [emitted, written, sampled, dropped, lost, bytes, rate] = all;
    println!(
        "{:<10}{emitted:>12}{written:>12}{sampled:>12}{dropped:>12}{lost:>8}{:>10.1}{rate:>10.0}",
        "all",
        bytes / 1e6
    );
    println!("written + sampled + dropped + lost = emitted, in each process");
}

fn check(limits: &Limits, answers: &BTreeMap<&str, String>, date: NaiveDate) {
    let folder = &limits.folder;
    let today = date.succ_opt().expect("a day");
    let done = telemetry::compress(limits, today).expect("compressing");
    println!("compressed at the end: {} files, {} busy", done.files, done.busy);
    let (mut lines, mut archives) = (0_u64, 0);
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut names = Vec::new();
    for path in files(folder) {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_string();
        if name.starts_with('.') || name.contains(".jsonl") {
            continue;
        }
        let mut bytes = Vec::new();
        if name.ends_with(".gz") {
            archives += 1;
            GzDecoder::new(File::open(&path).expect("an archive"))
                .read_to_end(&mut bytes)
                .expect("a whole archive");
        } else {
            assert!(!is_set_aside(&name), "{name} is not compressed");
            BufReader::new(File::open(&path).expect("a file"))
                .read_to_end(&mut bytes)
                .expect("a file that can be read");
        }
        assert!(bytes.ends_with(b"\n"), "{name} ends in a torn line");
        for line in bytes.lines() {
            let line = line.expect("text");
            assert!(is_whole(&line), "{name}: torn: {line}");
            lines += 1;
            if let Some(service) = name.split("_error").next().filter(|it| *it != name)
                && let Some(key) = numbered(&line)
            {
                seen.entry(service.to_string()).or_default().insert(key);
            }
        }
        names.push(name);
    }
    for day in ["_20261126.", "_20261127."] {
        assert!(names.iter().any(|name| name.contains(day)), "{names:?}");
    }
    for name in &names {
        assert!(is_right(name), "a file named {name}");
    }
    println!("{lines} lines in {} files, {archives} of them archives; none torn", names.len());
    for (service, answer) in answers {
        let own = if *service == "auth" { "auth_server" } else { service };
        let found = &seen[own];
        let mut wanted = 0;
        for (thread, counts) in answer.lines().nth(1).expect("counts").split(' ').enumerate() {
            let (warnings, errors) = counts.split_once(':').expect("two counts");
            for (level, count) in [("WARN", warnings), ("ERROR", errors)] {
                let count: u64 = count.parse().expect("a number");
                for id in 0..count {
                    assert!(found.contains(&format!("{level} {thread} {id}")), "{level} lost");
                }
                wanted += count;
            }
        }
        println!("{service}: all of {wanted} warnings and errors are in {own}_error.log");
    }
}

/// `LEVEL thread id` of a line that is numbered.
fn numbered(line: &str) -> Option<String> {
    let level = line.split_whitespace().nth(1)?;
    let value = |name: &str| line.split(name).nth(1)?.split(' ').next();
    Some(format!("{level} {} {}", value(" thread=")?, value(" id=")?))
}

/// A line begins with its time and ends as one of ours does.
fn is_whole(line: &str) -> bool {
    let starts = line.starts_with("2026-11-2") && line.get(19..20) == Some(".");
    let once = line.matches("+05:30 ").count() == 1;
    let ends = [" end", " seq=", " id=", " price=", "----", "event_type="];
    starts && once && ends.iter().any(|end| line.contains(end))
}

/// `stem.log`, `stem_DATE.N.log.gz`, and the same of `system` without a number.
fn is_right(name: &str) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    let dated = |stem: &str| stem.ends_with("_20261126") || stem.ends_with("_20261127");
    match parts.as_slice() {
        ["system_20261127", "log"] | ["system_20261126", "log", "gz"] => true,
        [stem, "log"] => !dated(stem) && *stem != "system",
        [stem, number, "log", "gz"] => dated(stem) && number.parse::<u32>().is_ok(),
        _ => false,
    }
}

fn is_set_aside(name: &str) -> bool {
    name.matches('.').count() > 1 || name == "system_20261126.log"
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn bytes_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}
