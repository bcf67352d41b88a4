//! Reads one-minute bars from CSV, plain or gzipped, as a stream.
//!
//! Columns `ts,open,high,low,close,volume`; `ts` is the start of the bar in
//! ISO 8601 with its offset. Prices have at most two decimals that matter:
//! further ones are rounded to the paisa. Whatever else is unusual is an
//! error that names its line.

use std::io::{BufRead, BufReader, Read};

use chrono::{DateTime, NaiveDate, Timelike};
use flate2::bufread::MultiGzDecoder;

use super::bars::{Bars, Day, DayCandles, SESSION_MINUTES};
use crate::market::time::IST;
use crate::market::{DayCandle, Price};

/// Columns that the first line must name.
pub const HEADER: &str = "ts,open,high,low,close,volume";

/// Bytes read at once.
const CHUNK: usize = 1 << 20;
/// Longest line: many times the longest sensible one.
const LINE_MAX: usize = 1024;
/// Fields of a line.
const FIELDS: usize = 6;
/// Minute of the day at which sessions open.
const OPEN_MINUTE: u32 = 9 * 60 + 15;
/// Largest price, in paise, that a column holds.
const PAISE_MAX: i64 = i32::MAX as i64;

/// Bars cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The source gave up.
    #[error("could not read the bars")]
    Read(#[source] std::io::Error),
    /// The first line names other columns.
    #[error("line 1: expected the columns {HEADER}, was {0:?}")]
    Header(String),
    /// A line is not a bar, or not the next one.
    #[error("line {line}: {what}")]
    Line {
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The bars are wider than a minute.
    #[error("the bars are {0} minutes apart; one-minute bars are needed")]
    NotMinutes(u16),
    /// Only a header, or no bar within market hours.
    #[error("there is no bar between 09:15 and 15:40")]
    Empty,
    /// Only a header.
    #[error("there is no day")]
    NoDays,
}

/// Reads all bars of a source.
///
/// # Errors
/// See [`ReadError`].
pub fn read(source: impl Read) -> Result<Bars, ReadError> {
    let bars: Bars = read_rows(source)?;
    if bars.is_empty() {
        return Err(ReadError::Empty);
    }
    let steps = bars.days.iter().flat_map(|day| {
        let minutes = bars.minute.get(day.bars.clone()).unwrap_or_default();
        minutes.iter().zip(minutes.iter().skip(1)).map(|(earlier, later)| later - earlier)
    });
    match steps.min() {
        Some(step) if step > 1 => Err(ReadError::NotMinutes(step)),
        Some(_) | None => Ok(bars),
    }
}

/// Reads day candles, one row a day, from the same columns.
///
/// # Errors
/// See [`ReadError`].
pub fn read_days(source: impl Read) -> Result<DayCandles, ReadError> {
    let days: DayCandles = read_rows(source)?;
    if days.is_empty() { Err(ReadError::NoDays) } else { Ok(days) }
}

/// Takes rows in order of time.
trait Sink: Default {
    fn take(&mut self, date: NaiveDate, minute: u32, prices: [i32; 4]);
}

fn read_rows<S: Sink>(source: impl Read) -> Result<S, ReadError> {
    let mut source = BufReader::with_capacity(CHUNK, source);
    let is_gzip = source.fill_buf().map_err(ReadError::Read)?.starts_with(&[0x1f, 0x8b]);
    if is_gzip { read_lines(MultiGzDecoder::new(source)) } else { read_lines(source) }
}

fn read_lines<S: Sink>(mut source: impl Read) -> Result<S, ReadError> {
    let mut reader = Reader::<S>::default();
    let mut buffer = vec![0_u8; CHUNK + LINE_MAX];
    let mut kept = 0;
    loop {
        let room = buffer.get_mut(kept..).unwrap_or_default();
        let read = source.read(room).map_err(ReadError::Read)?;
        let filled = buffer.get(..kept + read).unwrap_or_default();
        let whole = match filled.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => last + 1,
            None => 0,
        };
        for line in filled.get(..whole).unwrap_or_default().split_inclusive(|b| *b == b'\n') {
            reader.take(line)?;
        }
        let rest = whole..kept + read;
        if rest.len() > LINE_MAX {
            return Err(reader.wrong("the line is too long"));
        }
        if read == 0 {
            let last = buffer.get(rest).unwrap_or_default().to_vec();
            if !last.is_empty() {
                reader.take(&last)?;
            }
            return Ok(reader.sink);
        }
        kept = rest.len();
        buffer.copy_within(rest, 0);
    }
}

