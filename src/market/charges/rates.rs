//! Rates by date, as the exchanges and the government have set them.

use chrono::{Datelike, NaiveDate};

use super::ChargeSegment;
use crate::market::instrument::Exchange;
use crate::market::money::Money;

/// First trade date for which every rate is known: stamp duty has been
/// uniform across India since then.
pub const RATES_SINCE: NaiveDate = match NaiveDate::from_ymd_opt(2020, 7, 1) {
    Some(date) => date,
    None => unreachable!(),
};

/// GST on brokerage, exchange and regulator fees.
pub(super) const GST_PERCENT: i128 = 18;

/// A rate: 0.15 % is 15,000 rupees per crore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RupeesPerCrore(pub(super) i64);

/// The rates of one segment, exchange and date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rates {
    /// Share of an order's value; `None` where the fee is flat.
    pub(super) brokerage: Option<RupeesPerCrore>,
    /// The flat fee, or the most that the share may come to.
    pub(super) brokerage_max: Money,
    pub(super) stt_buy: RupeesPerCrore,
    pub(super) stt_sell: RupeesPerCrore,
    pub(super) txn: RupeesPerCrore,
    pub(super) sebi: RupeesPerCrore,
    pub(super) stamp_buy: RupeesPerCrore,
}

impl Rates {
    pub(super) fn on(segment: ChargeSegment, exchange: Exchange, date: NaiveDate) -> Rates {
        use Component::{Sebi, StampBuy, SttBuy, SttSell, Txn};
        let venue = Venue::of(exchange);
        let rate = |component| rate_on(segment, venue, component, date);
        let (brokerage, brokerage_max) = brokerage(segment);
        Rates {
            brokerage,
            brokerage_max,
            stt_buy: rate(SttBuy),
            stt_sell: rate(SttSell),
            txn: rate(Txn),
            sebi: rate(Sebi),
            stamp_buy: rate(StampBuy),
        }
    }
}

const fn brokerage(segment: ChargeSegment) -> (Option<RupeesPerCrore>, Money) {
    let share = Some(RupeesPerCrore(3_000));
    match segment {
        ChargeSegment::EquityIntraday | ChargeSegment::Futures => (share, Money::from_rupees(20)),
        ChargeSegment::EquityDelivery => (None, Money::ZERO),
        ChargeSegment::Options => (None, Money::from_rupees(20)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Venue {
    Nse,
    Bse,
}

impl Venue {
    const fn of(exchange: Exchange) -> Venue {
        match exchange {
            Exchange::Bse | Exchange::Bfo | Exchange::Bcd => Venue::Bse,
            Exchange::Nse | Exchange::Nfo | Exchange::Cds | Exchange::Mcx | Exchange::Nco => {
                Venue::Nse
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Component {
    SttBuy,
    SttSell,
    Txn,
    Sebi,
    StampBuy,
}

/// A row of the table: from `since` on, until a later row of the same kind.
struct Row {
    since: (i32, u32, u32),
    segment: ChargeSegment,
    /// `None`: on both exchanges.
    venue: Option<Venue>,
    component: Component,
    rate: i64,
}

const fn row(
    since: (i32, u32, u32),
    segment: ChargeSegment,
    venue: Option<Venue>,
    component: Component,
    rate: i64,
) -> Row {
    Row { since, segment, venue, component, rate }
}

/// The latest row in force, or the oldest when the date is before them all.
/// What has no row is free.
fn rate_on(
    segment: ChargeSegment,
    venue: Venue,
    component: Component,
    date: NaiveDate,
) -> RupeesPerCrore {
    let date = (date.year(), date.month(), date.day());
    let rows = || {
        ROWS.iter().filter(move |row| {
            row.segment == segment
                && row.component == component
                && row.venue.is_none_or(|known| known == venue)
        })
    };
    let in_force = rows().filter(|row| row.since <= date).max_by_key(|row| row.since);
    let row = in_force.or_else(|| rows().min_by_key(|row| row.since));
    RupeesPerCrore(row.map_or(0, |row| row.rate))
}

const STAMP_ACT: (i32, u32, u32) = (2020, 7, 1);
const TARIFF_2024: (i32, u32, u32) = (2024, 10, 1);

/// The exchange fee contains the investor protection fund's. NSE moved most
/// of the latter into the former on 1 March 2026; the sum stayed.
const ROWS: &[Row] = {
    use ChargeSegment::{EquityDelivery, EquityIntraday, Futures, Options};
    use Component::{Sebi, StampBuy, SttBuy, SttSell, Txn};
    use Venue::{Bse, Nse};
    &[
        row(STAMP_ACT, EquityIntraday, None, SttSell, 2_500),
        row(STAMP_ACT, EquityIntraday, None, StampBuy, 300),
        row(STAMP_ACT, EquityIntraday, None, Sebi, 10),
        row(TARIFF_2024, EquityIntraday, Some(Nse), Txn, 307),
        row(TARIFF_2024, EquityIntraday, Some(Bse), Txn, 375),
        row(STAMP_ACT, EquityDelivery, None, SttBuy, 10_000),
        row(STAMP_ACT, EquityDelivery, None, SttSell, 10_000),
        row(STAMP_ACT, EquityDelivery, None, StampBuy, 1_500),
        row(STAMP_ACT, EquityDelivery, None, Sebi, 10),
        row(TARIFF_2024, EquityDelivery, Some(Nse), Txn, 307),
        row(TARIFF_2024, EquityDelivery, Some(Bse), Txn, 375),
        row(STAMP_ACT, Futures, None, SttSell, 1_000),
        row((2023, 4, 1), Futures, None, SttSell, 1_250),
        row((2024, 10, 1), Futures, None, SttSell, 2_000),
        row((2026, 4, 1), Futures, None, SttSell, 5_000),
        row(STAMP_ACT, Futures, None, StampBuy, 200),
        row(STAMP_ACT, Futures, None, Sebi, 10),
        row(TARIFF_2024, Futures, Some(Nse), Txn, 183),
        row(TARIFF_2024, Futures, Some(Bse), Txn, 0),
        row(STAMP_ACT, Options, None, SttSell, 5_000),
        row((2023, 4, 1), Options, None, SttSell, 6_250),
        row((2024, 10, 1), Options, None, SttSell, 10_000),
        row((2026, 4, 1), Options, None, SttSell, 15_000),
        row(STAMP_ACT, Options, None, StampBuy, 300),
        row(STAMP_ACT, Options, None, Sebi, 10),
        row(TARIFF_2024, Options, Some(Nse), Txn, 3_553),
        row(TARIFF_2024, Options, Some(Bse), Txn, 3_250),
    ]
};
