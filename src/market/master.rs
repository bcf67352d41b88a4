//! Reading the broker's list of instruments.
//!
//! The list is CSV with a header, one instrument on each line, and changes
//! daily. A bad row is reported and left out; it never hides the others.

use std::borrow::Cow;

use chrono::NaiveDate;

use super::instrument::{Exchange, Instrument, InstrumentKey, InstrumentKind};
use super::money::{Price, Quantity};

/// The instruments of a list, in its order, and what could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Master {
    /// What was read.
    pub instruments: Vec<Instrument>,
    /// What was not.
    pub bad_rows: Vec<BadRow>,
}

/// A line that is not an instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// Its number, from 1 (the header).
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl Master {
    /// The instrument of this name.
    pub fn find(&self, key: &InstrumentKey) -> Option<&Instrument> {
        self.instruments.iter().find(|instrument| instrument.key == *key)
    }
}

/// Reads a list. Columns are found by the names in the header, so their
/// order and further columns do not matter. Without a usable header there is
/// one bad row, line 1, and no instrument.
pub fn parse_instruments(csv: &[u8]) -> Master {
    let mut master = Master::default();
    let csv = csv.strip_prefix(b"\xef\xbb\xbf").unwrap_or(csv);
    let mut lines = csv.split(|byte| *byte == b'\n').enumerate();
    let header = lines.next().map_or(&[][..], |(_, line)| line);
    let columns = match Columns::find(header) {
        Ok(columns) => columns,
        Err(reason) => {
            master.bad_rows.push(BadRow { line: 1, reason });
            return master;
        }
    };
    master.instruments.reserve(csv.len() / BYTES_PER_ROW);
    let mut fields = Vec::with_capacity(FIELDS_USUAL);
    for (index, line) in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        fields.clear();
        match read_row(line, &columns, &mut fields) {
            Ok(instrument) => master.instruments.push(instrument),
            Err(reason) => master.bad_rows.push(BadRow { line: index + 1, reason }),
        }
    }
    master
}

/// Length of a typical row, to reserve memory once.
const BYTES_PER_ROW: usize = 90;
const FIELDS_USUAL: usize = 12;

/// Positions of the columns that matter.
struct Columns {
    token: usize,
    symbol: usize,
    name: usize,
    expiry: usize,
    strike: usize,
    tick: usize,
    lot: usize,
    kind: usize,
    segment: usize,
    exchange: usize,
}

impl Columns {
    fn find(header: &[u8]) -> Result<Columns, String> {
        let header = String::from_utf8_lossy(header);
        let names: Vec<&str> =
            header.split(',').map(|name| name.trim().trim_matches('"')).collect();
        let position = |wanted: &str| {
            let found = names.iter().position(|name| *name == wanted);
            found.ok_or_else(|| format!("the header has no column {wanted}"))
        };
        Ok(Columns {
            token: position("instrument_token")?,
            symbol: position("tradingsymbol")?,
            name: position("name")?,
            expiry: position("expiry")?,
            strike: position("strike")?,
            tick: position("tick_size")?,
            lot: position("lot_size")?,
            kind: position("instrument_type")?,
            segment: position("segment")?,
            exchange: position("exchange")?,
        })
    }
}

