//! The market of one day, with its past.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use chrono::{NaiveDate, NaiveTime};

use super::ModelError;
use super::contracts::{Listing, listings};
use super::day::{DayKind, DayProfile, day_number};
use super::days::{OPEN, TradingDays};
use super::history::{bars, candles};
use super::noise::{hash, unit};
use super::path::DayPath;
use super::quote::{BookShape, DayRun, book, share_at};
use super::rows::{DEPTH_LEVELS, DepthLevel, HistoryCandle, InstrumentRow, Interval, MarketQuote};
use super::tape::{Tape, UnderlyingDay};
use super::underlying::{Chronicle, SPECS};
use crate::market::calendar::Calendar;
use crate::market::time::{from_ist, ist_date};
use crate::market::{InstrumentKey, InstrumentKind, Price, Quantity, Timestamp};

/// Trading days of history that a derivative has before the simulated date.
const CONTRACT_HISTORY_DAYS: usize = 40;
/// Units that a share or future has at a price of its book, in lots.
const LIQUID_DEPTH_LOTS: i64 = 60;
/// Band of shares and futures around the previous close, in percent.
const BAND_PERCENT: i64 = 10;

/// A forced price of an index or share: the path runs straight between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScriptPoint {
    /// Token of the index or share.
    pub token: u32,
    /// Time of day in India.
    pub at: NaiveTime,
    /// Its price then.
    pub price: Price,
}

/// Prices of one day out of a seed, with the days before it.
#[derive(Debug)]
pub struct Market {
    date: NaiveDate,
    calendar: TradingDays,
    chronicle: Chronicle,
    today: Vec<UnderlyingDay>,
    before: Vec<UnderlyingDay>,
    rows: Vec<InstrumentRow>,
    listed: Vec<Listed>,
    by_token: BTreeMap<u32, usize>,
    by_key: BTreeMap<InstrumentKey, usize>,
}

#[derive(Debug)]
struct Listed {
    underlying: usize,
    depth_lots: i64,
    run: Mutex<DayRun>,
    previous_close: OnceLock<i64>,
}

impl Market {
    /// The market of a date.
    ///
    /// # Errors
    /// When no session is held on the date.
    pub fn new(seed: u64, date: NaiveDate, calendar: Calendar) -> Result<Market, ModelError> {
        Market::with_script(seed, date, calendar, DayProfile::DEFAULT, &[])
    }

    /// The market of a date, with other shares of kinds of days, and with the
    /// date's own prices forced where `script` says so.
    ///
    /// # Errors
    /// When no session is held on the date.
    pub fn with_script(
        seed: u64,
        date: NaiveDate,
        calendar: Calendar,
        profile: DayProfile,
        script: &[ScriptPoint],
    ) -> Result<Market, ModelError> {
        let calendar = TradingDays::of(calendar);
        if !calendar.is_trading(date) {
            return Err(ModelError::Closed(date));
        }
        let chronicle = Chronicle::write(seed, date, profile, &calendar);
        let closed = || ModelError::Closed(date);
        let day_before = chronicle.previous(date).ok_or_else(closed)?;
        let mut today = underlying_days(&chronicle, &calendar, seed, date).ok_or_else(closed)?;
        let before = underlying_days(&chronicle, &calendar, seed, day_before).ok_or_else(closed)?;
        for (day, spec) in today.iter_mut().zip(&SPECS) {
            force(day, spec.token, script);
        }
        let reference =
            |underlying: usize| before.get(underlying).map_or(0, |day| day.path.close());
        let all = listings(date, &calendar, reference);
        let by_token = index_by(&all, |row| row.instrument.token);
        let by_key = index_by(&all, |row| row.instrument.key.clone());
        let listed = all.iter().map(Listed::of).collect();
        let rows = all.into_iter().map(|listing| listing.row).collect();
        Ok(Market { date, calendar, chronicle, today, before, rows, listed, by_token, by_key })
    }

    /// The simulated date.
    pub fn date(&self) -> NaiveDate {
        self.date
    }

    /// The kind of the simulated day.
    pub fn kind(&self) -> DayKind {
        self.chronicle.mood(self.date).map_or(DayKind::Ordinary, |mood| mood.kind)
    }

    /// All instruments.
    pub fn instruments(&self) -> &[InstrumentRow] {
        &self.rows
    }

    /// The instrument with this token.
    pub fn by_token(&self, token: u32) -> Option<&InstrumentRow> {
        self.rows.get(*self.by_token.get(&token)?)
    }

