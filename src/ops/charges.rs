//! `pivotctl charges`.

use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Context;
use chrono::NaiveDate;
use clap::ValueEnum;
use serde_json::{Map, Value};

use crate::clock::Clock;
use crate::market::charges::{ChargeSegment, Charges, Leg, RATES_SINCE, estimate};
use crate::market::pivots::Level;
use crate::market::time::ist_date;
use crate::market::{Exchange, Money, Price, Side};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  pivotctl charges --segment options --exchange BSE \
                        --date 2026-11-23 --leg BUY:20@412.00 --leg SELL:20@668.20\n\n\
                        A leg executed in several orders: --leg SELL:200@400x2")]
pub(super) struct Args {
    /// What was traded.
    #[arg(long, value_enum)]
    segment: Segment,
    /// Where it was traded.
    #[arg(long, value_enum, ignore_case = true)]
    exchange: Venue,
    /// Trade date, which decides the rates; today when left out.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = super::calendar::parse_date)]
    date: Option<NaiveDate>,
    /// SIDE:QUANTITY@PRICE, with xORDERS when it took more orders than one.
    #[arg(long = "leg", required = true, value_name = "BUY:20@412.00x1")]
    legs: Vec<LegArg>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Segment {
    EqIntraday,
    EqDelivery,
    Futures,
    Options,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Venue {
    #[value(name = "NSE", alias = "NFO")]
    Nse,
    #[value(name = "BSE", alias = "BFO")]
    Bse,
}

/// A leg as it is written on the command line.
#[derive(Debug, Clone, Copy)]
struct LegArg(Leg);

/// More units than any account trades in a day.
const QUANTITY_MAX: i64 = 10_000_000;

impl FromStr for LegArg {
    type Err = String;

    fn from_str(text: &str) -> Result<LegArg, String> {
        let shape = || format!("expected SIDE:QUANTITY@PRICE such as BUY:20@412.00, was {text:?}");
        let (side, rest) = text.split_once(':').ok_or_else(shape)?;
        let (quantity, rest) = rest.split_once('@').ok_or_else(shape)?;
        let (price, orders) = rest.split_once(['x', 'X']).unwrap_or((rest, "1"));
        let side = match side.to_ascii_uppercase().as_str() {
            "BUY" | "B" => Side::Buy,
            "SELL" | "S" => Side::Sell,
            _ => return Err(format!("the side is BUY or SELL, was {side:?}")),
        };
        let whole = |text: &str| text.parse().ok().filter(|n| (1..=QUANTITY_MAX).contains(n));
        let quantity: i64 = whole(quantity).ok_or_else(|| {
            format!("the quantity is a whole number from 1 to {QUANTITY_MAX}, was {quantity:?}")
        })?;
        let orders = whole(orders)
            .filter(|orders| *orders <= quantity)
            .and_then(|orders| u32::try_from(orders).ok())
            .ok_or_else(|| {
                format!("the orders are a whole number from 1 to the quantity, was {orders:?}")
            })?;
        let price: Level = price.parse().map_err(|error| format!("the price: {error}"))?;
        if !price.is_above(Price::ZERO) {
            return Err(format!("the price is above zero, was {price}"));
        }
        let value = Money::from_paise(price.scaled((quantity, 1)).rounded().paise());
        Ok(LegArg(Leg { side, value, orders }))
    }
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let date = match args.date {
        Some(date) => date,
        None => ist_date(Clock::from_env().context("could not read the clock")?.now()),
    };
    if date < RATES_SINCE {
        errln!("note: rates before {RATES_SINCE} are not known; the oldest known are used");
    }
    let segment = match args.segment {
        Segment::EqIntraday => ChargeSegment::EquityIntraday,
        Segment::EqDelivery => ChargeSegment::EquityDelivery,
        Segment::Futures => ChargeSegment::Futures,
        Segment::Options => ChargeSegment::Options,
    };
    let exchange = match args.exchange {
        Venue::Nse => Exchange::Nse,
        Venue::Bse => Exchange::Bse,
    };
    let legs: Vec<Leg> = args.legs.iter().map(|leg| leg.0).collect();
    show(&estimate(segment, exchange, date, &legs), args.json);
    Ok(ExitCode::SUCCESS)
}

fn show(charges: &Charges, as_json: bool) {
    let Charges { turnover, brokerage, stt, txn, sebi, stamp, gst, total, gross, net } = *charges;
    let rows = [
        ("turnover", turnover),
        ("brokerage", brokerage),
        ("stt", stt),
        ("txn", txn),
        ("sebi", sebi),
        ("stamp", stamp),
        ("gst", gst),
        ("total", total),
        ("gross", gross),
        ("net", net),
    ];
    if as_json {
        let values: Map<String, Value> = rows
            .into_iter()
            .map(|(name, money)| (name.to_string(), Value::from(money.to_string())))
            .collect();
        outln!("{}", Value::from(values));
    } else {
        for (name, money) in rows {
            outln!("{name:<9} {:>16}", money.grouped());
        }
    }
}