fn read_row<'line>(
    line: &'line [u8],
    columns: &Columns,
    fields: &mut Vec<Cow<'line, str>>,
) -> Result<Instrument, String> {
    let line = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8".to_string())?;
    split(line, fields)?;
    let field = |column: usize, what: &str| {
        fields.get(column).map(Cow::as_ref).ok_or_else(|| format!("the row ends before {what}"))
    };
    let exchange_name = field(columns.exchange, "exchange")?;
    let exchange = Exchange::parse(exchange_name)
        .ok_or_else(|| format!("unknown exchange {exchange_name:?}"))?;
    let symbol = field(columns.symbol, "tradingsymbol")?;
    if symbol.is_empty() {
        return Err("tradingsymbol is empty".to_string());
    }
    let token = field(columns.token, "instrument_token")?;
    let kind = kind(field(columns.segment, "segment")?, field(columns.kind, "instrument_type")?)?;
    let money = |column: usize, what: &str| {
        field(column, what).and_then(|text| price(text, what, exchange))
    };
    let expiry = expiry(field(columns.expiry, "expiry")?)?;
    let instrument = Instrument {
        key: InstrumentKey::new(exchange, symbol),
        token: token.parse().map_err(|_| format!("instrument_token {token:?} is not a number"))?,
        name: field(columns.name, "name")?.to_string(),
        kind,
        expiry,
        strike: money(columns.strike, "strike")?,
        tick: money(columns.tick, "tick_size")?,
        lot: lot(field(columns.lot, "lot_size")?)?,
    };
    check(&instrument)?;
    Ok(instrument)
}

/// What trading relies on.
fn check(instrument: &Instrument) -> Result<(), String> {
    let kind = instrument.kind;
    let derivative = kind == InstrumentKind::Future || kind.option_type().is_some();
    if derivative && instrument.expiry.is_none() {
        return Err("a derivative without an expiry".to_string());
    }
    if kind.option_type().is_some() && instrument.strike <= Price::ZERO {
        return Err("an option without a strike".to_string());
    }
    if derivative && (instrument.lot <= 0 || instrument.tick <= Price::ZERO) {
        return Err("a derivative without a lot or tick size".to_string());
    }
    Ok(())
}

/// Splits a line at its commas; a field in double quotes may contain commas,
/// and doubled quotes for one.
fn split<'line>(line: &'line str, fields: &mut Vec<Cow<'line, str>>) -> Result<(), String> {
    if !line.contains('"') {
        // Fields are a few bytes long: a plain loop finds their ends faster
        // than a search that is set up anew for each.
        let mut from = 0;
        for (at, byte) in line.bytes().enumerate() {
            if byte == b',' {
                fields.push(Cow::Borrowed(&line[from..at]));
                from = at + 1;
            }
        }
        fields.push(Cow::Borrowed(&line[from..]));
        return Ok(());
    }
    let mut rest = line;
    loop {
        let after = if let Some(quoted) = rest.strip_prefix('"') {
            let (field, after) = unquote(quoted)?;
            fields.push(field);
            after
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            fields.push(Cow::Borrowed(&rest[..end]));
            &rest[end..]
        };
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None if after.is_empty() => return Ok(()),
            None => return Err("text after a closing quote".to_string()),
        }
    }
}

/// Reads up to the closing quote; returns the field and what follows it.
fn unquote(quoted: &str) -> Result<(Cow<'_, str>, &str), String> {
    let mut from = 0;
    while let Some(found) = quoted.get(from..).and_then(|rest| rest.find('"')) {
        let quote = from + found;
        let after = &quoted[quote + 1..];
        if !after.starts_with('"') {
            let field = &quoted[..quote];
            let field = if field.contains('"') {
                Cow::Owned(field.replace("\"\"", "\""))
            } else {
                Cow::Borrowed(field)
            };
            return Ok((field, after));
        }
        from = quote + 2;
    }
    Err("a quote is not closed".to_string())
}

fn kind(segment: &str, instrument_type: &str) -> Result<InstrumentKind, String> {
    if segment == "INDICES" {
        return Ok(InstrumentKind::Index);
    }
    match instrument_type {
        "EQ" => Ok(InstrumentKind::Equity),
        "FUT" => Ok(InstrumentKind::Future),
        "CE" => Ok(InstrumentKind::Call),
        "PE" => Ok(InstrumentKind::Put),
        other => Err(format!("unknown instrument_type {other:?}")),
    }
}

fn expiry(text: &str) -> Result<Option<NaiveDate>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = text.split_once('-').and_then(|(year, rest)| {
        let (month, day) = rest.split_once('-')?;
        NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
    });
    parsed.map(Some).ok_or_else(|| format!("expiry {text:?} is not a date like 2026-11-26"))
}

