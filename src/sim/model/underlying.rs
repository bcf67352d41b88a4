//! The indices and shares of the simulated market and their daily levels.

use std::collections::BTreeMap;

use chrono::{NaiveDate, Weekday};

use super::day::{DayMood, DayProfile, day_number};
use super::days::TradingDays;
use super::noise::Stream;
use super::path::{DayPath, PathPlan};
use crate::market::{Exchange, Quantity};

/// Trading days of history that exist before the simulated date.
pub(super) const HISTORY_DAYS: usize = 520;

/// Derivatives on an index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chain {
    pub(super) exchange: Exchange,
    pub(super) lot: Quantity,
    pub(super) freeze: Quantity,
    /// Distance of strikes and their reach on each side of spot, in rupees.
    pub(super) step: i64,
    pub(super) reach: i64,
    pub(super) expiry: Weekday,
    /// Tick of the future, in paise.
    pub(super) future_tick: i64,
    /// Lots at a price of the book of a liquid option, at most.
    pub(super) depth_lots: i64,
}

/// What is fixed about an index or a share.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) exchange: Exchange,
    pub(super) symbol: &'static str,
    pub(super) name: &'static str,
    pub(super) token: u32,
    /// Level in rupees at the close of [`ANCHOR`].
    pub(super) base: f64,
    /// Part of the market's move that it makes.
    pub(super) beta: f64,
    /// Standard deviation of a day's move of its own.
    pub(super) own_sigma: f64,
    /// Size of its intraday noise against the index's, and its correlation.
    pub(super) scale: f64,
    pub(super) correlation: f64,
    /// Mean implied volatility.
    pub(super) implied: f64,
    /// Tick in paise; zero marks an index.
    pub(super) tick: i64,
    pub(super) chain: Option<Chain>,
}

/// The date at whose close the levels are the base ones, give or take 1 %.
const ANCHOR: (i32, u32, u32) = (2026, 11, 20);

/// All of them.
pub(super) static SPECS: [Spec; 5] = [
    Spec {
        exchange: Exchange::Bse,
        symbol: "SENSEX",
        name: "SENSEX",
        token: 265,
        base: 81_000.0,
        beta: 1.0,
        own_sigma: 0.0004,
        scale: 1.0,
        correlation: 0.98,
        implied: 0.125,
        tick: 0,
        chain: Some(Chain {
            exchange: Exchange::Bfo,
            lot: 20,
            freeze: 1_000,
            step: 100,
            reach: 2_500,
            expiry: Weekday::Thu,
            future_tick: 5,
            depth_lots: 12,
        }),
    },
    Spec {
        exchange: Exchange::Nse,
        symbol: "NIFTY 50",
        name: "NIFTY",
        token: 256_265,
        base: 25_000.0,
        beta: 1.0,
        own_sigma: 0.0005,
        scale: 1.0,
        correlation: 0.98,
        implied: 0.125,
        tick: 0,
        chain: Some(Chain {
            exchange: Exchange::Nfo,
            lot: 65,
            freeze: 1_800,
            step: 50,
            reach: 1_500,
            expiry: Weekday::Tue,
            future_tick: 10,
            depth_lots: 30,
        }),
    },
    Spec {
        exchange: Exchange::Nse,
        symbol: "NIFTY BANK",
        name: "NIFTY BANK",
        token: 260_105,
        base: 56_500.0,
        beta: 1.1,
        own_sigma: 0.0030,
        scale: 1.1,
        correlation: 0.90,
        implied: 0.15,
        tick: 0,
        chain: None,
    },
    Spec {
        exchange: Exchange::Nse,
        symbol: "RELIANCE",
        name: "RELIANCE INDUSTRIES",
        token: 738_561,
        base: 1_480.0,
        beta: 1.05,
        own_sigma: 0.0085,
        scale: 1.5,
        correlation: 0.65,
        implied: 0.22,
        tick: 10,
        chain: None,
    },
    Spec {
        exchange: Exchange::Nse,
        symbol: "INFY",
        name: "INFOSYS",
        token: 408_065,
        base: 1_550.0,
        beta: 0.9,
        own_sigma: 0.0100,
        scale: 1.6,
        correlation: 0.50,
        implied: 0.25,
        tick: 10,
        chain: None,
    },
];

/// Logarithms (of paise) of a day's open and close.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct DayLevel {
    pub(super) open_log: f64,
    pub(super) close_log: f64,
}

