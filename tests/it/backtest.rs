//! Backtests and judged cases through the command line.

use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/");

fn pivotctl(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pivotctl")).args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A failed call: its exit code and what it said.
fn refused(args: &[&str]) -> (i32, String) {
    let output = pivotctl(args);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn data(path: &str) -> Option<PathBuf> {
    let path = Path::new(FIXTURES).join(path);
    if !path.exists() {
        println!("skipped: {} is not here", path.display());
    }
    path.exists().then_some(path)
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_string()
}

/// Lines of the days that have all 375 one-minute bars.
fn complete_days(packed: &Path) -> String {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(fs::File::open(packed).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    let mut lines = text.lines();
    let mut kept = format!("{}\n", lines.next().unwrap());
    let lines: Vec<&str> = lines.collect();
    for day in lines.chunk_by(|one, other| one[..10] == other[..10]) {
        if day.len() == 375 && day[0][11..].starts_with("09:15") {
            kept.push_str(&day.join("\n"));
            kept.push('\n');
        }
    }
    kept
}

#[test]
fn level_breakout_trades_as_the_reference_lists_say() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["nifty", "banknifty"] {
        let bars = data(&format!("market/intraday_1m/{name}_1m_2012_2023.csv.gz"));
        let oracle = data(&format!("market/oracle/{name}_level_breakout_trades.csv"));
        let (Some(bars), Some(oracle)) = (bars, oracle) else { return };
        let input = write(folder.path(), "bars.csv", &complete_days(&bars));
        let trades = folder.path().join("trades.csv");
        let out = trades.to_str().unwrap();
        stdout(&pivotctl(&[
            "backtest",
            "--strategy",
            "level-breakout",
            "--data",
            &input,
            "--trades",
            out,
        ]));
        assert!(fs::read(&trades).unwrap() == fs::read(&oracle).unwrap(), "{name}");
    }
}

#[test]
fn recorded_cases_come_out_as_expected() {
    let Some(fixtures) = data("domain_fixtures.json") else { return };
    let all: Value = serde_json::from_str(&fs::read_to_string(fixtures).unwrap()).unwrap();
    let expected = &all["signals"];
    let mut cases = expected.clone();
    for case in cases.as_object_mut().unwrap().values_mut() {
        case.as_object_mut()
            .unwrap()
            .retain(|key, _| ["prev_HLC", "hist_body_pct", "candles"].contains(&key.as_str()));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "cases.json", &cases.to_string());
    let shown = stdout(&pivotctl(&["decide", "--strategy", "index-pivot", "--case", &file]));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    for (name, case) in expected.as_object().unwrap() {
        assert_eq!(&shown[name], case, "{name}");
    }
}

/// A rise through the upper edge of the range on a narrow day.
const CASE: &str = r#"{"narrow": {
    "prev_HLC": [81200, "80600", 80915.0],
    "hist_body_pct": [0.012, "0.031", 0.01, 0.02, 0.03, 0.02, 0.01, 0.02, 0.03, 0.02],
    "candles": [
        ["09:15", 80870, 80905, 80850, 80880], ["09:18", 80880, 80915, 80865, 80900],
        ["09:21", 80900, 80925, 80880, 80890], ["09:24", 80890, 80910, 80870, 80905],
        ["09:27", 80905, 80920, 80885, 80895], ["09:30", 80895, 80958, 80893, "80950.00"]
    ]
}}"#;

#[test]
fn a_case_is_filled_in() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "case.json", CASE);
    let shown: Value =
        serde_json::from_str(&stdout(&pivotctl(&["decide", "--case", &file]))).unwrap();
    let case = &shown["narrow"];
    assert_eq!(case["daytype"], "NARROW");
    assert_eq!(case["gap_pct"], "-0.06");
    assert_eq!(case["halt"], Value::Null);
    assert_eq!(case["events"].as_array().unwrap().len(), 1);
    let event = &case["events"][0];
    for (field, expected) in
        [("t", "09:33"), ("side", "L"), ("level", "CPR_HI"), ("X", "80910.00"), ("sl", "80893.00")]
    {
        assert_eq!(event[field], expected, "{field}");
    }
    assert_eq!(event["T1"][0], "R1");
    assert_eq!(event["reject"], Value::Null);

    let strict = ["decide", "--case", &file, "--set", "min_history=16"];
    let shown: Value = serde_json::from_str(&stdout(&pivotctl(&strict))).unwrap();
    assert_eq!(shown["narrow"]["events"][0]["reject"], "NO_HISTORY");
    assert_eq!(shown["narrow"]["events"][0]["thr"], Value::Null);
}

