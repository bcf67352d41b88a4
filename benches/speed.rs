//! How long the two hot paths take: decoding the ticker's messages and a
//! backtest. `cargo bench` prints the best of several rounds; compare two
//! commits on one machine, not two machines.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "a bench, not a service")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use chrono::{Datelike as _, NaiveDate, Weekday};
use pivot_trading::backtest::bars::{Bars, Day};
use pivot_trading::backtest::options::Options;
use pivot_trading::backtest::{index_pivot, level_breakout};
use pivot_trading::kite::ticker::frame;
use pivot_trading::market::Price;

const ROUNDS: u32 = 7;

fn main() {
    ticker();
    backtests();
}

/// The fastest of several rounds; the others were disturbed.
fn best(mut work: impl FnMut()) -> Duration {
    let round = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..ROUNDS).map(round).min().unwrap_or_default()
}

/// A message of full packets, as a busy second brings them.
fn message(packets: u16) -> Vec<u8> {
    let mut bytes = packets.to_be_bytes().to_vec();
    for number in 0..packets {
        bytes.extend(184_u16.to_be_bytes());
        let token = (u32::from(number) << 8) | 2;
        bytes.extend(token.to_be_bytes());
        bytes.extend((0..180_u8).map(|byte| byte % 100));
    }
    bytes
}

fn ticker() {
    const PACKETS: u16 = 200;
    const MESSAGES: u32 = 1_000;
    let bytes = message(PACKETS);
    let mut ticks = Vec::new();
    let took = best(|| {
        for _ in 0..MESSAGES {
            ticks.clear();
            frame::decode(black_box(&bytes), &mut ticks);
            black_box(&ticks);
        }
    });
    assert_eq!(ticks.len(), usize::from(PACKETS));
    let each = took.as_secs_f64() / f64::from(MESSAGES) / f64::from(PACKETS);
    println!("ticker decode       {:>8.1} ns a full packet", each * 1e9);
}

/// A year of one-minute bars that wander about without a pattern.
fn year() -> Bars {
    let mut bars = Bars::default();
    let (mut state, mut price) = (1_u64, 8_000_000_i64);
    let first = NaiveDate::from_ymd_opt(2025, 1, 1).expect("a date");
    for date in first.iter_days().take(365) {
        if matches!(date.weekday(), Weekday::Sat | Weekday::Sun) {
            continue;
        }
        let start = bars.len();
        for minute in 0..360 {
            let mut step = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                i64::try_from(state >> 33).unwrap_or(0) % 2_001 - 1_000
            };
            let (open, close) = (price, (price + step()).clamp(6_000_000, 10_000_000));
            let reach = step().abs();
            let column = |value: i64| i32::try_from(value).unwrap_or(i32::MAX);
            bars.open.push(column(open));
            bars.high.push(column(open.max(close) + reach));
            bars.low.push(column(open.min(close) - reach));
            bars.close.push(column(close));
            bars.minute.push(minute);
            price = close;
        }
        bars.days.push(Day { date, bars: start..bars.len() });
    }
    bars
}

fn backtests() {
    let bars = year();
    let previous = bars.previous_days(None);
    let millions = bars.len() as f64 / 1e6;

    let options = Options::new("index-pivot").expect("a strategy");
    let took = best(|| {
        black_box(index_pivot::run(black_box(&bars), &previous, &options).expect("a run"));
    });
    let speed = millions / took.as_secs_f64();
    println!("index-pivot         {speed:>8.2} million one-minute bars a second");

    let tick = Price::from_paise(5);
    let took = best(|| {
        black_box(level_breakout::levels(black_box(&previous), tick));
    });
    println!("levels of a year    {:>8.1} us", took.as_secs_f64() * 1e6);
}
