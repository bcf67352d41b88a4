//! The broker's own calculators of margins and charges.

use serde_json::Value;

use super::field::Row;
use crate::market::{InstrumentKey, Money};

/// What the broker says that an order costs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Charges {
    /// STT or CTT.
    pub transaction_tax: Money,
    /// The exchange's charge.
    pub exchange_turnover_charge: Money,
    /// SEBI's charge.
    pub sebi_turnover_charge: Money,
    /// Brokerage.
    pub brokerage: Money,
    /// Stamp duty.
    pub stamp_duty: Money,
    /// Goods and services tax.
    pub gst: Money,
    /// Sum, as the broker adds it.
    pub total: Money,
}

/// What the broker says that an order needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderMargin {
    /// What would be traded.
    pub instrument: InstrumentKey,
    /// Blocked in all.
    pub total: Money,
    /// Premium of bought options.
    pub option_premium: Money,
    /// SPAN margin.
    pub span: Money,
    /// Exposure margin.
    pub exposure: Money,
    /// Value at risk margin of shares.
    pub var: Money,
    /// Charges, when the answer has them.
    pub charges: Option<Charges>,
}

/// Charges of an order by the broker's virtual contract note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderCharge {
    /// What was or would be traded.
    pub instrument: InstrumentKey,
    /// Its charges.
    pub charges: Charges,
}

pub(in crate::kite) fn order_margin(value: &Value) -> Result<OrderMargin, String> {
    let row = Row::of(value)?;
    let amount = |name: &str| row.money(name).map(Option::unwrap_or_default);
    Ok(OrderMargin {
        instrument: row.instrument()?,
        total: row.money("total")?.ok_or("no total")?,
        option_premium: amount("option_premium")?,
        span: amount("span")?,
        exposure: amount("exposure")?,
        var: amount("var")?,
        charges: row.inner("charges").map(charges).transpose()?,
    })
}

pub(in crate::kite) fn order_charge(value: &Value) -> Result<OrderCharge, String> {
    let row = Row::of(value)?;
    let inner = row.inner("charges").ok_or("no charges")?;
    Ok(OrderCharge { instrument: row.instrument()?, charges: charges(inner)? })
}

fn charges(row: Row<'_>) -> Result<Charges, String> {
    let amount = |name: &str| row.money(name).map(Option::unwrap_or_default);
    let gst = match row.inner("gst") {
        Some(gst) => gst.money("total")?.unwrap_or_default(),
        None => amount("gst")?,
    };
    Ok(Charges {
        transaction_tax: amount("transaction_tax")?,
        exchange_turnover_charge: amount("exchange_turnover_charge")?,
        sebi_turnover_charge: amount("sebi_turnover_charge")?,
        brokerage: amount("brokerage")?,
        stamp_duty: amount("stamp_duty")?,
        gst,
        total: amount("total")?,
    })
}