#[test]
fn a_wrong_case_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let check = |from: &str, to: &str, expected: &str| {
        let file = write(folder.path(), "case.json", &CASE.replacen(from, to, 1));
        let (code, said) = refused(&["decide", "--case", &file]);
        assert_eq!(code, 1);
        assert!(said.contains(expected), "{said}");
    };
    check("\"80600\"", "\"x\"", "narrow.prev_HLC[1]");
    check("\"09:18\"", "\"9 o'clock\"", "narrow.candles[1][0]");
    check("80905, 80850", "80805, 80850", "the candle at 09:15:00 contradicts itself");
    check("0.031", "0.03100001", "a percentage with at most seven decimals");
    check("\"candles\"", "\"kandles\"", "narrow");
    check("\"candles\"", "\"remark\": 1, \"candles\"", "narrow.remark");
    check("\"09:18\"", "\"09:15\"", "case \"narrow\": the candle at 09:15:00 begins before");
    check("\"09:18\"", "\"09:24\"", "the candle at 09:21:00 begins before the one at 09:24:00");
}

#[test]
fn parameters_that_cannot_be_are_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "case.json", CASE);
    for set in ["foo=1", "or_minutes=0", "pivot_family=camarilla", "foo"] {
        let (code, said) = refused(&["decide", "--case", &file, "--json", "--set", set]);
        assert_eq!(code, 2, "{set}: {said}");
        let bars = ["backtest", "--strategy", "index-pivot", "--data", &file, "--set", set];
        let (code, said) = refused(&bars);
        assert_eq!(code, 2, "{set}: {said}");
    }
}

/// One-minute bars of two days: a first day that gives levels PP 80,950,
/// R1 81,300, R2 81,550, and a second that rises through R1 to R3.
fn two_days() -> String {
    let mut text = String::from("ts,open,high,low,close,volume\n");
    let mut bar = |date: &str, minute: usize, [open, high, low, close]: [i64; 4]| {
        let (hour, minute) = ((555 + minute) / 60, (555 + minute) % 60);
        writeln!(text, "{date}T{hour:02}:{minute:02}:00+05:30,{open},{high},{low},{close}.00,0")
            .unwrap();
    };
    for minute in 0..375 {
        let swing = if minute % 2 == 0 { 4 } else { -4 };
        let prices = match minute {
            100 => [81_050, 81_200, 81_050, 81_050],
            200 => [81_050, 81_050, 80_600, 81_050],
            _ => [81_050, 81_050 + swing.max(0), 81_050 + swing.min(0), 81_050],
        };
        bar("2026-11-20", minute, prices);
    }
    let mut last = 81_080;
    for minute in 0..375 {
        let close = match minute {
            0..45 => 81_080 + i64::try_from(minute % 3).unwrap() * 20,
            45..48 => last + 70,
            48..120 => last + 8,
            _ => last,
        };
        bar("2026-11-23", minute, [last, last.max(close), last.min(close), close]);
        last = close;
    }
    text
}

#[test]
fn index_pivot_enters_at_the_close_and_runs_to_the_second_target() {
    let folder = tempfile::tempdir().unwrap();
    let input = write(folder.path(), "bars.csv", &two_days());
    let trades = folder.path().join("trades.csv");
    let args = [
        "backtest",
        "--strategy",
        "index-pivot",
        "--data",
        &input,
        "--lot",
        "20",
        "--exchange",
        "BSE",
        "--json",
        "--trades",
        trades.to_str().unwrap(),
    ];
    let report: Value = serde_json::from_str(&stdout(&pivotctl(&args))).unwrap();
    let written = fs::read_to_string(&trades).unwrap();
    assert_eq!(
        written.lines().collect::<Vec<_>>(),
        [
            "trade_no,date,side,entry_ts,entry_price,exit_ts,exit_price,reason,pnl",
            "1,2026-11-23,long,2026-11-23T10:03:00+05:30,81330.00,2026-11-23T11:14:00+05:30,81900.00,target,570.00",
        ]
    );
    assert_eq!(report["trades"], 1);
    assert_eq!(report["points"], 570.0);
    assert_eq!(report["by_reason"]["target"]["trades"], 1);
    assert_eq!(report["money"]["gross"], 11_400.0);
    let again = pivotctl(&args);
    assert!(again.status.success());
    assert_eq!(fs::read_to_string(&trades).unwrap(), written);

    let none = ["backtest", "--strategy", "index-pivot", "--data", &input, "--set", "max_trades=0"];
    let text = stdout(&pivotctl(&none));
    assert!(text.contains("crosses MAX_TRADES"), "{text}");

    // An official candle that puts R1 at 81,900: only the edge of the range
    // is crossed, on a day that is not narrow.
    let days =
        "ts,open,high,low,close,volume\n2026-11-20T00:00:00+05:30,81050,81800,80600,81350,0\n";
    let daily = write(folder.path(), "days.csv", days);
    let text = stdout(&pivotctl(&[&args[..5], &["--daily", &daily]].concat()));
    assert!(text.contains("trades                         0"), "{text}");
}

