//! What `pivotctl kite` takes.

use std::path::PathBuf;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use clap::Subcommand;

use crate::kite::Interval;
use crate::market::time::from_ist;
use crate::market::{Exchange, InstrumentKey, OrderType, Price, Side, Tag, Timestamp};
use crate::ops::data::usual_config;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl kite quote NSE:RELIANCE \"NSE:NIFTY 50\"\n  \
    pivotctl kite historical 256265 3minute --from 2026-11-20 --to 2026-11-23\n  \
    KITE_ACCESS_TOKEN=… pivotctl kite --base-url http://127.0.0.1:9001 --api-key demo_key orders\n\n\
    Address, key and access token come from the options, else from the configuration and the \
    session of its data folder.")]
pub(in crate::ops) struct Args {
    /// Configuration to take what is not given here from.
    #[arg(long, default_value_os_t = usual_config())]
    pub(super) config: PathBuf,
    /// REST address of the broker, or of a simulated one.
    #[arg(long)]
    pub(super) base_url: Option<String>,
    /// API key.
    #[arg(long)]
    pub(super) api_key: Option<String>,
    /// Environment variable that holds the access token.
    #[arg(long, default_value = "KITE_ACCESS_TOKEN", value_name = "NAME")]
    pub(super) access_token_env: String,
    /// Print JSON, as it is anyway.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    pub(super) call: Call,
}