    /// The instrument with this name.
    pub fn by_key(&self, key: &InstrumentKey) -> Option<&InstrumentRow> {
        self.rows.get(*self.by_key.get(key)?)
    }

    /// Instant at which an instrument begins to trade on the simulated date.
    pub fn opens_at(&self) -> Timestamp {
        from_ist(self.date, OPEN)
    }

    /// Instant at which an instrument stops trading on the simulated date.
    pub fn closes_at(&self, token: u32) -> Option<Timestamp> {
        let index = *self.by_token.get(&token)?;
        let seconds = self.tape(index)?.seconds();
        Some(self.opens_at() + chrono::TimeDelta::seconds(i64::from(seconds)))
    }

    /// Last traded price at an instant: before the open the previous close,
    /// after the close the last one.
    pub fn last(&self, token: u32, at: Timestamp) -> Option<Price> {
        let index = *self.by_token.get(&token)?;
        let paise = match self.second(at) {
            Some(second) => self.tape(index)?.price(second),
            None => self.previous_close(index)?,
        };
        Some(Price::from_paise(paise))
    }

    /// Bids and asks at an instant; empty outside the session and for an index.
    pub fn depth(
        &self,
        token: u32,
        at: Timestamp,
    ) -> Option<([DepthLevel; DEPTH_LEVELS], [DepthLevel; DEPTH_LEVELS])> {
        let index = *self.by_token.get(&token)?;
        let (tape, listed, row) =
            (self.tape(index)?, self.listed.get(index)?, self.rows.get(index)?);
        let empty = [DepthLevel::default(); DEPTH_LEVELS];
        let Some(second) = self.second(at).filter(|second| *second < tape.seconds()) else {
            return Some((empty, empty));
        };
        let shape = BookShape {
            kind: row.instrument.kind,
            token,
            tick: row.instrument.tick.paise().max(1),
            lot: row.instrument.lot,
            depth_lots: listed.depth_lots,
            salt: self.today.get(listed.underlying)?.salt,
        };
        Some(book(shape, tape.price(second), second))
    }

    /// All that the market shows of an instrument at an instant.
    pub fn quote(&self, token: u32, at: Timestamp) -> Option<MarketQuote> {
        let index = *self.by_token.get(&token)?;
        let (row, listed) = (self.rows.get(index)?, self.listed.get(index)?);
        let tape = self.tape(index)?;
        let close = Price::from_paise(self.previous_close(index)?);
        let (lower_circuit, upper_circuit) = self.band(token)?;
        let mut quote = MarketQuote {
            instrument: row.instrument.key.clone(),
            token,
            is_index: row.instrument.kind == InstrumentKind::Index,
            at,
            last_trade_time: None,
            last_price: close,
            last_quantity: 0,
            average_price: Price::ZERO,
            volume: 0,
            buy_quantity: 0,
            sell_quantity: 0,
            open: Price::ZERO,
            high: Price::ZERO,
            low: Price::ZERO,
            close,
            open_interest: self.open_interest(index, &tape, 0),
            open_interest_high: 0,
            open_interest_low: 0,
            lower_circuit,
            upper_circuit,
            bids: [DepthLevel::default(); DEPTH_LEVELS],
            asks: [DepthLevel::default(); DEPTH_LEVELS],
        };
        let Some(second) = self.second(at) else { return Some(quote) };
        let second = second.min(tape.seconds().saturating_sub(1));
        let running = listed.run.lock().unwrap_or_else(PoisonError::into_inner).at(&tape, second);
        quote.at = self.opens_at() + chrono::TimeDelta::seconds(i64::from(second));
        quote.last_trade_time = Some(quote.at);
        quote.last_price = Price::from_paise(tape.price(second));
        quote.open = Price::from_paise(running.open);
        quote.high = Price::from_paise(running.high);
        quote.low = Price::from_paise(running.low);
        if !quote.is_index {
            self.fill_activity(&mut quote, index, &tape, second);
            quote.average_price = Price::from_paise(running.average);
            (quote.bids, quote.asks) = self.depth(token, at)?;
        }
        Some(quote)
    }