#[test]
fn wrong_options_and_wrong_lines_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let good = write(folder.path(), "good.csv", &two_days());
    let bad = write(folder.path(), "bad.csv", &two_days().replacen("81050.00,0", "8105o,0", 3));
    let check = |args: &[&str], code: i32, expected: &str| {
        let (exit, said) = refused(&[&["backtest"], args].concat());
        assert!(said.contains(expected), "{said}");
        assert_eq!(exit, code, "{said}");
    };
    let index = ["--strategy", "index-pivot", "--data"];
    let level = ["--strategy", "level-breakout", "--data"];
    check(&[&index[..], &[&bad]].concat(), 1, "line 2: close is not a positive price");
    check(&[&index[..], &["nowhere.csv"]].concat(), 1, "could not open nowhere.csv");
    check(&[&index[..], &[&good, "--set", "bufer_pct=1"]].concat(), 2, "did you mean buffer_pct?");
    check(&[&level[..], &[&good, "--set", "max_entries"]].concat(), 2, "expected KEY=VALUE");
    check(
        &["--strategy", "premium-pivot", "--data", &good],
        2,
        "needs the candles of many options",
    );
    check(&["--strategy", "pivot", "--data", &good], 2, "no strategy is called \"pivot\"");
}

#[test]
fn a_sweep_is_the_backtest_of_each_point_in_the_order_of_the_grid() {
    let folder = tempfile::tempdir().unwrap();
    let input = write(folder.path(), "bars.csv", &two_days());
    let subject = ["--strategy", "index-pivot", "--data", &input, "--lot", "20"];
    let grid = ["--vary", "or_minutes=15,30", "--vary", "max_trades=0..2/1"];
    let sweep =
        |more: &[&str]| stdout(&pivotctl(&[&["sweep"], &subject[..], &grid[..], more].concat()));
    let shown = sweep(&["--csv", "--jobs", "1"]);
    assert_eq!(shown, sweep(&["--csv", "--jobs", "4"]));
    let mut rows = csv::Reader::from_reader(shown.as_bytes());
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    let points: Vec<String> = rows.iter().map(|row| format!("{} {}", &row[0], &row[1])).collect();
    assert_eq!(points, ["15 0", "15 1", "15 2", "30 0", "30 1", "30 2"]);

    let report: Value = serde_json::from_str(&sweep(&["--json"])).unwrap();
    for row in report["rows"].as_array().unwrap() {
        let set = |key: &str| format!("{key}={}", row["parameters"][key].as_str().unwrap());
        let (minutes, trades) = (set("or_minutes"), set("max_trades"));
        let one = ["--set", &minutes, "--set", &trades, "--json"];
        let one = stdout(&pivotctl(&[&["backtest"], &subject[..], &one[..]].concat()));
        let one: Value = serde_json::from_str(&one).unwrap();
        for figure in ["trades", "wins", "points", "money", "max_drawdown_points"] {
            assert_eq!(row[figure], one[figure], "{minutes} {trades} {figure}");
        }
    }
    let best: Value =
        serde_json::from_str(&sweep(&["--json", "--sort", "net", "--top", "1"])).unwrap();
    assert_eq!(best["rows"].as_array().unwrap().len(), 1);
    assert!(best["rows"][0]["money"]["net"].as_f64().unwrap() > 0.0);
    assert!(sweep(&[]).contains("max_trades"), "no table");
}

#[test]
fn a_sweep_tells_what_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let input = write(folder.path(), "bars.csv", &two_days());
    let subject = ["sweep", "--strategy", "index-pivot", "--data", &input];
    for (more, words) in [
        (["--vary", "bufer_pct=1"].as_slice(), "did you mean buffer_pct?"),
        (&["--vary", "max_trades=1..2"], "expected FROM..TO/STEP"),
        (&["--vary", "max_trades=1,1"], "1 is there twice"),
        (&["--vary", "max_trades=1", "--sort", "net"], "--sort net needs --lot"),
        (&[], "--vary"),
    ] {
        let (code, said) = refused(&[&subject[..], more].concat());
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(words), "{said}");
    }
    // A point that contradicts itself is a row that says so.
    let shown =
        stdout(&pivotctl(&[&subject[..], &["--vary", "or_minutes=0,30", "--json"]].concat()));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert!(shown["rows"][0]["error"].is_string() && shown["rows"][1]["trades"].is_number());
}