#[derive(Default)]
struct Reader<S> {
    sink: S,
    line: u64,
    /// Date text and offset text seen last, with the date they mean: most
    /// lines repeat them.
    stamp: Option<Stamp>,
    last: Option<(NaiveDate, u32)>,
}

struct Stamp {
    date_text: [u8; 10],
    date: NaiveDate,
}

/// Offset of India as it is usually written.
const IST_TEXT: &[u8] = b"+05:30";

impl<S: Sink> Reader<S> {
    fn wrong(&self, what: impl Into<String>) -> ReadError {
        ReadError::Line { line: self.line.max(1), what: what.into() }
    }

    fn take(&mut self, line: &[u8]) -> Result<(), ReadError> {
        self.line += 1;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.line == 1 {
            let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
            let fits = line.eq_ignore_ascii_case(HEADER.as_bytes());
            let shown = || String::from_utf8_lossy(line.get(..60).unwrap_or(line)).into_owned();
            return if fits { Ok(()) } else { Err(ReadError::Header(shown())) };
        }
        if line.is_empty() {
            return Ok(());
        }
        let [stamp, open, high, low, close, volume] = self.fields(line)?;
        let (date, minute) = self.moment(stamp)?;
        let open = self.price("open", open)?;
        let high = self.price("high", high)?;
        let low = self.price("low", low)?;
        let close = self.price("close", close)?;
        if low > open.min(close) || high < open.max(close) {
            return Err(self.wrong("high and low do not bound open and close"));
        }
        if !volume.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.') {
            return Err(self.wrong(not_a("volume", "a number", volume)));
        }
        self.push(date, minute, [open, high, low, close])
    }

    fn fields<'a>(&self, line: &'a [u8]) -> Result<[&'a [u8]; FIELDS], ReadError> {
        let mut fields = [&line[..0]; FIELDS];
        let mut count = 0;
        for field in line.split(|byte| *byte == b',') {
            if let Some(slot) = fields.get_mut(count) {
                *slot = field;
            }
            count += 1;
        }
        if count == FIELDS {
            Ok(fields)
        } else {
            Err(self.wrong(format!("expected {FIELDS} fields, were {count}")))
        }
    }

    /// Date and minute of the day in India.
    fn moment(&mut self, text: &[u8]) -> Result<(NaiveDate, u32), ReadError> {
        if let Some(usual) = self.usual_moment(text) {
            return Ok(usual);
        }
        let error = || {
            self.wrong(not_a("ts", "a time with offset such as 2026-11-23T09:15:00+05:30", text))
        };
        let text = std::str::from_utf8(text).map_err(|_| error())?;
        let at = DateTime::parse_from_rfc3339(text)
            .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%z"))
            .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%z"))
            .map_err(|_| error())?
            .with_timezone(&IST)
            .naive_local();
        if at.second() != 0 || at.nanosecond() != 0 {
            return Err(self.wrong("a bar must start on a whole minute"));
        }
        let date = at.date();
        let head: Option<[u8; 10]> = date.to_string().as_bytes().try_into().ok();
        self.stamp = head.map(|date_text| Stamp { date_text, date });
        Ok((date, at.hour() * 60 + at.minute()))
    }

    /// The same for a stamp in Indian time on the day of the line before.
    fn usual_moment(&self, text: &[u8]) -> Option<(NaiveDate, u32)> {
        let stamp = self.stamp.as_ref()?;
        let (head, rest) = text.split_first_chunk::<10>()?;
        let (time, offset) = rest.split_first_chunk::<9>()?;
        let [b'T' | b' ', h1, h2, b':', m1, m2, b':', b'0', b'0'] = time else { return None };
        if *head != stamp.date_text || offset != IST_TEXT {
            return None;
        }
        let digit = |byte: &u8| byte.is_ascii_digit().then(|| u32::from(byte - b'0'));
        let hour = digit(h1)? * 10 + digit(h2)?;
        let minute = digit(m1)? * 10 + digit(m2)?;
        (hour < 24 && minute < 60).then_some((stamp.date, hour * 60 + minute))
    }

    fn price(&self, name: &str, text: &[u8]) -> Result<i32, ReadError> {
        paise(text).ok_or_else(|| self.wrong(not_a(name, "a positive price in rupees", text)))
    }

    fn push(&mut self, date: NaiveDate, minute: u32, prices: [i32; 4]) -> Result<(), ReadError> {
        if self.last.is_some_and(|last| (date, minute) <= last) {
            return Err(self.wrong("the bar is not later than the one before it"));
        }
        self.last = Some((date, minute));
        self.sink.take(date, minute, prices);
        Ok(())
    }
}

