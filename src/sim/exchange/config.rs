//! How a simulated exchange is set up.

use chrono::{NaiveDate, NaiveTime};

use super::account_rows::{CarriedPosition, HoldingRow};
use crate::market::calendar::Calendar;
use crate::market::time::hms;
use crate::market::{Money, Timestamp};
use crate::sim::faults::Faults;
use crate::sim::model::ScriptPoint;

/// When the broker closes intraday positions by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SquareOff {
    /// Shares.
    pub equity: NaiveTime,
    /// Derivatives.
    pub derivatives: NaiveTime,
}

/// Settings of a day of the exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeConfig {
    /// Seed of prices and latencies.
    pub seed: u64,
    /// The date to simulate.
    pub date: NaiveDate,
    /// First instant that the exchange knows of.
    pub start: Timestamp,
    /// Cash at the start of the day.
    pub opening_cash: Money,
    /// Kite's name of the account.
    pub user_id: String,
    /// Positions from before today.
    pub carried: Vec<CarriedPosition>,
    /// Shares in the depository.
    pub holdings: Vec<HoldingRow>,
    /// The broker's own square-off; `None` leaves positions open.
    pub square_off: Option<SquareOff>,
    /// Trading days and session hours.
    pub calendar: Calendar,
    /// Prices of the day that are forced, for tests that need a certain path.
    pub script: Vec<ScriptPoint>,
    /// Switches at the start.
    pub faults: Faults,
}

impl ExchangeConfig {
    /// A day with two lakh rupees, no positions and a broker that works.
    pub fn new(seed: u64, date: NaiveDate) -> ExchangeConfig {
        ExchangeConfig {
            seed,
            date,
            start: crate::market::time::from_ist(date, hms(6, 0, 0)),
            opening_cash: Money::from_rupees(200_000),
            user_id: "SIM001".to_string(),
            carried: Vec::new(),
            holdings: Vec::new(),
            square_off: Some(SquareOff { equity: hms(15, 10, 0), derivatives: hms(15, 25, 0) }),
            calendar: Calendar::india(),
            script: Vec::new(),
            faults: Faults::default(),
        }
    }
}