/// The moods and levels of all days that the market knows.
#[derive(Debug)]
pub(super) struct Chronicle {
    seed: u64,
    moods: BTreeMap<NaiveDate, DayMood>,
    levels: Vec<BTreeMap<NaiveDate, DayLevel>>,
}

impl Chronicle {
    /// Writes the chronicle from far enough before `date` until it.
    pub(super) fn write(
        seed: u64,
        date: NaiveDate,
        profile: DayProfile,
        calendar: &TradingDays,
    ) -> Chronicle {
        let (year, month, day) = ANCHOR;
        let anchor = NaiveDate::from_ymd_opt(year, month, day).unwrap_or(date);
        let mut first = date.min(anchor);
        for _ in 0..HISTORY_DAYS {
            first = calendar.previous(first);
        }
        let last = date.max(anchor);
        let mut moods = BTreeMap::new();
        let mut day = first;
        while day <= last {
            moods.insert(day, DayMood::of(seed, day, profile));
            day = calendar.next(day);
        }
        let levels = (0u64..)
            .zip(&SPECS)
            .map(|(stream, spec)| levels_of(seed, stream, spec, anchor, &moods));
        let levels = levels.collect();
        Chronicle { seed, moods, levels }
    }

    /// The seed.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// Dates with a level, oldest first.
    pub(super) fn dates(&self) -> impl DoubleEndedIterator<Item = NaiveDate> {
        self.moods.keys().copied()
    }

    /// The mood of a date.
    pub(super) fn mood(&self, date: NaiveDate) -> Option<&DayMood> {
        self.moods.get(&date)
    }

    /// The last trading day before `date` that the chronicle has.
    pub(super) fn previous(&self, date: NaiveDate) -> Option<NaiveDate> {
        self.moods.range(..date).next_back().map(|(day, _)| *day)
    }

    /// The level of an underlying (by position in [`SPECS`]) on a date.
    pub(super) fn level(&self, underlying: usize, date: NaiveDate) -> Option<DayLevel> {
        self.levels.get(underlying)?.get(&date).copied()
    }

    /// Draws the path of an underlying on a date.
    pub(super) fn path(&self, underlying: usize, date: NaiveDate, seconds: u32) -> Option<DayPath> {
        let spec = SPECS.get(underlying)?;
        let level = self.level(underlying, date)?;
        Some(DayPath::draw(PathPlan {
            seed: self.seed,
            date,
            stream: stream_of(underlying),
            mood: self.mood(date)?,
            open_log: level.open_log,
            intraday: level.close_log - level.open_log,
            scale: spec.scale,
            correlation: spec.correlation,
            seconds,
        }))
    }
}

/// Numbers below this name the streams that all instruments share.
const OWN_STREAMS_FROM: u64 = 100;

fn stream_of(underlying: usize) -> u64 {
    OWN_STREAMS_FROM + underlying as u64
}

fn levels_of(
    seed: u64,
    stream: u64,
    spec: &Spec,
    anchor: NaiveDate,
    moods: &BTreeMap<NaiveDate, DayMood>,
) -> BTreeMap<NaiveDate, DayLevel> {
    let jitter = Stream::new(&[seed, stream, 7]).between(-0.01, 0.01);
    let base = (spec.base * 100.0 * (1.0 + jitter)).ln();
    let moves: Vec<(NaiveDate, f64, f64)> = moods
        .iter()
        .map(|(day, mood)| {
            let mut own = Stream::new(&[seed, stream, day_number(*day), 8]);
            let gap = spec.beta * mood.gap + 0.5 * spec.own_sigma * own.normal();
            let intraday = spec.beta * mood.intraday + spec.own_sigma * own.normal();
            (*day, gap, intraday)
        })
        .collect();
    let mut levels = BTreeMap::new();
    let mut close_log = base;
    for &(day, gap, intraday) in moves.iter().rev().skip_while(|entry| entry.0 > anchor) {
        let open_log = close_log - intraday;
        levels.insert(day, DayLevel { open_log, close_log });
        close_log = open_log - gap;
    }
    let mut close_log = base;
    for &(day, gap, intraday) in moves.iter().skip_while(|entry| entry.0 <= anchor) {
        let open_log = close_log + gap;
        close_log = open_log + intraday;
        levels.insert(day, DayLevel { open_log, close_log });
    }
    levels
}