impl Sink for Bars {
    fn take(&mut self, date: NaiveDate, minute: u32, [open, high, low, close]: [i32; 4]) {
        let within = minute
            .checked_sub(OPEN_MINUTE)
            .and_then(|minute| u16::try_from(minute).ok())
            .filter(|minute| *minute < SESSION_MINUTES);
        let Some(minute) = within else {
            self.outside_session += 1;
            return;
        };
        let at = self.open.len();
        match self.days.last_mut() {
            Some(day) if day.date == date => day.bars.end = at + 1,
            Some(_) | None => self.days.push(Day { date, bars: at..at + 1 }),
        }
        self.open.push(open);
        self.high.push(high);
        self.low.push(low);
        self.close.push(close);
        self.minute.push(minute);
    }
}

impl Sink for DayCandles {
    fn take(&mut self, date: NaiveDate, _minute: u32, prices: [i32; 4]) {
        let [open, high, low, close] = prices.map(|paise| Price::from_paise(i64::from(paise)));
        self.insert(date, DayCandle { date, open, high, low, close });
    }
}

fn not_a(name: &str, expected: &str, was: &[u8]) -> String {
    let shown = String::from_utf8_lossy(was.get(..40).unwrap_or(was)).into_owned();
    format!("{name} is not {expected}: {shown:?}")
}

/// Rupees as paise, rounded half up beyond the second decimal; `None` when
/// it is not a positive number that fits.
fn paise(text: &[u8]) -> Option<i32> {
    let mut whole: i64 = 0;
    let mut at = 0;
    while let Some(byte) = text.get(at).filter(|byte| byte.is_ascii_digit()) {
        whole = whole * 10 + i64::from(byte - b'0');
        if whole > PAISE_MAX {
            return None;
        }
        at += 1;
    }
    let fraction = match text.get(at) {
        None if at > 0 => 0,
        Some(b'.') if at > 0 => hundredths(text.get(at + 1..)?)?,
        Some(_) | None => return None,
    };
    i32::try_from(whole * 100 + fraction).ok().filter(|paise| *paise > 0)
}