    /// Lowest and highest price of an order in an instrument.
    pub fn band(&self, token: u32) -> Option<(Price, Price)> {
        let index = *self.by_token.get(&token)?;
        let row = self.rows.get(index)?;
        let previous = Price::from_paise(self.previous_close(index)?);
        let tick = row.instrument.tick;
        let (low, high) = match row.instrument.kind {
            InstrumentKind::Index | InstrumentKind::Equity | InstrumentKind::Future => (
                previous.scale_floor(100 - BAND_PERCENT, 100),
                previous.scale_floor(100 + BAND_PERCENT, 100),
            ),
            InstrumentKind::Call | InstrumentKind::Put => {
                let spot = Price::from_paise(
                    self.before.get(self.listed.get(index)?.underlying)?.path.close(),
                );
                let reach = spot.scale_floor(BAND_PERCENT, 100);
                (previous - reach, previous + reach)
            }
        };
        Some((low.ceil_to(tick).max(tick), high.floor_to(tick)))
    }

    /// Candles that start within `[from, to]`, of what has happened by `now`;
    /// the last one may still be forming. `None` for an unknown token.
    pub fn history(
        &self,
        token: u32,
        interval: Interval,
        from: Timestamp,
        to: Timestamp,
        now: Timestamp,
    ) -> Option<Vec<HistoryCandle>> {
        let index = *self.by_token.get(&token)?;
        let row = self.rows.get(index)?;
        let oldest = match row.instrument.kind {
            InstrumentKind::Index | InstrumentKind::Equity => ist_date(from),
            InstrumentKind::Future | InstrumentKind::Call | InstrumentKind::Put => {
                let listed = self.chronicle.dates().rev().filter(|day| *day <= self.date);
                listed.take(CONTRACT_HISTORY_DAYS).last()?.max(ist_date(from))
            }
        };
        let newest = ist_date(to).min(self.date);
        let dates = self.chronicle.dates().filter(|day| (oldest..=newest).contains(day));
        let mut all = Vec::new();
        for date in dates {
            all.extend(self.day_candles(index, date, interval, now)?);
        }
        all.retain(|candle| candle.start >= from && candle.start <= to);
        Some(all)
    }

    fn day_candles(
        &self,
        index: usize,
        date: NaiveDate,
        interval: Interval,
        now: Timestamp,
    ) -> Option<Vec<HistoryCandle>> {
        let until = match date == self.date {
            true => match self.second(now) {
                Some(second) => Some(second),
                None => return Some(Vec::new()),
            },
            false => None,
        };
        let (row, listed) = (self.rows.get(index)?, self.listed.get(index)?);
        let drawn;
        let day = if date == self.date {
            self.today.get(listed.underlying)?
        } else {
            drawn = underlying_day(
                &self.chronicle,
                &self.calendar,
                self.salt(),
                listed.underlying,
                date,
            )?;
            &drawn
        };
        let tape = Tape::new(&row.instrument, day);
        let minutes = bars(
            &tape,
            until,
            |second| self.volume(index, &tape, second),
            |second| self.open_interest(index, &tape, second),
        );
        Some(candles(date, &minutes, interval))
    }

