//! The market's rules: through `pivotctl`, and against outside data where it
//! is at hand.

mod outside;

use std::process::{Command, Output};

use serde_json::Value;

fn pivotctl(line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pivotctl"))
        .args(line.split_whitespace())
        .output()
        .expect("pivotctl starts")
}

fn json(line: &str) -> Value {
    let output = pivotctl(&format!("{line} --json"));
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The command is refused as wrong usage; standard error says so in these
/// words, standard output is empty.
fn refused(line: &str, words: &str) {
    let output = pivotctl(line);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{line}: {stderr}");
    assert!(stderr.contains(words), "{line}: {stderr}");
    assert!(output.stdout.is_empty(), "{line}");
}

const BASE: &str = "pivots --high 81200 --low 80600 --close 81050";

#[test]
fn pivots_are_printed_exactly() {
    let answer = json(BASE);
    assert_eq!(answer["family"], "traditional");
    assert_eq!(answer["levels"]["PP"], "80950.0000");
    assert_eq!(answer["levels"]["R5"], "82600.0000");
    assert_eq!(json(&format!("{BASE} --family kite"))["levels"]["R3"], "82150.0000");
    let camarilla = json(&format!("{BASE} --family camarilla-b"));
    assert_eq!(camarilla["levels"].as_object().map(serde_json::Map::len), Some(13));
    let cpr = json(&format!("{BASE} --family cpr"));
    assert_eq!(
        cpr["levels"],
        serde_json::json!({
            "BC": "80900.0000", "PP": "80950.0000", "TC": "81000.0000", "LO": "80900.0000",
            "HI": "81000.0000", "SIGNED": "100.0000", "WIDTH_PCT": "0.1235",
        })
    );
    let fine = json("pivots --high 200.29 --low 195.2125 --close 198.45");
    assert_eq!(fine["levels"]["PP"], "197.9842");
}

#[test]
fn woodie_needs_an_open_but_no_close() {
    let line = "pivots --high 81200 --low 80600 --family woodie";
    assert_eq!(json(&format!("{line} --today-open 81080"))["levels"]["PP"], "80990.0000");
    refused(line, "--today-open");
}

#[test]
fn a_close_from_the_auction_stretches_the_range() {
    let line = "pivots --high 100 --low 90 --close 101";
    let answer = json(line);
    assert_eq!(answer["flags"], serde_json::json!(["CLOSE_OUTSIDE_RANGE"]));
    assert_eq!(
        answer["levels"]["S1"],
        json("pivots --high 101 --low 90 --close 101")["levels"]["S1"]
    );
    assert!(String::from_utf8_lossy(&pivotctl(line).stderr).contains("note:"));
}

#[test]
fn impossible_pivots_are_refused() {
    refused("pivots --high 80600 --low 81200 --close 81000", "below the low");
    refused("pivots --high 81200 --low 80600", "needs --close");
    refused(&format!("{BASE} --family demark"), "--open");
    refused(&format!("{BASE} --family gann"), "expected one of traditional");
    refused("pivots --high 81200 --low 0 --close 81000", "between 0 and");
    refused("pivots --high abc --low 1 --close 1", "expected rupees");
    refused("pivots --low 1 --close 1", "--high");
}

#[test]
fn charges_are_itemised() {
    let line = "charges --segment options --exchange BSE --date 2026-11-23";
    let one = json(&format!("{line} --leg BUY:20@412.00 --leg SELL:20@668.20"));
    assert_eq!((&one["total"], &one["net"]), (&Value::from("75.51"), &Value::from("5048.49")));
    assert_eq!(one["turnover"], "21604.00");
    let two = json(&format!("{line} --leg BUY:200@412 --leg SELL:200@400x2"));
    assert_eq!(
        (&two["brokerage"], &two["gross"]),
        (&Value::from("60.00"), &Value::from("-2400.00"))
    );
    for (leg, words) in [
        ("BUY:20", "expected SIDE:QUANTITY@PRICE"),
        ("HOLD:20@1", "BUY or SELL"),
        ("BUY:0@1", "whole number from 1"),
        ("BUY:20@-1", "above zero"),
        ("BUY:20@1x0", "the orders"),
        ("BUY:1@1x2", "the orders"),
    ] {
        refused(&format!("{line} --leg {leg}"), words);
    }
    refused(line, "--leg");
    refused("charges --segment options --exchange MCX --date 2026-11-23 --leg BUY:1@1", "NSE");
    refused(
        "charges --segment options --exchange NSE --date 23.11.2026 --leg BUY:1@1",
        "a date such as",
    );
}

#[test]
fn the_calendar_answers_for_a_day() {
    let holiday = json("calendar day 2026-11-24");
    assert_eq!(holiday["open"], false);
    assert_eq!(holiday["reason"], "Guru Nanak Jayanti");
    assert_eq!(holiday["sessions"], serde_json::json!({}));

    let day = json("calendar day 2026-11-23");
    assert_eq!((&day["open"], &day["coverage"]), (&Value::from(true), &Value::from("complete")));
    assert_eq!(day["sessions"]["index"]["close"], "15:15");
    assert_eq!(day["sessions"]["derivatives"]["close"], "15:40");

    let muhurat = json("calendar day 2026-11-08");
    assert_eq!((&muhurat["open"], &muhurat["regular"]), (&Value::from(true), &Value::from(false)));
    assert_eq!(json("calendar day 2024-03-02")["windows"].as_array().map(Vec::len), Some(2));
    assert_eq!(json("calendar day 2027-03-01")["coverage"], "partial");
}

#[test]
fn the_calendar_walks_to_the_next_session_and_not_off_its_end() {
    assert_eq!(json("calendar previous 2026-11-25")["date"], "2026-11-23");
    assert_eq!(json("calendar next 2026-11-06")["date"], "2026-11-09");
    for (question, words) in [
        ("day 2028-01-03", "the calendar does not know 2028-01-03; it covers 2024"),
        ("next 2028-01-03", "does not know 2028-01-03"),
        ("next 2027-12-31", "does not know a session after 2027-12-31"),
        ("previous 2024-01-01", "does not know a session before 2024-01-01"),
        ("year 2028", "does not know 2028"),
    ] {
        refused(&format!("calendar {question}"), words);
    }
    let year = json("calendar year 2025");
    assert_eq!(year["days"].as_array().map(Vec::len), Some(249));
    refused("calendar day 2031-01-01", "covers 2024, 2025, 2026, 2027");
    refused("calendar year 1999", "covers 2024");
    refused("calendar day tomorrow", "a date such as");
}

#[test]
fn each_command_shows_an_example() {
    for command in ["pivots", "charges", "calendar", "calendar day", "calendar year"] {
        let output = pivotctl(&format!("{command} --help"));
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("Example"), "{command}: {text}");
    }
}

#[test]
fn without_json_a_person_can_read_it() {
    let text = |line: &str| String::from_utf8(pivotctl(line).stdout).expect("text");
    assert!(text(BASE).starts_with("traditional levels of H 81200.00 L 80600.00\nR5 "));
    assert!(text("calendar day 2026-11-24").contains("closed, Guru Nanak Jayanti"));
    assert!(text("calendar day 2026-11-08").contains("is not traded"));
    assert!(text("calendar year 2026").contains("2026-02-01 Sun Union Budget session"));
    let charges = "charges --segment futures --exchange NSE --date 2026-11-23";
    let charges = text(&format!("{charges} --leg BUY:65@25000 --leg SELL:65@25080"));
    assert!(charges.contains("32,55,200.00"), "{charges}");
}