fn hundredths(digits: &[u8]) -> Option<i64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |place: usize| digits.get(place).map_or(0, |byte| i64::from(byte - b'0'));
    let round_up = i64::from(digit(2) >= 5);
    Some(digit(0) * 10 + digit(1) + round_up)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(lines: &[&str]) -> Vec<u8> {
        format!("{HEADER}\n{}\n", lines.join("\n")).into_bytes()
    }

    #[test]
    fn bars_fall_into_days() {
        let text = file(&[
            "2026-11-20T09:14:00+05:30,1,1,1,1,0",
            "2026-11-20T09:15:00+05:30,100.5,101,100,100.05,12",
            "2026-11-20T09:16:00+05:30,100.055,100.06,100.05,100.06,0.0",
            "2026-11-23T03:45:00Z,100,100,100,100,",
            "2026-11-23 09:16:00+0530,100,100,100,100,5",
        ]);
        let bars = read(text.as_slice()).unwrap();
        assert_eq!(bars.open, [10_050, 10_006, 10_000, 10_000]);
        assert_eq!(bars.close, [10_005, 10_006, 10_000, 10_000]);
        assert_eq!(bars.minute, [0, 1, 0, 1]);
        assert_eq!(bars.outside_session, 1);
        let days: Vec<(String, Range)> =
            bars.days.iter().map(|day| (day.date.to_string(), day.bars.clone())).collect();
        assert_eq!(days, [("2026-11-20".into(), 0..2), ("2026-11-23".into(), 2..4)]);
    }

    type Range = std::ops::Range<usize>;

    #[test]
    fn gzip_is_recognised_and_chunks_do_not_matter() {
        let lines: Vec<String> = (0..30_000)
            .map(|n| {
                let date =
                    NaiveDate::from_ymd_opt(2020, 1, 1).unwrap() + chrono::TimeDelta::days(n / 375);
                let minute = 555 + n % 375;
                format!(
                    "{date}T{:02}:{:02}:00+05:30,{n}.05,{n}.95,{n}.01,{n}.5,0",
                    minute / 60,
                    minute % 60
                )
            })
            .skip(1)
            .collect();
        let text = file(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let plain = read(text.as_slice()).unwrap();
        assert_eq!(plain.len(), 29_999);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, &text).unwrap();
        assert_eq!(read(packed.finish().unwrap().as_slice()).unwrap(), plain);
        assert_eq!(read(text.strip_suffix(b"\n").unwrap()).unwrap(), plain);
    }

    #[test]
    fn a_wrong_line_is_named() {
        let check = |line: &str, expected: &str| {
            let text = file(&["2026-11-23T09:15:00+05:30,100,101,99,100,0", line]);
            assert_eq!(read(text.as_slice()).unwrap_err().to_string(), expected, "{line}");
        };
        check("2026-11-23T09:16:00+05:30,100,101,99,100", "line 3: expected 6 fields, were 5");
        check(
            "2026-11-23T09:16:00,100,101,99,100,0",
            "line 3: ts is not a time with offset such as 2026-11-23T09:15:00+05:30: \"2026-11-23T09:16:00\"",
        );
        check(
            "2026-11-23T09:16:30+05:30,100,101,99,100,0",
            "line 3: a bar must start on a whole minute",
        );
        check(
            "2026-11-23T09:15:00+05:30,100,101,99,100,0",
            "line 3: the bar is not later than the one before it",
        );
        check(
            "2026-11-23T09:16:00+05:30,100,99,99,100,0",
            "line 3: high and low do not bound open and close",
        );
        for wrong in ["", "-1", "1e3", "1,5", "nan", "0", "99999999999", "1.5.2"] {
            let text = file(&[&format!("2026-11-23T09:16:00+05:30,{wrong},101,99,100,0")]);
            assert!(read(text.as_slice()).is_err(), "{wrong}");
        }
        check(
            "2026-11-23T09:16:00+05:30,100,101,99,100,many",
            "line 3: volume is not a number: \"many\"",
        );
    }

    #[test]
    fn day_candles_stand_in_the_same_columns() {
        let text = file(&["2026-11-20T00:00:00+05:30,100,110,90,105,0"]);
        let days = read_days(text.as_slice()).unwrap();
        let (date, candle) = days.first_key_value().unwrap();
        assert_eq!(
            (date.to_string().as_str(), candle.close),
            ("2026-11-20", Price::from_rupees(105))
        );
        assert_eq!(read_days(HEADER.as_bytes()).unwrap_err().to_string(), "there is no day");
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let check = |text: &str, expected: &str| {
            assert_eq!(read(text.as_bytes()).unwrap_err().to_string(), expected);
        };
        check("", "there is no bar between 09:15 and 15:40");
        check(HEADER, "there is no bar between 09:15 and 15:40");
        check(
            "date,close\n",
            "line 1: expected the columns ts,open,high,low,close,volume, was \"date,close\"",
        );
        check(&"x".repeat(3000), "line 1: the line is too long");
        let five = "2026-11-23T09:15:00+05:30,1,1,1,1,0\n2026-11-23T09:20:00+05:30,1,1,1,1,0";
        check(
            &format!("{HEADER}\n{five}\n"),
            "the bars are 5 minutes apart; one-minute bars are needed",
        );
    }
}