    fn tape(&self, index: usize) -> Option<Tape<'_>> {
        let day = self.today.get(self.listed.get(index)?.underlying)?;
        Some(Tape::new(&self.rows.get(index)?.instrument, day))
    }

    fn salt(&self) -> u64 {
        self.chronicle.seed()
    }

    /// Seconds since the open of the simulated date; `None` before it.
    fn second(&self, at: Timestamp) -> Option<u32> {
        u32::try_from((at - self.opens_at()).num_milliseconds().div_euclid(1000)).ok()
    }

    fn previous_close(&self, index: usize) -> Option<i64> {
        let (row, listed) = (self.rows.get(index)?, self.listed.get(index)?);
        let day = self.before.get(listed.underlying)?;
        Some(*listed.previous_close.get_or_init(|| Tape::new(&row.instrument, day).close()))
    }

    fn fill_activity(&self, quote: &mut MarketQuote, index: usize, tape: &Tape<'_>, second: u32) {
        let lot = self.rows.get(index).map_or(1, |row| row.instrument.lot);
        let draw =
            |kind: u64| unit(hash(&[self.salt(), u64::from(quote.token), kind, u64::from(second)]));
        quote.volume = self.volume(index, tape, second);
        quote.last_quantity = lot * (1 + (draw(31) * 4.0) as i64);
        quote.buy_quantity = lot * (800 + (draw(32) * 1_500.0) as i64);
        quote.sell_quantity = lot * (800 + (draw(33) * 1_500.0) as i64);
        quote.open_interest = self.open_interest(index, tape, second);
        quote.open_interest_low = self.open_interest(index, tape, 0);
        quote.open_interest_high = quote.open_interest;
    }

    /// Units traded by the end of a second; never falls within a day.
    fn volume(&self, index: usize, tape: &Tape<'_>, second: u32) -> Quantity {
        let day_lots = self.activity(index) * 60_000.0;
        self.in_lots(index, day_lots * share_at(tape, second))
    }

    /// Open interest at a second; grows through the day.
    fn open_interest(&self, index: usize, tape: &Tape<'_>, second: u32) -> Quantity {
        let Some(row) = self.rows.get(index) else { return 0 };
        match row.instrument.kind {
            InstrumentKind::Index | InstrumentKind::Equity => 0,
            InstrumentKind::Future | InstrumentKind::Call | InstrumentKind::Put => {
                let lots = self.activity(index) * 15_000.0;
                self.in_lots(index, lots * (1.0 + 0.2 * share_at(tape, second)))
            }
        }
    }

    /// How busy an instrument is, 0 to about 1: options by their distance
    /// from the money.
    fn activity(&self, index: usize) -> f64 {
        let (Some(row), Some(listed)) = (self.rows.get(index), self.listed.get(index)) else {
            return 0.0;
        };
        let own = 0.6 + 0.4 * unit(hash(&[self.salt(), u64::from(row.instrument.token), 41]));
        match row.instrument.kind {
            InstrumentKind::Index => 0.0,
            InstrumentKind::Equity => own * 100.0,
            InstrumentKind::Future => own,
            InstrumentKind::Call | InstrumentKind::Put => {
                let spot = self.before.get(listed.underlying).map_or(1, |day| day.path.close());
                let distance = row.instrument.strike.paise() as f64 / spot.max(1) as f64 - 1.0;
                own * (0.05 + 0.95 * (-(distance / 0.012).powi(2)).exp())
            }
        }
    }

    fn in_lots(&self, index: usize, lots: f64) -> Quantity {
        let lot = self.rows.get(index).map_or(1, |row| row.instrument.lot);
        lots as i64 * lot
    }
}

impl Listed {
    fn of(listing: &Listing) -> Listed {
        let chain = SPECS.get(listing.underlying).and_then(|spec| spec.chain);
        let depth_lots = match listing.row.instrument.kind {
            InstrumentKind::Call | InstrumentKind::Put => chain.map_or(1, |chain| chain.depth_lots),
            InstrumentKind::Index | InstrumentKind::Equity | InstrumentKind::Future => {
                LIQUID_DEPTH_LOTS
            }
        };
        Listed {
            underlying: listing.underlying,
            depth_lots,
            run: Mutex::new(DayRun::default()),
            previous_close: OnceLock::new(),
        }
    }
}

fn index_by<K: Ord>(all: &[Listing], key: impl Fn(&InstrumentRow) -> K) -> BTreeMap<K, usize> {
    all.iter().enumerate().map(|(index, listing)| (key(&listing.row), index)).collect()
}

fn underlying_days(
    chronicle: &Chronicle,
    calendar: &TradingDays,
    seed: u64,
    date: NaiveDate,
) -> Option<Vec<UnderlyingDay>> {
    (0..SPECS.len()).map(|which| underlying_day(chronicle, calendar, seed, which, date)).collect()
}

fn underlying_day(
    chronicle: &Chronicle,
    calendar: &TradingDays,
    seed: u64,
    underlying: usize,
    date: NaiveDate,
) -> Option<UnderlyingDay> {
    let cash_seconds = calendar.cash_seconds(date);
    let path = chronicle.path(underlying, date, cash_seconds)?;
    let previous_close = match chronicle.previous(date) {
        Some(before) => chronicle.level(underlying, before)?.close_log.exp().round() as i64,
        None => path.price(0),
    };
    let spec = SPECS.get(underlying)?;
    Some(UnderlyingDay {
        date,
        salt: hash(&[seed, day_number(date), 6]),
        path,
        previous_close,
        volatility: spec.implied * chronicle.mood(date)?.implied,
        cash_seconds,
        derivative_seconds: calendar.derivative_seconds(date),
    })
}

fn force(day: &mut UnderlyingDay, token: u32, script: &[ScriptPoint]) {
    let mut points: Vec<(u32, i64)> = script
        .iter()
        .filter(|point| point.token == token)
        .filter_map(|point| {
            let second = u32::try_from((point.at - OPEN).num_seconds()).ok()?;
            Some((second, point.price.paise()))
        })
        .collect();
    points.sort_unstable();
    if !points.is_empty() {
        day.path = DayPath::through(&points, day.cash_seconds);
    }
}