/// Reads a price. Currency and commodity rows, which are not traded here,
/// may be finer than a paisa: they are rounded up to one.
fn price(text: &str, what: &str, exchange: Exchange) -> Result<Price, String> {
    if text.is_empty() {
        return Ok(Price::ZERO);
    }
    let error = || format!("{what} {text:?} is not a price");
    let parsed = match exchange {
        Exchange::Nse | Exchange::Bse | Exchange::Nfo | Exchange::Bfo => text.parse().ok(),
        Exchange::Cds | Exchange::Bcd | Exchange::Mcx | Exchange::Nco => {
            text.parse().ok().or_else(|| {
                let fine: super::pivots::Level = text.parse().ok()?;
                Some(fine.ceil_to(Price::ZERO))
            })
        }
    };
    let price: Price = parsed.ok_or_else(error)?;
    if price < Price::ZERO { Err(error()) } else { Ok(price) }
}

fn lot(text: &str) -> Result<Quantity, String> {
    let whole = text.strip_suffix(".0").unwrap_or(text);
    match whole.parse() {
        Ok(lot) if lot >= 0 => Ok(lot),
        Ok(_) | Err(_) => Err(format!("lot_size {text:?} is not a number of units")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,\
                          strike,tick_size,lot_size,instrument_type,segment,exchange";

    fn parse(rows: &str) -> Master {
        parse_instruments(format!("{HEADER}\n{rows}").as_bytes())
    }

    fn one(row: &str) -> Instrument {
        let master = parse(row);
        assert_eq!(master.bad_rows, []);
        master.instruments.into_iter().next().expect("one instrument")
    }

    #[test]
    fn reads_options_indices_and_shares() {
        let option =
            one("12345,48,NIFTY26NOV25150CE,NIFTY,0.0,2026-11-23,25150.0,0.05,65,CE,NFO-OPT,NFO");
        assert_eq!(
            option,
            Instrument {
                key: InstrumentKey::new(Exchange::Nfo, "NIFTY26NOV25150CE"),
                token: 12345,
                name: "NIFTY".to_string(),
                kind: InstrumentKind::Call,
                expiry: NaiveDate::from_ymd_opt(2026, 11, 23),
                strike: Price::from_rupees(25_150),
                tick: Price::from_paise(5),
                lot: 65,
            }
        );
        let index = one("265,1,SENSEX,SENSEX,0,,0,0,0,EQ,INDICES,BSE\r");
        assert_eq!((index.kind, index.lot, index.tick), (InstrumentKind::Index, 0, Price::ZERO));
        let share =
            one("1,1,\"M&M\",\"Mahindra, \"\"and\"\" Mahindra\",0.0,,0.0,0.05,1,EQ,NSE,NSE");
        assert_eq!(
            (share.kind, share.name.as_str()),
            (InstrumentKind::Equity, "Mahindra, \"and\" Mahindra")
        );
        assert_eq!(share.key.symbol, "M&M");
        let currency = one("1,1,USDINR26NOVFUT,USDINR,0,2026-11-26,0,0.0025,1,FUT,CDS-FUT,CDS");
        assert_eq!(currency.tick, Price::from_paise(1));
    }

    #[test]
    fn bad_rows_are_reported_with_line_and_reason() {
        let good = "1,1,A,A,0,,0,0.05,1,EQ,NSE,NSE";
        let rows = [
            ("x,1,A,A,0,,0,0.05,1,EQ,NSE,NSE", "instrument_token \"x\" is not a number"),
            ("1,1,A,A,0,,0,0.05,1,EQ,NSE,LSE", "unknown exchange \"LSE\""),
            ("1,1,A,A,0,,0,0.05", "the row ends before exchange"),
            ("1,1,,A,0,,0,0.05,1,EQ,NSE,NSE", "tradingsymbol is empty"),
            ("1,1,A,\"A,0,,0,0.05,1,EQ,NSE,NSE", "a quote is not closed"),
            ("1,1,A,A,0,,0,0.055,1,EQ,NSE,NSE", "tick_size \"0.055\" is not a price"),
            ("1,1,A,A,0,,0,-0.05,1,EQ,NSE,NSE", "tick_size \"-0.05\" is not a price"),
            ("1,1,A,A,0,,0,0.05,many,EQ,NSE,NSE", "lot_size \"many\" is not a number of units"),
            ("1,1,A,A,0,,0,0.05,1,XX,NSE,NSE", "unknown instrument_type \"XX\""),
            (
                "1,1,A,A,0,26-11,0,0.05,1,FUT,NFO-FUT,NFO",
                "expiry \"26-11\" is not a date like 2026-11-26",
            ),
            ("1,1,A,A,0,,0,0.05,1,FUT,NFO-FUT,NFO", "a derivative without an expiry"),
            ("1,1,A,A,0,2026-11-26,0,0.05,1,PE,NFO-OPT,NFO", "an option without a strike"),
            (
                "1,1,A,A,0,2026-11-26,5,0,1,PE,NFO-OPT,NFO",
                "a derivative without a lot or tick size",
            ),
        ];
        for (row, reason) in rows {
            let master = parse(&format!("{good}\n\n{row}\n{good}\n"));
            assert_eq!(master.instruments.len(), 2, "{row}");
            assert_eq!(master.bad_rows, [BadRow { line: 4, reason: reason.to_string() }], "{row}");
        }
    }

    #[test]
    fn without_a_header_there_is_no_list() {
        for (csv, reason) in [
            ("", "the header has no column instrument_token"),
            ("<html>not today</html>", "the header has no column instrument_token"),
            ("instrument_token,tradingsymbol,name\n1,2,3", "the header has no column expiry"),
        ] {
            let master = parse_instruments(csv.as_bytes());
            assert_eq!(master.instruments, []);
            assert_eq!(master.bad_rows, [BadRow { line: 1, reason: reason.to_string() }]);
        }
    }

    #[test]
    fn columns_are_found_by_name() {
        let csv = b"\xef\xbb\xbfexchange,segment,instrument_type,lot_size,new,tick_size,strike,expiry,\
                    name,tradingsymbol,instrument_token\r\nBSE,INDICES,EQ,0,?,0,0,,SENSEX,SENSEX,265\r\n";
        let master = parse_instruments(csv);
        assert_eq!(master.bad_rows, []);
        let key = InstrumentKey::new(Exchange::Bse, "SENSEX");
        assert_eq!(master.find(&key).map(|sensex| sensex.token), Some(265));
    }

    const GOOD: &str = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,segment,exchange\n\
        218968069,855344,SENSEX26NOV81300CE,\"SENSEX\",0,2026-11-26,81300,0.05,20,CE,BFO-OPT,BFO\n\
        738561,2885,RELIANCE,\"RELIANCE INDUSTRIES\",0,,0,0.1,1,EQ,NSE,NSE\n";

    /// Reads a list; every line is an instrument, told to be bad, or empty.
    fn read(list: &[u8]) {
        let lines = list.split(|byte| *byte == b'\n').count();
        let master = parse_instruments(list);
        assert!(master.instruments.len() + master.bad_rows.len() <= lines);
        for bad in master.bad_rows {
            assert!((1..=lines).contains(&bad.line) && !bad.reason.is_empty());
        }
    }

    proptest::proptest! {
        #[test]
        fn mangled_lists_are_survived(
            changes in proptest::collection::vec((0_usize..400, proptest::prelude::any::<u8>()), 0..8),
        ) {
            let mut mangled = GOOD.as_bytes().to_vec();
            for (place, byte) in changes {
                let at = place % mangled.len();
                mangled[at] = byte;
            }
            read(&mangled);
        }
    }

    #[test]
    fn arbitrary_lists_are_survived() {
        let header = GOOD.lines().next().unwrap().as_bytes();
        bolero::check!().for_each(|bytes: &[u8]| {
            read(bytes);
            read(&[header, b"\n", bytes].concat());
        });
    }
}