#[derive(Debug, Subcommand)]
pub(super) enum Call {
    /// Exchange a request token for a session; needs the API secret in
    /// KITE_API_SECRET or in the configuration.
    #[command(after_help = "Example:\n  KITE_API_SECRET=… pivotctl kite login 8fK2cPq1")]
    Login {
        /// The request token from the redirect.
        request_token: String,
        /// Print the access token too.
        #[arg(long)]
        show_token: bool,
    },
    /// End the session.
    #[command(after_help = "Example:\n  pivotctl kite logout")]
    Logout,
    /// Show the account.
    #[command(after_help = "Example:\n  pivotctl kite profile")]
    Profile,
    /// Show funds.
    #[command(after_help = "Example:\n  pivotctl kite margins")]
    Margins,
    /// List today's orders.
    #[command(after_help = "Example:\n  pivotctl kite orders")]
    Orders,
    /// Show the states that an order went through.
    #[command(after_help = "Example:\n  pivotctl kite order-history 261123000000001")]
    OrderHistory {
        /// The order's id.
        order_id: String,
    },
    /// List today's fills, or those of one order.
    #[command(after_help = "Example:\n  pivotctl kite trades 261123000000001")]
    Trades {
        /// The order's id.
        order_id: Option<String>,
    },
    /// Show positions.
    #[command(after_help = "Example:\n  pivotctl kite positions")]
    Positions,
    /// Show holdings.
    #[command(after_help = "Example:\n  pivotctl kite holdings")]
    Holdings,
    /// Show full quotes.
    #[command(after_help = "Example:\n  pivotctl kite quote NSE:RELIANCE \"NSE:NIFTY 50\"")]
    Quote {
        /// Instruments, such as NSE:RELIANCE.
        #[arg(required = true, value_parser = key)]
        keys: Vec<InstrumentKey>,
    },
    /// Show prices of the day.
    #[command(after_help = "Example:\n  pivotctl kite ohlc BSE:SENSEX")]
    Ohlc {
        /// Instruments, such as NSE:RELIANCE.
        #[arg(required = true, value_parser = key)]
        keys: Vec<InstrumentKey>,
    },
    /// Show last prices.
    #[command(after_help = "Example:\n  pivotctl kite ltp BSE:SENSEX NSE:TCS")]
    Ltp {
        /// Instruments, such as NSE:RELIANCE.
        #[arg(required = true, value_parser = key)]
        keys: Vec<InstrumentKey>,
    },
    /// List the instruments of an exchange.
    #[command(after_help = "Example:\n  pivotctl kite instruments BFO")]
    Instruments {
        /// NSE, BSE, NFO, BFO, …; all when absent.
        #[arg(value_parser = exchange)]
        exchange: Option<Exchange>,
    },
    /// Show candles of the past.
    #[command(
        after_help = "Example:\n  pivotctl kite historical 256265 3minute --from 2026-11-20 --to 2026-11-23"
    )]
    Historical {
        /// The instrument's token.
        token: u32,
        /// minute, 3minute, 5minute, 10minute, 15minute, 30minute, 60minute or day.
        #[arg(value_parser = interval)]
        interval: Interval,
        /// First moment: `2026-11-23` or `2026-11-23 09:15:00`, in India.
        #[arg(long, value_parser = first_moment)]
        from: Timestamp,
        /// Last moment, included; a date means its end.
        #[arg(long, value_parser = last_moment)]
        to: Timestamp,
        /// With open interest.
        #[arg(long)]
        oi: bool,
    },
    /// Show what the broker would block for an order.
    #[command(after_help = "Example:\n  pivotctl kite order-margins NSE:TCS BUY 1 --price 3900")]
    OrderMargins(PlaceArgs),
    /// Show what the broker would charge for an order.
    #[command(after_help = "Example:\n  pivotctl kite order-charges NSE:TCS BUY 1 --price 3900")]
    OrderCharges(PlaceArgs),
    /// Place an order, once. Asks first unless it goes to a simulated broker.
    #[command(
        after_help = "Example:\n  pivotctl kite place NSE:TCS BUY 1 --price 3900 --product CNC"
    )]
    Place {
        #[command(flatten)]
        order: PlaceArgs,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Change an order, once.
    #[command(after_help = "Example:\n  pivotctl kite modify 261123000000001 --price 3905")]
    Modify {
        /// The order's id.
        order_id: String,
        #[command(flatten)]
        change: ChangeArgs,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Cancel an order, once.
    #[command(after_help = "Example:\n  pivotctl kite cancel 261123000000001")]
    Cancel {
        /// The order's id.
        order_id: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Decode the raw bytes of one binary message of the ticker; needs no broker.
    #[command(after_help = "Example:\n  pivotctl kite decode-frame message.bin")]
    DecodeFrame {
        /// File with the bytes, `-` for standard input.
        file: PathBuf,
        /// The bytes are one packet without count and length.
        #[arg(long)]
        bare: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct PlaceArgs {
    /// Instrument, such as BFO:SENSEX26NOV85000CE.
    #[arg(value_parser = key)]
    pub(super) instrument: InstrumentKey,
    /// BUY or SELL.
    #[arg(value_parser = side)]
    pub(super) side: Side,
    /// Units.
    pub(super) quantity: i64,
    /// MARKET, LIMIT, SL or SL-M.
    #[arg(long = "type", default_value = "LIMIT", value_parser = order_type)]
    pub(super) order_type: OrderType,
    /// Limit price in rupees.
    #[arg(long)]
    pub(super) price: Option<Price>,
    /// Trigger in rupees.
    #[arg(long)]
    pub(super) trigger: Option<Price>,
    /// MIS, NRML, CNC or MTF.
    #[arg(long, default_value = "MIS")]
    pub(super) product: String,
    /// Mark of at most 20 letters and digits.
    #[arg(long, default_value = "pivotctl", value_parser = tag)]
    pub(super) tag: Tag,
    /// It can only reduce what is held: use the exits' share of the limits.
    #[arg(long)]
    pub(super) reduces: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ChangeArgs {
    /// New type.
    #[arg(long = "type", value_parser = order_type)]
    pub(super) order_type: Option<OrderType>,
    /// New total quantity.
    #[arg(long)]
    pub(super) quantity: Option<i64>,
    /// New limit price in rupees.
    #[arg(long)]
    pub(super) price: Option<Price>,
    /// New trigger in rupees.
    #[arg(long)]
    pub(super) trigger: Option<Price>,
}

fn key(text: &str) -> Result<InstrumentKey, String> {
    InstrumentKey::parse(text).ok_or_else(|| "expected EXCHANGE:SYMBOL, such as NSE:TCS".into())
}

fn exchange(text: &str) -> Result<Exchange, String> {
    Exchange::parse(text).ok_or_else(|| "expected NSE, BSE, NFO, BFO, CDS, BCD, MCX or NCO".into())
}

fn interval(text: &str) -> Result<Interval, String> {
    let words = Interval::ALL.map(Interval::as_str).join(", ");
    Interval::parse(text).ok_or_else(|| format!("expected one of {words}"))
}

fn side(text: &str) -> Result<Side, String> {
    Side::parse(&text.to_uppercase()).ok_or_else(|| "expected BUY or SELL".into())
}

fn order_type(text: &str) -> Result<OrderType, String> {
    OrderType::parse(&text.to_uppercase())
        .ok_or_else(|| "expected MARKET, LIMIT, SL or SL-M".into())
}

fn tag(text: &str) -> Result<Tag, String> {
    Tag::new(text).ok_or_else(|| "expected 1 to 20 letters and digits".into())
}

fn first_moment(text: &str) -> Result<Timestamp, String> {
    moment(text, NaiveTime::MIN)
}

fn last_moment(text: &str) -> Result<Timestamp, String> {
    moment(text, NaiveTime::from_hms_opt(23, 59, 59).unwrap_or(NaiveTime::MIN))
}

fn moment(text: &str, time_of_date: NaiveTime) -> Result<Timestamp, String> {
    for format in ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"] {
        if let Ok(local) = NaiveDateTime::parse_from_str(text, format) {
            return Ok(from_ist(local.date(), local.time()));
        }
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d");
    let wrong =
        |_| "expected a date, or a date and time such as \"2026-11-23 09:15:00\"".to_string();
    date.map(|date| from_ist(date, time_of_date)).map_err(wrong)
}
